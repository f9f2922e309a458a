"""The delta rule token by token. Yang, Kautz and Hatamizadeh 2024, arXiv:2412.06464, eq. 10."""

from collections.abc import Callable
from math import exp, sqrt

from attncli.reference.vectors import Matrix, Vector, dot, row_times, transposed


def convolved(rows: Matrix, weights: Matrix) -> list[list[float]]:
    """Feature c of row n: the sum over taps of weights[c][tap] rows[n - taps + 1 + tap][c], with 0 before the first."""
    taps = len(weights[0])
    return [
        [
            sum(of[tap] * rows[n - taps + 1 + tap][c] for tap in range(taps) if n - taps + 1 + tap >= 0)
            for c, of in enumerate(weights)
        ]
        for n in range(len(rows))
    ]


def silu(x: float) -> float:
    """x / (1 + e^-x)."""
    return x / (1 + exp(-x))


def unit(x: Vector, epsilon: float = 1e-6) -> list[float]:
    """x / sqrt(|x|^2 + epsilon)."""
    return [each / sqrt(dot(x, x) + epsilon) for each in x]


def recurrent(
    queries: Matrix, keys: Matrix, values: Matrix, *, strengths: Vector, fades: Vector | None = None,
    told: Callable[[list[list[float]]], None] = lambda state: None,
) -> list[list[float]]:  # fmt: skip
    """Outputs (q v) of one head: S becomes (I - b k k') a S + b k v', and a query gives S' q / sqrt(e).

    `told` is given S (e v) after each token; without `fades`, a is 1.
    """
    state = [[0.0] * len(values[0]) for _ in keys[0]]
    found = []
    for n, (query, key, value) in enumerate(zip(queries, keys, values, strict=True)):
        faded = [[each * (1.0 if fades is None else fades[n]) for each in row] for row in state]
        state = []
        for i, one in enumerate(key):
            erased = [(1.0 if i == j else 0.0) - strengths[n] * one * other for j, other in enumerate(key)]
            state.append([a + strengths[n] * one * v for a, v in zip(row_times(erased, faded), value, strict=True)])
        told(state)
        found.append([dot(column, query) / sqrt(len(query)) for column in transposed(state)])
    return found
