"""The map that every position goes through alone. Mirrored by attncli/nn/feedforward.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from attncli.spec.base import Absent, Bool, Count, Derived, Fault, Kinds, Positive, Rate, Real, Spec
from attncli.spec.norms import NoNorm, Norm, NormPlace
from attncli.spec.residuals import Add, Residual


class FeedforwardKind(Spec):
    """What a feed-forward branch of any kind has."""

    norm: Annotated[Norm | None, Derived("the stack's")] = None
    norm_place: Annotated[NormPlace, Derived("the stack's")] = "none"
    residual: Annotated[Residual, Derived("the stack's")] = Add()


class _Feedforward(FeedforwardKind):
    d_ff: Annotated[Count, Derived("4 d_model; for gated kinds 8/3 d_model up to a multiple of 32")]
    bias: Annotated[Bool, Derived("the stack's")]
    dropout: Annotated[Rate, Derived("the stack's")]
    """On the hidden units."""
    inner_norm: Norm = NoNorm()
    """On the hidden units, before the output map. Shleifer et al. 2021 (NormFormer), arXiv:2110.09456, section 2."""


class _Gated(_Feedforward):
    clamp: Annotated[Positive | None, Absent] = None
    """Holds the gate below it, and the other half on both sides, as gpt-oss does."""
    slope: Positive = 1.0
    """A factor inside the sigmoid or the normal distribution of the gate: u sigmoid(slope u). gpt-oss has 1.702."""
    up_offset: Real = 0.0
    """Added to the half that is not the gate. gpt-oss has 1."""


class Swiglu(_Gated):
    """(silu(x W) * x V) W_out. Shazeer 2020, arXiv:2002.05202, eq. 6."""

    kind: Literal["swiglu"] = "swiglu"


class Geglu(_Gated):
    """(gelu(x W) * x V) W_out. Shazeer 2020, arXiv:2002.05202, eq. 6."""

    kind: Literal["geglu"] = "geglu"


class GegluTanh(_Gated):
    """geglu with the tanh approximation of gelu, as Gemma computes it. Shazeer 2020, arXiv:2002.05202, eq. 6."""

    kind: Literal["geglu_tanh"] = "geglu_tanh"


class Reglu(_Gated):
    """(relu(x W) * x V) W_out. Shazeer 2020, arXiv:2002.05202, eq. 6."""

    kind: Literal["reglu"] = "reglu"

    def faults(self) -> Iterator[Fault]:
        if self.slope != 1:
            yield Fault(("slope",), "relu has no sigmoid that could be steeper", "leave slope out")


class Glu(_Gated):
    """(sigmoid(x W) * x V) W_out. Dauphin et al. 2017, arXiv:1612.08083, eq. 1; Shazeer 2020, arXiv:2002.05202."""

    kind: Literal["glu"] = "glu"


class Relu(_Feedforward):
    """relu(x W) W_out. Vaswani et al. 2017, arXiv:1706.03762, eq. 2."""

    kind: Literal["relu"] = "relu"


class Gelu(_Feedforward):
    """x Phi(x) with the exact normal distribution. Hendrycks & Gimpel 2016, arXiv:1606.08415."""

    kind: Literal["gelu"] = "gelu"


class GeluTanh(_Feedforward):
    """The tanh approximation of gelu, as GPT-2 computes it. Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2."""

    kind: Literal["gelu_tanh"] = "gelu_tanh"


class QuickGelu(_Feedforward):
    """x sigmoid(1.702 x), as CLIP computes it. Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2."""

    kind: Literal["quick_gelu"] = "quick_gelu"


class Silu(_Feedforward):
    """x sigmoid(x). Elfwing et al. 2017, arXiv:1702.03118, eq. 2."""

    kind: Literal["silu"] = "silu"


class ReluSquared(_Feedforward):
    """max(x, 0)^2. So et al. 2021 (Primer), arXiv:2109.08668, section 3."""

    kind: Literal["relu_squared"] = "relu_squared"


class Tanh(_Feedforward):
    """tanh(x). The hidden units of the first networks: Rumelhart et al. 1986."""

    kind: Literal["tanh"] = "tanh"


Feedforward = Annotated[
    Swiglu | Geglu | GegluTanh | Reglu | Glu | Relu | Gelu | GeluTanh | QuickGelu | Silu | ReluSquared | Tanh,
    Kinds("feedforward"),
]
Gated = Swiglu | Geglu | GegluTanh | Reglu | Glu
"""The kinds with a gate."""
UNGATED = (Relu, Gelu, GeluTanh, QuickGelu, Silu, ReluSquared, Tanh)
GATED = (Swiglu, Geglu, GegluTanh, Reglu, Glu)
