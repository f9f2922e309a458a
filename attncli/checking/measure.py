"""How far two results are apart."""

import math
from typing import NamedTuple

from torch import Tensor

TOLERANCE = 1e-8
"""Of a difference, beside the largest of the numbers compared (or 1)."""


class Measure(NamedTuple):
    """One comparison: how far off, and where."""

    error: float
    witness: str


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, beside the largest number (or 1); infinite where there is a NaN or the shapes differ."""
    if one.shape != other.shape:
        return math.inf
    if not one.numel():
        return 0.0
    size = max(1.0, float(other.abs().max()))
    found = float((one - other).abs().max()) / size
    return found if math.isfinite(found) else math.inf
