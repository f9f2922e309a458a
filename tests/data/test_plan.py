"""Batches by tokens and by sequences: budgets, and nothing lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attncli.data.plan import make_plan
from attncli.spec.training import SequenceBatch, TokenBatch

pair = st.tuples(st.integers(1, 90), st.integers(1, 90))
one = st.tuples(st.integers(1, 300))


def groups(batch: TokenBatch | SequenceBatch, widths: list[tuple[int, ...]], seed: int = 0) -> list[list[int]]:
    plan = make_plan(batch, np.array(widths))
    found = plan.groups(np.random.default_rng(seed))
    assert len(found) == plan.steps
    return [group.tolist() for group in found]


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.lists(pair, min_size=1, max_size=80), st.lists(one, min_size=1, max_size=80)), st.integers(1, 600))
def test_token_batches_keep_the_budget_and_every_example(widths: list[tuple[int, ...]], size: int) -> None:
    found = groups(TokenBatch(size=size), widths)
    assert sorted(place for group in found for place in group) == list(range(len(widths)))
    for group in found:
        places = len(group) * sum(max(widths[place][side] for place in group) for side in range(len(widths[0])))
        assert places <= size or len(group) == 1


@given(st.integers(1, 50), st.integers(1, 20))
def test_sequence_batches_have_their_size(count: int, size: int) -> None:
    found = groups(SequenceBatch(size=size), [(5,)] * count)
    assert sorted(place for group in found for place in group) == list(range(count))
    assert all(len(group) == size for group in found[:-1])
    assert 0 < len(found[-1]) <= size


def test_equal_lengths_fill_the_budget_exactly() -> None:
    found = groups(TokenBatch(size=70), [(3, 4)] * 100)
    assert [len(group) for group in found] == [10] * 10


@pytest.mark.parametrize("batch", [TokenBatch(size=100), SequenceBatch(size=8)])
def test_epochs_differ_and_have_as_many_batches(batch: TokenBatch | SequenceBatch) -> None:
    widths = [(1 + number % 9, 1 + number % 7) for number in range(200)]
    first, same, other = groups(batch, widths, 1), groups(batch, widths, 1), groups(batch, widths, 2)
    assert first == same
    assert first != other
    assert len(first) == len(other)
    assert {frozenset(group) for group in first} != {frozenset(group) for group in other}  # not the order alone


def test_little_is_padded() -> None:
    random = np.random.default_rng(0)
    widths = np.stack([random.integers(8, 30, 5000), random.integers(8, 30, 5000)], axis=1)
    plan = make_plan(TokenBatch(size=2000), widths)
    places = sum(len(group) * widths[group].max(0).sum() for group in plan.groups(random))
    assert widths.sum() / places > 0.9
    assert plan.steps < 1.12 * widths.sum() / 2000


def test_an_example_larger_than_the_budget_has_a_batch_of_its_own() -> None:
    found = groups(TokenBatch(size=10), [(4,), (50,), (4,), (60,)])
    assert sorted(map(sorted, found)) == [[0, 2], [1], [3]]
