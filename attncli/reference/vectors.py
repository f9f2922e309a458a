"""Products of vectors and matrices, sums rounded once (math.fsum)."""

from collections.abc import Sequence
from math import fsum, sqrt
from operator import mul

Vector = Sequence[float]
Matrix = Sequence[Sequence[float]]


def dot(a: Vector, b: Vector) -> float:
    """sum_i a_i b_i."""
    if len(a) != len(b):
        raise ValueError(f"a vector of {len(a)} numbers meets one of {len(b)}")
    return fsum(map(mul, a, b))


def length(a: Vector) -> float:
    """|a|_2."""
    return sqrt(dot(a, a))


def plus(a: Vector, b: Vector) -> list[float]:
    """a + b."""
    return [x + y for x, y in zip(a, b, strict=True)]


def times(a: Vector, b: Vector) -> list[float]:
    """Feature by feature."""
    return [x * y for x, y in zip(a, b, strict=True)]


def transposed(matrix: Matrix) -> list[list[float]]:
    """Rows become columns."""
    return [list(column) for column in zip(*matrix, strict=True)]


def row_times(row: Vector, matrix: Matrix) -> list[float]:
    """x W: x (n) and W (n m) to (m)."""
    return [dot(row, column) for column in transposed(matrix)]


def product(a: Matrix, b: Matrix) -> list[list[float]]:
    """A B: (n m) and (m k) to (n k)."""
    return [row_times(row, b) for row in a]


def affine(x: Vector, weight: Matrix, bias: Vector | None = None) -> list[float]:
    """W x + b with W (outputs inputs), as torch.nn.Linear keeps it."""
    mapped = [dot(row, x) for row in weight]
    return mapped if bias is None else plus(mapped, bias)
