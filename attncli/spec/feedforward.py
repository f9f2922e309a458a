"""The map that every position goes through alone. Mirrored by attncli/nn/feedforward.py."""

from typing import Annotated, Literal

from attncli.spec.base import Bool, Count, Derived, Kinds, Rate, Spec
from attncli.spec.norms import Norm, NormPlace


class _Feedforward(Spec):
    d_ff: Annotated[Count, Derived("4 d_model; for gated kinds 8/3 d_model up to a multiple of 32")]
    bias: Annotated[Bool, Derived("the stack's")]
    dropout: Annotated[Rate, Derived("the stack's")]
    """On the hidden units."""
    norm: Annotated[Norm, Derived("the stack's")]
    norm_place: Annotated[NormPlace, Derived("the stack's")]


class Swiglu(_Feedforward):
    """(silu(x W) * x V) W_out. Shazeer 2020, arXiv:2002.05202, eq. 6."""

    kind: Literal["swiglu"] = "swiglu"


class Geglu(_Feedforward):
    """(gelu(x W) * x V) W_out. Shazeer 2020, arXiv:2002.05202, eq. 6."""

    kind: Literal["geglu"] = "geglu"


class Relu(_Feedforward):
    """relu(x W) W_out. Vaswani et al. 2017, arXiv:1706.03762, eq. 2."""

    kind: Literal["relu"] = "relu"


class Gelu(_Feedforward):
    """x Phi(x) with the exact normal distribution. Hendrycks & Gimpel 2016, arXiv:1606.08415."""

    kind: Literal["gelu"] = "gelu"


class GeluTanh(_Feedforward):
    """The tanh approximation of gelu, as GPT-2 computes it. Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2."""

    kind: Literal["gelu_tanh"] = "gelu_tanh"


class Silu(_Feedforward):
    """x sigmoid(x). Elfwing et al. 2017, arXiv:1702.03118, eq. 2."""

    kind: Literal["silu"] = "silu"


Feedforward = Annotated[Swiglu | Geglu | Relu | Gelu | GeluTanh | Silu, Kinds("feedforward")]
GATED = (Swiglu, Geglu)
