"""How a branch joins the residual stream. Mirrored by attncli/nn/residuals.py.

x is the stream and f what the branch gives, after its dropout and a norm of its output.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from attncli.spec.base import Fault, Kinds, Positive, Real, Spec


class Add(Spec):
    """x + f. He et al. 2016, arXiv:1512.03385, eq. 1."""

    kind: Literal["add"] = "add"


class Scaled(Spec):
    """x + by f. A half in Macaron layers (Lu et al. 2019, arXiv:1906.02762, eq. 11) and in the Conformer (Gulati et al.
    2020, arXiv:2005.08100, eq. 1)."""

    kind: Literal["scaled"] = "scaled"
    by: Positive

    def faults(self) -> Iterator[Fault]:
        if self.by == 1:
            yield Fault(("by",), "a factor of 1 changes nothing", "write residual: add")


class DeepNorm(Spec):
    """norm(alpha x + f), with the maps of values, outputs and feed-forward layers drawn smaller by beta. Wang et al.
    2022, arXiv:2203.00555, fig. 2.

    One stack of N layers: alpha = (2N)^(1/4), beta = (8N)^(-1/4). With an encoder of N and a decoder of M layers: the
    encoder has alpha = 0.81 (N^4 M)^(1/16), beta = 0.87 (N^4 M)^(-1/16), the decoder alpha = (3M)^(1/4),
    beta = (12M)^(-1/4). It needs norm_place: post.
    """

    kind: Literal["deepnorm"] = "deepnorm"


class ReZero(Spec):
    """x + a f with one learned number a, from 0. Bachlechner et al. 2020, arXiv:2003.04887, eq. 1."""

    kind: Literal["rezero"] = "rezero"


class LayerScale(Spec):
    """x + g f with a learned number for each feature. Touvron et al. 2021, arXiv:2103.17239, eq. 4."""

    kind: Literal["layer_scale"] = "layer_scale"
    start: Positive = 1e-5


class Gated(Spec):
    """x + tanh(a) f with one learned number a. Alayrac et al. 2022 (Flamingo), arXiv:2204.14198, section 2.2."""

    kind: Literal["gated"] = "gated"
    start: Real = 0.0


Residual = Annotated[Add | Scaled | DeepNorm | ReZero | LayerScale | Gated, Kinds("residual")]


def deepnorm(depth: int, *, read_by: int | None, reads: bool) -> tuple[float, float]:
    """alpha and beta of DeepNorm in a stack of `depth` layers; `read_by` layers of a decoder, or it reads an encoder.

    Wang et al. 2022, arXiv:2203.00555, fig. 2.
    """
    if read_by is not None:
        mixed = (depth**4 * read_by) ** (1 / 16)
        return 0.81 * mixed, 0.87 / mixed
    if reads:
        return (3 * depth) ** (1 / 4), (12 * depth) ** (-1 / 4)
    return (2 * depth) ** (1 / 4), (8 * depth) ** (-1 / 4)
