"""Batches that are laid ahead are those that would be laid when they are due."""

import threading

import pytest
import torch

from attncli.errors import DataError
from attncli.streams import stream
from attncli.training.ahead import Ahead

OTHER = torch.device("meta")


def laying(seen):
    def lay(epoch, index):
        seen.append((epoch, index, threading.current_thread().name))
        if index == 3:
            raise DataError("data.tsv:4: no row", help="look")
        return {"text": stream([[epoch, index]], pad=0)}

    return lay


def test_a_device_of_its_own_finds_the_next_batch_laid():
    seen = []
    ahead = Ahead(laying(seen), OTHER)
    assert ahead.batch((0, 1), (0, 2))["text"].values.device == OTHER
    ahead.batch((0, 2), None)
    ahead.batch((1, 0), (1, 1))
    ahead.batch((2, 0), None)  # another than was laid ahead, as after a resume
    ahead.close()
    laid = [place[:2] for place in seen if place[:2] != (1, 1)]
    assert laid == [(0, 1), (0, 2), (1, 0), (2, 0)]
    assert {place[:2] for place in seen if place[2].startswith("batches")} <= {(0, 2), (1, 1)}


def test_what_is_wrong_with_a_row_is_said_where_it_is_due():
    ahead = Ahead(laying([]), OTHER)
    ahead.batch((0, 2), (0, 3))
    with pytest.raises(DataError):
        ahead.batch((0, 3), None)
    ahead.close()


def test_on_the_cpu_each_is_laid_when_it_is_due():
    seen = []
    ahead = Ahead(laying(seen), torch.device("cpu"))
    assert ahead.batch((0, 1), (0, 2))["text"].values.tolist() == [[0, 1]]
    assert [place[:2] for place in seen] == [(0, 1)]
    ahead.close()
