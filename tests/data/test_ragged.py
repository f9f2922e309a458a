"""The fast way to a padded stream equals the plain one."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from attncli.data.ragged import Ragged
from attncli.streams import Stream, stream

rows = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=7), min_size=1, max_size=6)


def same(one: Stream, other: Stream) -> bool:
    names = ("values", "lengths", "positions", "documents")
    flags = ("padded", "packed", "plain")
    equal = all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)
    dtypes = all(getattr(one, name).dtype == getattr(other, name).dtype for name in names)
    return equal and dtypes and all(getattr(one, flag) == getattr(other, flag) for flag in flags)


@given(rows)
def test_a_stream_is_the_plain_stream(rows: list[list[int]]) -> None:
    assert same(Ragged.of(rows).stream(pad=9), stream(rows, pad=9))


@given(rows, st.data())
def test_taking_and_trimming(rows: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    ragged = Ragged.of([[1, 2, *row] for row in rows])
    taken = ragged.take(np.array(chosen)).trimmed(first=1, last=1)
    assert [taken.row(place) for place in range(len(chosen))] == [[1, 2, *rows[row]][1:-1] for row in chosen]
    assert same(taken.stream(pad=0), stream([[1, 2, *rows[row]][1:-1] for row in chosen], pad=0))
