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
    gate: Annotated[Literal["sigmoid"] | None, Absent] = None
    """Of the shared map of experts alone: its output times sigmoid(x w), one number a token, as Qwen has it. Yang et
    al. 2024 (Qwen2), arXiv:2407.10671, section 2.2.2, and the released code."""


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


Dense = Swiglu | Geglu | GegluTanh | Reglu | Glu | Relu | Gelu | GeluTanh | QuickGelu | Silu | ReluSquared | Tanh
"""The kinds that are one map for all tokens."""


class Router(Spec):
    """Scores of the experts, W x + b in float32, and the weights of those that a token is sent to.

    With groups, the experts lie in groups of one size, a group counts as much as its two best experts together, and
    only experts of the best groups are chosen: DeepSeek-AI 2024 (DeepSeek-V3), arXiv:2412.19437, section 2.1.2.
    """

    score: Literal["softmax", "sigmoid"] = "softmax"
    normalize: Literal["selected", "all"] = "selected"
    """`selected` divides the weights by the sum over the chosen experts, `all` leaves the scores over all experts."""
    scale: Positive = 1.0
    """A factor on the weights. DeepSeek-V3 has 2.5."""
    groups: Count = 1
    active_groups: Count = 1
    bias: Bool = False


class Auxiliary(Spec):
    """weight E sum_e f_e P_e is added to the loss, f_e the share of the choices that fall on expert e of E, P_e the
    mean of its score over the tokens. Where all are used alike it is the weight. Fedus et al. 2021, arXiv:2101.03961.
    """

    kind: Literal["auxiliary"] = "auxiliary"
    weight: Positive = 0.01


class Bias(Spec):
    """A number b_e for each expert, added to its score where experts are chosen and nowhere else: weights are of the
    scores. After each step it grows by `rate` where the expert had less than the mean of the choices, and falls by
    `rate` where it had more; no loss pulls at the router. Wang et al. 2024, arXiv:2408.15664, algorithm 1.
    """

    kind: Literal["bias"] = "bias"
    rate: Positive = 0.001


class NoBalance(Spec):
    """Nothing keeps the router from a few experts."""

    kind: Literal["none"] = "none"


class Experts(FeedforwardKind):
    """Each token goes to `active` of several feed-forward maps, whose outputs are added by the router's weights.

    Every token is served, whatever the others choose, unless capacity says otherwise. Shazeer et al. 2017,
    arXiv:1701.06538, eq. 1; weights as in Jiang et al. 2024 (Mixtral), arXiv:2401.04088, section 2.1, or Fedus et al.
    2021 with normalize: all.
    """

    kind: Literal["experts"] = "experts"
    experts: Count
    active: Count
    """Experts for each token."""
    expert: Annotated[Dense, Kinds("expert"), Derived("swiglu")]
    shared: Annotated[Annotated[Dense, Kinds("expert")] | None, Absent] = None
    """A map that every token goes through as well. Dai et al. 2024, arXiv:2401.06066, section 3.2."""
    capacity: Annotated[Positive | None, Absent] = None
    """In training, the most choices that an expert serves, in even shares: ceil(capacity active tokens / experts),
    first choices before second ones, earlier tokens before later ones; what is over gives zeros. Fedus et al. 2021,
    arXiv:2101.03961, eq. 3; Lepikhin et al. 2020, arXiv:2006.16668, algorithm 1. Elsewhere every token is served, so
    that what a token becomes does not depend on its neighbours in a batch."""
    router: Router = Router()
    balance: Annotated[Auxiliary | Bias | NoBalance, Kinds("balance")] = Auxiliary()

    def faults(self) -> Iterator[Fault]:
        router = self.router
        if self.active >= self.experts:
            rule = f"{self.active} of {self.experts} experts leave nothing to choose"
            yield Fault(("active",), rule, "write fewer active than experts, or a plain feed-forward kind")
        if self.capacity is not None and self.capacity * self.active >= self.experts:
            rule = f"with capacity {self.capacity:g} an expert has room for every token, so none is ever left out"
            yield Fault(("capacity",), rule, f"write less than experts / active = {self.experts / self.active:g}")
        if self.experts % router.groups:
            yield Fault(("router", "groups"), f"{router.groups} groups do not divide {self.experts} experts", "divide")
        elif router.groups > 1 and router.active_groups >= router.groups:
            yield Fault(("router", "active_groups"), "all groups are active", "write fewer, or leave groups out")
        elif router.active_groups * (self.experts // router.groups) < self.active:
            size = self.experts // router.groups
            rule = f"{router.active_groups} groups of {size} have fewer than {self.active} experts"
            yield Fault(("router", "active_groups"), rule, "write more active_groups")
        if self.active == 1 and router.normalize == "selected":
            rule = "the weight of one expert, divided by itself, is 1 and teaches the router nothing"
            yield Fault(
                ("router", "normalize"), rule, "write router: {normalize: all}, as the Switch Transformer has it"
            )


Feedforward = Annotated[
    Swiglu | Geglu | GegluTanh | Reglu | Glu | Relu | Gelu | GeluTanh | QuickGelu | Silu | ReluSquared | Tanh | Experts,
    Kinds("feedforward"),
]
Gated = Swiglu | Geglu | GegluTanh | Reglu | Glu
"""The kinds with a gate."""
UNGATED = (Relu, Gelu, GeluTanh, QuickGelu, Silu, ReluSquared, Tanh)
GATED = (Swiglu, Geglu, GegluTanh, Reglu, Glu)
