"""Linear attention as a recurrence: two sums that grow with every key. Katharopoulos et al. 2020, arXiv:2006.16236."""

from collections.abc import Callable
from math import exp, fsum, sqrt

from attncli.reference.vectors import Matrix, Vector, dot, length


def feature(x: Vector, kind: str) -> list[float]:
    """elu(x) + 1, max(x, 0) or e^x of each number."""
    match kind:
        case "elu":
            return [each + 1 if each > 0 else exp(each) for each in x]
        case "relu":
            return [max(each, 0.0) for each in x]
        case _:
            return [exp(each) for each in x]


def favor(x: Vector, directions: Matrix) -> list[float]:
    """exp(w . y - |y|^2 / 2) / sqrt(directions) of y = x / d^(1/4). Choromanski et al. 2021, lemma 1."""
    y = [each / len(x) ** 0.25 for each in x]
    return [exp(dot(w, y) - dot(y, y) / 2) / sqrt(len(directions)) for w in directions]


def orthogonal(rows: Matrix) -> list[list[float]]:
    """Rows made orthogonal one after the other by Gram and Schmidt, each as long as it was."""
    found: list[list[float]] = []
    for row in rows:
        rest = list(row)
        for earlier in found:
            share = dot(rest, earlier) / dot(earlier, earlier)
            rest = [a - share * b for a, b in zip(rest, earlier, strict=True)]
        found.append([each * length(row) / length(rest) for each in rest])
    return found


def recurrent(
    queries: Matrix, keys: Matrix, values: Matrix, *, feature: Callable[[Vector], list[float]], causal: bool = True
) -> list[list[float]]:
    """Outputs (q v) of one head: S grows by f(k) v' and z by f(k); a query gives S' f(q) / z . f(q) (eq. 18 to 20)."""
    width, features = len(values[0]), len(feature(keys[0]))
    state = [[0.0] * width for _ in range(features)]
    total = [0.0] * features
    found = []

    def absorb(key: Vector, value: Vector) -> None:
        for i, each in enumerate(feature(key)):
            total[i] += each
            state[i] = [old + each * v for old, v in zip(state[i], value, strict=True)]

    if not causal:
        for key, value in zip(keys, values, strict=True):
            absorb(key, value)
    for place, query in enumerate(queries):
        if causal:
            absorb(keys[place], values[place])
        asked = feature(query)
        size = dot(asked, total)
        mixed = [fsum(a * row[v] for a, row in zip(asked, state, strict=True)) for v in range(width)]
        found.append([each / size if size > 0 else 0.0 for each in mixed])
    return found
