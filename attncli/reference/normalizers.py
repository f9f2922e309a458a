"""How scores (k) become weights (k) that are not negative. No scores give no weights."""

from math import exp, fsum, log1p

from attncli.reference.vectors import Vector

BISECTIONS = 200


def softmax(scores: Vector) -> list[float]:
    """exp(s) / sum exp(s)."""
    most = max(scores, default=0.0)
    raised = [exp(score - most) for score in scores]
    total = fsum(raised)
    return [each / total for each in raised]


def activated(scores: Vector, activation: str) -> list[float]:
    """The f of `sum`, which makes scores not negative: relu, absolute, square or softplus ln(1 + exp s)."""
    match activation:
        case "relu":
            return [max(score, 0.0) for score in scores]
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
