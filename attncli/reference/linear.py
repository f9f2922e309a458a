"""Linear attention as a recurrence: two sums that grow with every key. Katharopoulos et al. 2020, arXiv:2006.16236."""

from math import exp, fsum

from attncli.reference.vectors import Matrix, Vector, dot


def feature(x: Vector, kind: str) -> list[float]:
    """elu(x) + 1, max(x, 0) or e^x of each number."""
    match kind:
        case "elu":
            return [each + 1 if each > 0 else exp(each) for each in x]
        case "relu":
            return [max(each, 0.0) for each in x]
        case _:
            return [exp(each) for each in x]


def recurrent(queries: Matrix, keys: Matrix, values: Matrix, *, kind: str, causal: bool = True) -> list[list[float]]:
    """Outputs (q v) of one head: S grows by f(k) v' and z by f(k); a query gives S' f(q) / z . f(q) (eq. 18 to 20)."""
    width = len(values[0])
    state = [[0.0] * width for _ in keys[0]]
    total = [0.0] * len(keys[0])
    found = []

    def absorb(key: Vector, value: Vector) -> None:
        for i, each in enumerate(feature(key, kind)):
            total[i] += each
            state[i] = [old + each * v for old, v in zip(state[i], value, strict=True)]

    if not causal:
        for key, value in zip(keys, values, strict=True):
            absorb(key, value)
    for place, query in enumerate(queries):
        if causal:
            absorb(keys[place], values[place])
        asked = feature(query, kind)
        size = dot(asked, total)
        mixed = [fsum(a * row[v] for a, row in zip(asked, state, strict=True)) for v in range(width)]
        found.append([each / size if size > 0 else 0.0 for each in mixed])
    return found
