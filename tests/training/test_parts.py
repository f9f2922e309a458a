"""Micro-batches hold the rows of the step, each once, without columns that are empty in all of them."""

import random

import pytest
import torch

from attncli.streams import stream
from attncli.training.parts import predicted, split, tokens_of
from tests.training.made import pairs


@pytest.mark.parametrize("count", [1, 2, 3, 7, 99])
def test_every_row_is_in_one_part(count):
    batch = pairs(random.Random(0), 7)
    parts = split(batch, count)
    assert len(parts) == min(count, 7)
    for name, whole in batch.items():
        lengths = torch.cat([part[name].lengths for part in parts])
        assert torch.equal(lengths, whole.lengths)
        tokens = torch.cat([part[name].values[part[name].real] for part in parts])
        assert torch.equal(tokens, whole.values[whole.real])


def test_parts_are_as_wide_as_their_longest_row_and_labels_as_their_text():
    texts = [[5], [5, 6], [5, 6, 7, 8, 9]]
    batch = {
        "text": stream(texts, pad=0),
        "labels": stream([[-100], [-100, 6], [-100, -100, 7, -100, -100]], pad=-100),
        "source": stream([[1, 2, 3], [1], [1]], pad=0),
    }
    widths = [{name: part[name].values.shape[1] for name in part} for part in split(batch, 3)]
    assert widths == [
        {"text": 1, "labels": 1, "source": 3},
        {"text": 2, "labels": 2, "source": 1},
        {"text": 5, "labels": 5, "source": 1},
    ]


def test_places_with_a_label_are_counted_but_never_none():
    assert int(predicted({"labels": stream([[4, -100], [7]], pad=0)})) == 2
    assert int(predicted({"labels": stream([[-100, -100]], pad=0)})) == 1


def test_speed_counts_what_is_written_else_what_is_read():
    batch = pairs(random.Random(0), 4)
    assert tokens_of(batch) == int(batch["target"].lengths.sum())
    assert tokens_of({"text": batch["source"], "labels": batch["labels"]}) == int(batch["source"].lengths.sum())
    assert tokens_of({"items": batch["source"]}) == int(batch["source"].lengths.sum())
