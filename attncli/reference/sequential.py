"""Scores and normalizers that look at earlier steps, one step of one head. Weights as in reference/scores.py."""

from collections.abc import Sequence
from math import exp, fsum, tanh

from attncli.reference.normalizers import softmax
from attncli.reference.vectors import Matrix, Vector, dot, plus, row_times


def coverage(
    query: Vector, keys: Matrix, earlier: Sequence[Vector], *, of_query: Matrix, of_key: Matrix, of_coverage: Vector,
    bias: Vector, weight: Vector,
) -> list[float]:  # fmt: skip
    """w.tanh(q Q + k K + c_k u + b), c_k the sum of the weights of all `earlier` steps. See et al. 2017, eq. 10, 11."""
    covered = [fsum(step[k] for step in earlier) for k in range(len(keys))]
    return _additive(query, keys, [[c * u for u in of_coverage] for c in covered], of_query, of_key, bias, weight)


def coverage_loss(weights: Vector, earlier: Sequence[Vector]) -> float:
    """sum_k min(a_k, c_k). See et al. 2017, arXiv:1704.04368, eq. 12."""
    return fsum(min(weight, fsum(step[k] for step in earlier)) for k, weight in enumerate(weights))


def location_aware(
    query: Vector, keys: Matrix, last: Vector, *, of_query: Matrix, of_key: Matrix, kernel: Matrix, of_features: Matrix,
    bias: Vector, weight: Vector,
) -> list[float]:  # fmt: skip
    """w.tanh(q Q + k K + f_k U + b), f_k = sum_o kernel_o a_{k+o}, o from -r to r, with kernel (2 r + 1, channels).

    `last` are the last step's weights, alike over all keys before the first step. Chorowski et al. 2015, eq. 8, 9.
    """
    reach, found = len(kernel) // 2, []
    for k in range(len(keys)):
        near = {o: last[k + o] for o in range(-reach, reach + 1) if 0 <= k + o < len(keys)}
        found.append([fsum(a * kernel[o + reach][c] for o, a in near.items()) for c in range(len(kernel[0]))])
    return _additive(query, keys, [row_times(f, of_features) for f in found], of_query, of_key, bias, weight)


def _additive(
    query: Vector, keys: Matrix, added: Matrix, of_query: Matrix, of_key: Matrix, bias: Vector, weight: Vector
) -> list[float]:
    asked = plus(row_times(query, of_query), bias)
    inner = [plus(plus(asked, row_times(key, of_key)), more) for key, more in zip(keys, added, strict=True)]
    return [dot(weight, [tanh(x) for x in each]) for each in inner]


Seen = Sequence[bool] | None
"""Whether each key is seen; None: all are."""


def forward_step(scores: Vector, last: Vector, seen: Seen = None) -> list[float]:
    """a_k ~ (a'_k + a'_{k-1}) softmax(s)_k, at least 1e-10 before the division. Zhang et al. 2018, eq. 8, 9."""
    places = _places(scores, seen)
    chances = dict(zip(places, softmax([scores[k] for k in places]), strict=True))
    made = [0.0] * len(scores)
    for k in places:
        made[k] = max((last[k] + (last[k - 1] if k else 0.0)) * chances[k], 1e-10)
    total = fsum(made)
    return [each / total if total else 0.0 for each in made]


def window_step(scores: Vector, last: Vector, *, keys: int, seen: Seen = None) -> list[float]:
    """softmax over the keys from the heaviest of the last step on, `keys` at most. Ping et al. 2018, section 3.5."""
    first = max(range(len(last)), key=lambda k: (last[k], -k))
    places = [k for k in _places(scores, seen) if first <= k < first + keys]
    weights = [0.0] * len(scores)
    for k, weight in zip(places, softmax([scores[k] for k in places]), strict=True):
        weights[k] = weight
    return weights


def monotonic_step(scores: Vector, last: Vector, seen: Seen = None) -> list[float]:
    """a_k = p_k q_k with q_k = (1 - p_{k-1}) q_{k-1} + a'_k. Raffel et al. 2017, arXiv:1704.00784, eq. 9 to 11.

    Nobody stops at a key that is not seen.
    """
    weights, reached, stop, places = [], 0.0, 0.0, set(_places(scores, seen))
    for k, (score, before) in enumerate(zip(scores, last, strict=True)):
        reached = (1 - stop) * reached + before
        stop = 1 / (1 + exp(-score)) if k in places else 0.0
        weights.append(stop * reached)
    return weights


def hard_monotonic_step(scores: Vector, last: Vector, seen: Seen = None) -> list[float]:
    """1 at the first key from the last one on whose score is not negative; zeros where there is none."""
    weights, tried, places = [0.0] * len(scores), False, set(_places(scores, seen))
    for k, score in enumerate(scores):
        tried = tried or last[k] > 0
        if tried and score >= 0 and k in places:
            weights[k] = 1.0
            break
    return weights


def _places(scores: Vector, seen: Seen) -> list[int]:
    return [k for k in range(len(scores)) if seen is None or seen[k]]
