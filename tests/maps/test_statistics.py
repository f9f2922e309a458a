"""Each statistic against plain loops, and on maps whose values are known."""

import math

import numpy as np
import pytest

from attncli.maps.record import AttentionMap, Kind
from attncli.maps.statistics import STATISTICS, most_telling, statistics
from tests.maps.made import GOOD, attention


def from_rows(rows: list[list[float]], kind: Kind = "self") -> AttentionMap:
    weights = np.array([rows], dtype=np.float32)
    names = tuple(map(str, range(max(weights.shape))))
    return AttentionMap(
        "a", kind, names[: weights.shape[1]], names[: weights.shape[2]], weights, GOOD, "fused", "float32"
    )


def by_loops(one: AttentionMap, head: int) -> dict[str, float]:
    rows = [[float(w) for w in row] for row in one.weights[head]]
    seen = [(q, row) for q, row in enumerate(rows) if sum(row) > 0]
    queries, keys = len(rows), len(rows[0])

    def place(q: int) -> float:
        return q if one.kind == "self" else q * (keys - 1) / max(queries - 1, 1)

    def entropy(row: list[float]) -> float:
        return -sum(w * math.log(w) for w in row if w > 0)

    average = [sum(row[k] for _, row in seen) / len(seen) for k in range(keys)]
    spread = sum(entropy(row) for _, row in seen) / len(seen)
    return {
        "entropy": spread,
        "information": entropy(average) - spread,
        "distance": sum(w * abs(place(q) - k) for q, row in seen for k, w in enumerate(row)) / len(seen),
        "diagonal": sum(w for q, row in seen for k, w in enumerate(row) if abs(place(q) - k) <= 0.5) / len(seen),
        "first": sum(row[0] for _, row in seen) / len(seen),
        "peak": sum(max(row) for _, row in seen) / len(seen),
        "coverage": sum(min(1, sum(row[k] for _, row in seen)) for k in range(keys)) / keys,
    }


@pytest.mark.parametrize(
    ("kind", "queries", "keys"), [("self", 7, 7), ("cross", 5, 11), ("cross", 1, 4), ("cross", 9, 2)]
)
def test_statistics_are_those_of_plain_loops(kind: Kind, queries: int, keys: int) -> None:
    one = attention(
        list("abcdefghijk")[:queries], list("abcdefghijk")[:keys], heads=3, kind=kind, causal=kind == "self"
    )
    one.weights[:, 0] = 0  # a row that sees no key is left out of every mean
    if queries == 1:
        one.weights[:, 0, 1] = 1
    found = statistics(one)
    assert tuple(found) == STATISTICS
    for head in range(3):
        expected = by_loops(one, head)
        for name in STATISTICS:
            assert found[name][head] == pytest.approx(expected[name], abs=1e-6), name


def test_a_head_that_looks_at_one_key_has_no_information_however_sharp() -> None:
    sink = statistics(from_rows([[1, 0, 0]] * 3))
    assert sink["entropy"][0] == 0
    assert sink["information"][0] == pytest.approx(0, abs=1e-12)
    assert sink["first"][0] == 1


def test_a_head_that_aligns_has_the_information_of_a_choice_among_its_keys() -> None:
    aligned = statistics(from_rows([[0, 0, 1], [0, 1, 0], [1, 0, 0]]))
    assert aligned["information"][0] == pytest.approx(math.log(3))
    assert aligned["peak"][0] == 1


def test_weights_that_sum_to_no_fixed_number_count_by_their_shares() -> None:
    free, shares = from_rows([[0.5, 1.5], [0.1, 0.1]]), from_rows([[0.25, 0.75], [0.5, 0.5]])
    for name, values in statistics(free).items():
        assert values == pytest.approx(statistics(shares)[name], abs=1e-7), name


def test_a_head_that_sees_nothing_has_zero_everywhere() -> None:
    assert all(values[0] == 0 for values in statistics(from_rows([[0, 0], [0, 0]])).values())


def test_the_most_telling_head_is_a_cross_attention_s_where_there_is_one() -> None:
    sharp = from_rows([[1, 0], [0, 1]])
    cross = from_rows([[0.6, 0.4], [0.4, 0.6]], kind="cross")
    assert most_telling((sharp, cross)) == (cross, 0)
    assert most_telling((attention(sharp=0.1), sharp))[0] is sharp
