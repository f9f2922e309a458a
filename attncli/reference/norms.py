"""Normalization of a vector of features."""

from math import fsum, sqrt, tanh

from attncli.reference.vectors import Vector, dot


def layer_norm(x: Vector, *, gain: Vector, bias: Vector | None = None, epsilon: float = 1e-5) -> list[float]:
    """(x - mean) / sqrt(variance + epsilon) g + b, the variance over n. Ba et al. 2016, arXiv:1607.06450, eq. 4."""
    mean = fsum(x) / len(x)
    centred = [each - mean for each in x]
    size = sqrt(dot(centred, centred) / len(x) + epsilon)
    added = [0.0] * len(x) if bias is None else bias
    return [each / size * g + b for each, g, b in zip(centred, gain, added, strict=True)]


def rms_norm(x: Vector, *, gain: Vector, epsilon: float = 1e-6) -> list[float]:
    """x / sqrt(mean(x^2) + epsilon) g. Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4."""
    size = sqrt(dot(x, x) / len(x) + epsilon)
    return [each / size * g for each, g in zip(x, gain, strict=True)]


def scale_norm(x: Vector, *, gain: float, epsilon: float = 1e-5) -> list[float]:
    """x / max(|x|, epsilon) g. Nguyen & Salazar 2019, arXiv:1910.05895, eq. 3."""
    size = max(sqrt(dot(x, x)), epsilon)
    return [each / size * gain for each in x]


def dynamic_tanh(x: Vector, *, alpha: float, gain: Vector, bias: Vector) -> list[float]:
    """tanh(alpha x) g + b. Zhu et al. 2025, arXiv:2503.10622, eq. 3."""
    return [tanh(alpha * each) * g + b for each, g, b in zip(x, gain, bias, strict=True)]
