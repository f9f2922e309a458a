"""Streams say which place holds a token, whatever the padding."""

import pytest
import torch

from attncli.streams import Stream, stream

ROWS = [[5, 6, 7], [8], [9, 4]]


def test_rows_are_padded_on_the_right():
    made = stream(ROWS, pad=0)
    assert made.values.tolist() == [[5, 6, 7], [8, 0, 0], [9, 4, 0]]
    assert made.lengths.tolist() == [3, 1, 2]
    assert made.positions.tolist() == [[0, 1, 2], [0, 0, 0], [0, 1, 0]]
    assert made.documents.tolist() == [[0, 0, 0], [0, -1, -1], [0, 0, -1]]
    assert (made.padded, made.packed, made.plain) == (True, False, True)


def test_rows_are_padded_on_the_left():
    made = stream(ROWS, pad=-100, left=True)
    assert made.values.tolist() == [[5, 6, 7], [-100, -100, 8], [-100, 9, 4]]
    assert made.lengths.tolist() == [3, 1, 2]
    assert made.positions.tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 1]]
    assert made.documents.tolist() == [[0, 0, 0], [-1, -1, 0], [-1, 0, 0]]
    assert (made.padded, made.packed, made.plain) == (True, False, False)


@pytest.mark.parametrize("left", [False, True])
def test_rows_of_one_length_hold_no_padding(left):
    made = stream([[1, 2], [3, 4]], pad=0, left=left)
    assert (made.padded, made.plain) == (False, True)
    assert made.real.all()


def test_real_is_where_a_token_stands():
    assert stream(ROWS, pad=5, left=True).real.tolist() == [[True] * 3, [False, False, True], [False, True, True]]


def test_no_rows_and_empty_rows():
    assert stream([], pad=0).values.shape == (0, 0)
    empty = stream([[], [7]], pad=0)
    assert empty.real.tolist() == [[False], [True]]
    assert empty.lengths.tolist() == [0, 1]


def test_rows_are_chosen_in_the_order_asked_for():
    chosen = stream(ROWS, pad=0).select(torch.tensor([2, 0, 2]))
    assert chosen.values.tolist() == [[9, 4, 0], [5, 6, 7], [9, 4, 0]]
    assert chosen.lengths.tolist() == [2, 3, 2]
    assert chosen.positions.tolist() == [[0, 1, 0], [0, 1, 2], [0, 1, 0]]
    assert chosen.documents.tolist() == [[0, 0, -1], [0, 0, 0], [0, 0, -1]]
    assert (chosen.padded, chosen.plain) == (True, True)


def test_a_stream_moves_whole_to_another_device_and_stays_where_it_is():
    made = stream(ROWS, pad=0)
    assert made.to("cpu") is made
    moved = made.to("meta")
    tensors = (moved.values, moved.lengths, moved.positions, moved.documents)
    assert {each.device.type for each in tensors} == {"meta"}
    assert (moved.padded, moved.packed, moved.plain) == (True, False, True)


def test_a_stream_cannot_change_under_its_readers():
    made = stream(ROWS, pad=0)
    with pytest.raises(AttributeError, match="cannot assign to field"):
        made.padded = False
    assert isinstance(made, Stream)
