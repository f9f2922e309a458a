"""What training makes small."""

from math import exp, fsum, log

from attncli.reference.vectors import Vector


def log_softmax(logits: Vector) -> list[float]:
    """ln softmax(s) = s - ln sum exp(s)."""
    most = max(logits)
    total = most + log(fsum(exp(each - most) for each in logits))
    return [each - total for each in logits]


def cross_entropy(logits: Vector, label: int, *, label_smoothing: float = 0.0) -> float:
    """-(1 - e) ln p_label - e mean_c ln p_c, in nats. Szegedy et al. 2016, arXiv:1512.00567, section 7."""
    logs = log_softmax(logits)
    return -(1 - label_smoothing) * logs[label] - label_smoothing * fsum(logs) / len(logs)
