"""What positions add to a score where the tokens take part in it. Scores come with their scale, distances as q - k."""

from collections.abc import Sequence
from math import cos, exp, floor, fsum, log, sin, sqrt

from attncli.reference.vectors import Matrix, Vector, affine, dot, plus, row_times


def clipped(distance: int, most: int) -> int:
    """Cut to -most … most."""
    return max(-most, min(most, distance))


def shaw(query: Vector, q: int, keys: int, *, table: Matrix, scale: float) -> list[float]:
    """scale q . a for each key, a being row k - q of a table from -most to most. Shaw et al. 2018, arXiv:1803.02155."""
    most = len(table) // 2
    return [scale * dot(query, table[clipped(k - q, most) + most]) for k in range(keys)]


def shaw_carried(weights: Vector, q: int, *, table: Matrix) -> list[float]:
    """sum_k w_k b, b being row k - q."""
    most = len(table) // 2
    rows = [table[clipped(k - q, most) + most] for k in range(len(weights))]
    return [fsum(w * row[i] for w, row in zip(weights, rows, strict=True)) for i in range(len(table[0]))]


def wave(distance: int, *, width: int) -> list[float]:
    """The sinusoidal vector of a distance: all sines, then all cosines."""
    angles = [distance / 10000.0 ** (2 * i / width) for i in range((width + 1) // 2)]
    return [*(sin(angle) for angle in angles), *(cos(angle) for angle in angles)][:width]


def transformer_xl(
    query: Vector, q: int, keys: Matrix, *, of_content: Vector, of_position: Vector, map: Matrix, width: int,
    scale: float,
) -> list[float]:  # fmt: skip
    """scale (u . k + (q + w) . W r) for each key: what Transformer-XL adds to scale q . k.

    Dai et al. 2019, arXiv:1901.02860, section 3.3, terms (b), (c) and (d).
    """
    asks = row_times(plus(query, of_position), map)  # (q + w) . W r = (W' (q + w)) . r
    return [scale * (dot(of_content, key) + dot(asks, wave(q - k, width=width))) for k, key in enumerate(keys)]


def disentangled(
    query: Vector, q: int, keys: Matrix, *, table: Matrix, of_key: Matrix, of_query: Matrix, released: bool,
    scale: float,
) -> list[float]:  # fmt: skip
    """What DeBERTa adds to scale q . k, so that the sum is scale (q . k + q . K + k . Q) / sqrt(3).

    He et al. 2021, arXiv:2006.03654, eq. 4; `released`: with the distance of the third term as in the authors' code.
    """
    most = len(table) // 2

    def row(distance: int) -> Vector:
        return table[max(0, min(2 * most - 1, distance + most))]

    found = []
    for k, key in enumerate(keys):
        to_position = dot(query, affine(row(q - k), of_key))
        of_position = dot(key, affine(row(q - k if released else k - q), of_query))
        content = dot(query, key)
        found.append(scale * ((content + to_position + of_position) / sqrt(3) - content))
    return found


def cope_places(scores: Vector, q: int, seen: Sequence[bool]) -> list[float]:
    """How far each key is from query q: the sum of sigmoid(score) from it to the query, over the keys that are seen."""
    gates = [1 / (1 + exp(-score)) if see else 0.0 for score, see in zip(scores, seen, strict=True)]
    return [fsum(gates[k : q + 1]) for k in range(len(scores))]


def cope(query: Vector, q: int, scores: Vector, seen: Sequence[bool], *, table: Matrix) -> list[float]:
    """q . e at the place of each key, interpolated between whole places. Golovneva et al. 2024, arXiv:2405.18719."""
    found = []
    for place in cope_places(scores, q, seen):
        at = min(place, len(table) - 1)
        below = floor(at)
        above = min(below + 1, len(table) - 1)
        share = at - below
        found.append((1 - share) * dot(query, table[below]) + share * dot(query, table[above]))
    return found


def forgetting(gates: Vector, q: int, k: int) -> float:
    """ln of the product of the gates of tokens k + 1 … q. Lin et al. 2025, arXiv:2503.02130, section 3."""
    return fsum(log(gate) for gate in gates[k + 1 : q + 1])


def forget_gate(state: Vector, *, weight: Vector, bias: float) -> float:
    """sigmoid(w . x + b): the share of its past that a token keeps."""
    return 1 / (1 + exp(-(dot(weight, state) + bias)))


def bank(state: Vector, q: int, keys: int, *, map: Matrix, profiles: Matrix) -> list[float]:
    """(x R) . p_(q - k) for each key; 0 where the distance has no profile. Inkling 2026.

    map: the rows of R that make the demand of one head; profiles: a row for each distance.
    """
    demand = affine(state, map)
    return [dot(demand, profiles[q - k]) if 0 <= q - k < len(profiles) else 0.0 for k in range(keys)]
