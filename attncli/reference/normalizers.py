"""How scores (k) become weights (k). No scores give no weights."""

from collections.abc import Sequence
from math import copysign, exp, fsum, log, log1p

from attncli.reference.vectors import Matrix, Vector

BISECTIONS = 200


def softmax(scores: Vector) -> list[float]:
    """exp(s) / sum exp(s)."""
    most = max(scores, default=0.0)
    raised = [exp(score - most) for score in scores]
    total = fsum(raised)
    return [each / total for each in raised]


def activated(scores: Vector, activation: str) -> list[float]:
    """The f of `sum` and `pointwise`: relu, relu_squared, absolute, square or softplus, which is ln(1 + exp s)."""
    match activation:
        case "relu":
            return [max(score, 0.0) for score in scores]
        case "relu_squared":
            return [max(score, 0.0) ** 2 for score in scores]
        case "absolute":
            return [abs(score) for score in scores]
        case "square":
            return [score * score for score in scores]
        case "softplus":
            return [max(score, 0.0) + log1p(exp(-abs(score))) for score in scores]
        case _:
            raise ValueError(f"there is no activation '{activation}'")


def plain_sum(scores: Vector, *, activation: str = "relu") -> list[float]:
    """f(s) / sum f(s), and zeros where the sum is 0: section 3.1.2 of the founding article with f = relu."""
    positive = activated(scores, activation)
    total = fsum(positive)
    return [each / total if total else 0.0 for each in positive]


def sparsemax(scores: Vector) -> list[float]:
    """The point of the simplex nearest to the scores. Martins & Astudillo 2016, arXiv:1602.02068, algorithm 1."""
    threshold = 0.0
    ordered = sorted(scores, reverse=True)
    for count in range(1, len(ordered) + 1):
        above = fsum([*ordered[:count], -1.0])
        if count * ordered[count - 1] > above:
            threshold = above / count
    return [max(score - threshold, 0.0) for score in scores]


def entmax(scores: Vector, *, alpha: float) -> list[float]:
    """[(alpha - 1) s - tau]_+ ^ (1 / (alpha - 1)), tau such that the weights sum to 1; alpha 1 is softmax.

    Peters et al. 2019, arXiv:1905.05702, eq. 10. tau by bisection until floats have no number between the bounds.
    """
    if not scores:
        return []
    power = alpha - 1
    if power == 0:
        return softmax(scores)
    most = max(scores)
    scaled = [power * (score - most) for score in scores]

    def weights(threshold: float) -> list[float]:
        return [max(each - threshold, 0.0) ** (1 / power) for each in scaled]

    low, high = -1.0, 0.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if fsum(weights(middle)) >= 1 else (low, middle)
    found = weights(low)
    total = fsum(found)
    return [each / total for each in found]


def normmax(scores: Vector, *, alpha: float) -> list[float]:
    """The p of the simplex that makes p . s - |p|_alpha largest. Santos et al. 2024, arXiv:2402.13725, section 3.

    It is the entmax of r^(alpha - 1) / (alpha - 1) times the scores whose norm is that r; r by bisection.
    """
    if not scores:
        return []

    def weights(norm: float) -> list[float]:
        return entmax([norm ** (alpha - 1) / (alpha - 1) * score for score in scores], alpha=alpha)

    low, high = len(scores) ** (1 / alpha - 1), 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        norm = fsum(weight**alpha for weight in weights(middle)) ** (1 / alpha)
        low, high = (middle, high) if norm >= middle else (low, middle)
    return weights(low)


def budget(scores: Vector, *, keys: int) -> list[float]:
    """The point of 0 <= p <= 1, sum p = keys, that is nearest to the scores; ones where there are no more than `keys`.

    Santos et al. 2024, arXiv:2402.13725, section 4. Every number of keys that are paid whole and of keys that are
    paid in part is tried; the two that fit give tau.
    """
    if len(scores) <= keys:
        return [1.0] * len(scores)
    ordered = sorted(scores, reverse=True)
    best: tuple[float, list[float]] | None = None
    for whole in range(keys + 1):
        for part in range(1, len(scores) - whole + 1):
            threshold = fsum([*ordered[whole : whole + part], float(whole - keys)]) / part
            found = [min(max(score - threshold, 0.0), 1.0) for score in scores]
            off = abs(fsum(found) - keys)
            if best is None or off < best[0]:
                best = off, found
    assert best is not None
    return best[1]


def hard(scores: Vector) -> list[float]:
    """1 at the first of the largest scores, 0 elsewhere. Backwards softmax: Bengio et al. 2013, arXiv:1308.3432."""
    first = max(range(len(scores)), key=lambda k: scores[k], default=None)
    return [float(k == first) for k in range(len(scores))]


def gumbel(scores: Vector, *, temperature: float, uniform: Vector | None = None) -> list[float]:
    """softmax((s - ln(-ln u)) / temperature) with a uniform u for each score, or without that term.

    Jang et al. 2017, arXiv:1611.01144, eq. 2.
    """
    noise = [0.0] * len(scores) if uniform is None else [-log(-log(u)) for u in uniform]
    return softmax([(score + each) / temperature for score, each in zip(scores, noise, strict=True)])


def sigmoid(scores: Vector, *, offset: float | None = None) -> list[float]:
    """1 / (1 + exp(offset - s)), with offset ln k for k scores where none is given.

    Ramapuram et al. 2024, arXiv:2409.04431, eq. 3.
    """
    if offset is None and scores:
        return [1 / (1 + len(scores) * exp(-score)) for score in scores]
    return [1 / (1 + exp((offset or 0.0) - score)) for score in scores]


def pointwise(scores: Vector, *, activation: str = "relu", divide: bool = True) -> list[float]:
    """f(s) / k for k scores, or f(s). Wortsman et al. 2023, arXiv:2309.08586, section 3."""
    return [each / (len(scores) if divide else 1) for each in activated(scores, activation)]


def signed(scores: Vector) -> list[float]:
    """sign(s) exp|s| / sum exp|s|. Lv et al. 2024, arXiv:2411.07176."""
    sizes = softmax([abs(score) for score in scores])
    return [0.0 if score == 0 else copysign(size, score) for size, score in zip(sizes, scores, strict=True)]


def over_queries(scores: Matrix, visible: Sequence[Sequence[bool]]) -> list[list[float]]:
    """Each column (a key) a softmax over the queries that see it, then each row (a query) over its sum.

    Locatello et al. 2020, arXiv:2006.15055, algorithm 1, without its 1e-8.
    """
    shares = [[0.0] * len(row) for row in scores]
    for k in range(len(scores[0]) if scores else 0):
        asking = [q for q in range(len(scores)) if visible[q][k]]
        for q, share in zip(asking, softmax([scores[q][k] for q in asking]), strict=True):
            shares[q][k] = share
    totals = [fsum(row) for row in shares]
    return [[each / total if total else 0.0 for each in row] for row, total in zip(shares, totals, strict=True)]
