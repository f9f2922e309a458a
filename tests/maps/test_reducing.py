"""A summary made block by block is that of plain loops over the whole map, however the rows and keys are cut."""

import math

import numpy as np
import pytest
import torch

from attncli.maps.reducing import Block, Reducer, summarize
from attncli.maps.summary import CELLS, NEAR, TOP, Summary, cell_of


def softmax_rows(heads: int, queries: int, keys: int, *, causal: bool = False, seed: int = 0) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(size=(heads, queries, keys)) * 3
    if causal:
        scores = np.where(np.tril(np.ones((queries, keys), dtype=bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def by_blocks(weights: np.ndarray, rows: int, *, own_text: bool, narrow: bool = False) -> Summary:
    """Blocks of `rows` rows; `narrow` leaves out keys behind the last that a causal block sees, in whole cells."""
    heads, queries, keys = weights.shape
    reducer = Reducer(heads=heads, queries=queries, keys=keys, own_text=own_text, ahead=0)
    for first in range(0, queries, rows):
        end = keys
        if narrow:
            end = min(keys, -(-min(first + rows, queries) // reducer.key_cell) * reducer.key_cell)
        reducer.add(Block(torch.from_numpy(weights[:, first : first + rows, :end]), first, 0))
    return reducer.summary()


@pytest.mark.parametrize(("queries", "keys", "rows", "own"), [
    (300, 300, 7, True), (300, 300, 64, True), (130, 300, 1, False), (5, 1500, 3, False), (1500, 9, 512, False),
])  # fmt: skip
def test_blocks_give_what_the_whole_gives(queries: int, keys: int, rows: int, own: bool) -> None:
    weights = softmax_rows(3, queries, keys, causal=own)
    whole, blocks = (summarize(weights, own_text=own, ahead=0), by_blocks(weights, rows, own_text=own, narrow=own))
    for name, values in whole.statistics.items():
        np.testing.assert_allclose(blocks.statistics[name], values, rtol=2e-5, atol=2e-6, err_msg=name)
    np.testing.assert_array_equal(blocks.overview.largest, whole.overview.largest)
    np.testing.assert_allclose(blocks.overview.mean, whole.overview.mean, atol=1e-7)
    np.testing.assert_allclose(blocks.received, whole.received, atol=1e-7)
    np.testing.assert_allclose(blocks.near, whole.near, atol=1e-7)
    np.testing.assert_array_equal(blocks.top_keys, whole.top_keys)
    np.testing.assert_array_equal(blocks.top_weights, whole.top_weights)


@pytest.mark.parametrize(("queries", "keys"), [(150, 300), (2, 5), (129, 2000)])
def test_the_parts_of_a_summary_are_those_of_plain_loops(queries: int, keys: int) -> None:
    weights = softmax_rows(2, queries, keys)
    weights[1] *= np.where(np.arange(keys) % 3 == 0, -1, 1)  # a difference of maps
    found = summarize(weights, own_text=False, ahead=0)
    query_cell, key_cell = cell_of(queries), cell_of(keys)
    assert (found.overview.query_cell, found.overview.key_cell) == (query_cell, key_cell)
    assert max(found.overview.largest.shape[1:]) <= CELLS
    for head in range(2):
        for i in range(found.overview.mean.shape[1]):
            for j in range(found.overview.mean.shape[2]):
                cell = weights[head, i * query_cell : (i + 1) * query_cell, j * key_cell : (j + 1) * key_cell]
                assert found.overview.largest[head, i, j] == np.abs(cell).max()
                assert found.overview.mean[head, i, j] == pytest.approx(cell.mean(), abs=1e-7)
        for query in range(queries):
            row = weights[head, query]
            order = np.argsort(-np.abs(row), kind="stable")[:TOP]
            np.testing.assert_array_equal(found.top_weights[head, query, : len(order)], row[order])
            np.testing.assert_array_equal(found.top_keys[head, query, : len(order)], order)
            assert (found.top_keys[head, query, len(order) :] == -1).all()


def test_shares_near_the_query_s_own_place_and_received_by_each_key() -> None:
    weights = softmax_rows(1, 9, 9)
    found = summarize(weights, own_text=True, ahead=0)
    for at, d in enumerate(range(-NEAR, NEAR + 1)):
        shares = [weights[0, q, q + d] for q in range(9) if 0 <= q + d < 9]
        assert found.near[0, at] == pytest.approx(sum(shares) / 9, abs=1e-7)
    assert found.near[0, NEAR] == pytest.approx(found.statistics["diagonal"][0])
    np.testing.assert_allclose(found.received[0], weights[0].mean(0), atol=1e-7)


def test_keys_in_front_stand_at_no_place() -> None:
    weights = softmax_rows(2, 6, 8)
    found, own = summarize(weights, own_text=True, ahead=2), weights[:, :, 2:]
    away = np.abs(np.arange(6)[:, None] - np.arange(6))
    np.testing.assert_allclose(found.statistics["distance"], (own * away).sum(-1).mean(-1), atol=1e-6)
    np.testing.assert_allclose(found.statistics["first"], own[:, :, 0].mean(-1), atol=1e-7)
    assert found.near[0, NEAR] == pytest.approx(np.mean([own[0, q, q] for q in range(6)]))


def test_a_local_head_of_a_long_text_keeps_its_distance_to_the_last_places() -> None:
    """Moments counted from the first token would lose them: 30,000 tokens and a distance of 1."""
    length = 30_000
    reducer = Reducer(heads=1, queries=length, keys=length, own_text=True, ahead=0)
    for first in (0, 29_952):
        rows = torch.zeros(1, 48, first + 48)
        for row in range(48):
            rows[0, row, max(first + row - 1, 0)] = 0.75
            rows[0, row, first + row] += 0.25
        reducer.add(Block(rows, first, 0))
    assert reducer.summary().statistics["distance"][0] == pytest.approx((95 * 0.75) / 96, rel=1e-6)


def test_a_weight_that_is_no_number_is_no_number_in_the_statistics_either() -> None:
    weights = softmax_rows(2, 4, 4)
    weights[1, 2, 0] = np.nan
    found = summarize(weights, own_text=True, ahead=0)
    assert math.isnan(found.statistics["entropy"][1])
    assert not math.isnan(found.statistics["entropy"][0])
    assert np.isfinite(found.overview.largest).all()


@pytest.mark.parametrize(("places", "cell"), [(1, 1), (128, 1), (129, 2), (256, 2), (257, 4), (32_768, 256)])
def test_cells_are_powers_of_two_and_at_most_128(places: int, cell: int) -> None:
    assert cell_of(places) == cell


def test_logarithms_that_are_known_give_the_same_entropy_also_where_they_are_infinite() -> None:
    weights = torch.from_numpy(softmax_rows(2, 9, 9, causal=True))
    logs = weights.log()
    assert bool(logs.isinf().any())
    told, made = (Reducer(heads=2, queries=9, keys=9, own_text=True, ahead=0) for _ in range(2))
    told.add(Block(weights, 0, 0, logs.clone()))
    made.add(Block(weights, 0, 0))
    entropies = [each.summary().statistics["entropy"] for each in (told, made)]
    np.testing.assert_allclose(*entropies, rtol=1e-6)
    assert (entropies[0] > 0.1).all()
