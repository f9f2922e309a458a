"""The map that every position goes through alone."""

from math import erf, pi, sqrt, tanh
from typing import NamedTuple

from attncli.reference.recurrent import sigmoid
from attncli.reference.vectors import Matrix, Vector, affine, times


def activation(kind: str, x: float) -> float:
    """The function of a feed-forward kind, at one number.

    relu max(x, 0); gelu x Phi(x), and its tanh approximation (Hendrycks & Gimpel 2016, arXiv:1606.08415); silu
    x sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118). swiglu gates with silu, geglu with gelu.
    """
    match kind:
        case "relu":
            return max(x, 0.0)
        case "gelu" | "geglu":
            return x * (1 + erf(x / sqrt(2))) / 2
        case "gelu_tanh":
            return x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2
        case "silu" | "swiglu":
            return x * sigmoid(x)
        case _:
            raise ValueError(f"there is no activation '{kind}'")


class MapWeights(NamedTuple):
    """A linear map as torch keeps it: weight (outputs inputs), bias (outputs)."""

    weight: Matrix
    bias: Vector | None = None


def feedforward(
    x: Vector, kind: str, *, hidden: MapWeights, output: MapWeights, gate: MapWeights | None = None
) -> list[float]:
    """f(W x + b), or f(V x + c) * (W x + b) where there is a gate V, mapped back by the output.

    Vaswani et al. 2017, arXiv:1706.03762, eq. 2; Shazeer 2020, arXiv:2002.05202, eq. 6, whose W is the gate and whose V
    is `hidden`.
    """
    opened = affine(x, *hidden)
    if gate is None:
        opened = [activation(kind, each) for each in opened]
    else:
        opened = times([activation(kind, each) for each in affine(x, *gate)], opened)
    return affine(opened, *output)
