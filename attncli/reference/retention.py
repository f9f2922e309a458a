"""Retention as a recurrence. Sun et al. 2023, arXiv:2307.08621, eq. 6."""

from math import fsum, sqrt

from attncli.reference.vectors import Matrix


def decay_of(head: int) -> float:
    """g = 1 - 2^(-5 - h)."""
    return 1 - 2.0 ** (-5 - head)


def recurrent(queries: Matrix, keys: Matrix, values: Matrix, *, decay: float) -> list[list[float]]:
    """Outputs (q v) of one head: S becomes g S + k v', and a query gives S' q / sqrt(e)."""
    width, size = len(values[0]), sqrt(len(queries[0]))
    state = [[0.0] * width for _ in keys[0]]
    found = []
    for query, key, value in zip(queries, keys, values, strict=True):
        state = [[decay * old + k * v for old, v in zip(row, value, strict=True)]
                 for row, k in zip(state, key, strict=True)]  # fmt: skip
        found.append([fsum(q * row[v] for q, row in zip(query, state, strict=True)) / size for v in range(width)])
    return found
