"""A small attention that chooses the keys of another one. DeepSeek-AI 2025 (V3.2), arXiv:2512.02556, section 2.1."""

from collections.abc import Callable
from math import exp, fsum, log

from attncli.reference.steps import best
from attncli.reference.vectors import Matrix, Vector, dot

Visible = Callable[[int, int, int], bool]
"""(query, key, head) to whether it is seen."""


def index_scores(queries: Matrix, weights: Vector, keys: Matrix) -> list[float]:
    """sum_j w_j relu(a_j . c_k) / sqrt(i e) of one query, whose index heads have vectors a_j (i e) and weights w_j.

    Equation 1 there; the divisor is that of the released code.
    """
    size = (len(queries) * len(keys[0])) ** -0.5 if keys else 1.0
    return [
        size * fsum(weight * max(dot(query, key), 0.0) for weight, query in zip(weights, queries, strict=True))
        for key in keys
    ]


def narrowed(visible: Visible, scores: Matrix, *, keys: int) -> Visible:
    """What is left of what is visible: the `keys` best index scores (q k) of each row, and those that tie with them."""

    def sees(q: int, k: int, h: int) -> bool:
        return best(scores[q], [visible(q, j, h) for j in range(len(scores[q]))], keys=keys)[k]

    return sees


def index_loss(scores: Vector, weights: Matrix, seen: list[bool]) -> float:
    """sum_k p_k ln(p_k / c_k) of one query: c the softmax of the index scores over what is seen, p the mean of the
    heads' weights (h k). Equation 4 there."""
    total = fsum(abs(weight) for row in weights for weight in row)
    divisor = fsum(exp(score) for score, sees in zip(scores, seen, strict=True) if sees)
    loss = 0.0
    for k, score in enumerate(scores):
        share = fsum(abs(row[k]) for row in weights) / total if total else 0.0
        if share and seen[k]:
            loss += share * (log(share) - score + log(divisor))
    return loss
