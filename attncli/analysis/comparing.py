"""Two models on the same texts: which head is which, and how far each has moved.

    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2, in bits: 0 where rows are alike, 1 where they share no key

The distance of two heads is the mean of JS over the rows of all texts. Heads of one address are matched so that the sum
of distances is least (an assignment; Galil 1986 in networkx), since a head's number has no meaning between two
trainings. Rows that sum to 0 in one of both, and weights below 0, count by their absolute shares. Lin 1991, eq. 4.1.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attncli.analysis.samples import interval
from attncli.errors import InputError
from attncli.maps.record import AttentionMap, Sample

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """One head, the head of the other model that is most like it, and how unlike both are."""

    address: str
    head: int
    other: int | None
    """None where the other model has fewer heads."""
    divergence: float
    low: float
    high: float
    """1.96 standard errors over texts about the mean."""
    same_number: float | None
    """The divergence from the head of the same number."""


@dataclass(frozen=True)
class Comparison:
    """All matches, the largest change first."""

    matches: tuple[Match, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    log_probabilities: tuple[tuple[float | None, float | None], ...]
    """Of each text, what both models give to what is written."""

    def json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def shares(weights: Matrix) -> Matrix:
    """|weights| over their row's sum."""
    sizes = np.abs(weights)
    total = sizes.sum(-1, keepdims=True)
    found: Matrix = np.divide(sizes, total, out=np.zeros_like(sizes), where=total > 0)
    return found


def divergences(one: Matrix, other: Matrix) -> Matrix:
    """(h g): mean JS of the rows of heads (h q k) and (g q k)."""
    p, q = shares(one)[:, None], shares(other)[None]
    found: Matrix = np.maximum(_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2, 0).mean(-1)
    return found


def _entropy(p: Matrix) -> Matrix:
    bits: Matrix = -(p * np.log2(np.where(p > 0, p, 1.0))).sum(-1)
    return bits


def matched(distance: Matrix) -> dict[int, int]:
    """The assignment of rows to columns with the least sum; as many as the smaller side has."""
    import networkx

    graph = networkx.Graph()
    for (row, column), value in np.ndenumerate(distance):
        graph.add_edge(("row", row), ("column", column), weight=-float(value))
    pairs = networkx.max_weight_matching(graph, maxcardinality=True)
    ordered = (sorted(pair, key=lambda end: end[0] != "row") for pair in pairs)
    return {row[1]: column[1] for row, column in ordered}


def compare(first: Sequence[Sample], second: Sequence[Sample]) -> Comparison:
    """Samples of two models on the same texts, in one order.

    Raises:
        InputError: both cut the texts into other tokens, or have no attention of one address.
    """
    pairs: dict[str, list[Matrix]] = {}
    for one, other in zip(first, second, strict=True):
        others = {each.address: each for each in other.attentions}
        for each in one.attentions:
            if each.address in others:
                pairs.setdefault(each.address, []).append(_pair(each, others[each.address]))
    if not pairs:
        raise InputError("--compare: no attention of both has one address", help="compare models of one form")
    names = [{each.address: None for sample in side for each in sample.attentions} for side in (first, second)]
    found = [match for address, per_text in pairs.items() for match in _matches(address, np.stack(per_text))]
    said = zip((one.log_probability for one in first), (one.log_probability for one in second), strict=True)
    return Comparison(
        tuple(sorted(found, key=lambda match: -match.divergence)), tuple(n for n in names[0] if n not in names[1]),
        tuple(n for n in names[1] if n not in names[0]), tuple(said),
    )  # fmt: skip


def _pair(one: AttentionMap, other: AttentionMap) -> Matrix:
    if one.queries != other.queries or one.keys[one.ahead :] != other.keys[other.ahead :]:
        rule = f"--compare: {one.address} reads other tokens in the second run"
        raise InputError(rule, help="compare runs with one tokenizer")
    parts = (each.whole()[..., each.ahead :].astype(np.float64) for each in (one, other))
    return divergences(*parts)


def _matches(address: str, per_text: Matrix) -> list[Match]:
    """`per_text` (t h g)."""
    mean = per_text.mean(0)
    pairs = matched(mean)
    found = []
    for head in range(len(mean)):
        same = float(mean[head, head]) if head < mean.shape[1] else None
        other = pairs.get(head)
        column = per_text[:, head, other] if other is not None else per_text[:, head].min(1)
        found.append(Match(address, head, other, *interval(column.tolist()), same))
    return found
