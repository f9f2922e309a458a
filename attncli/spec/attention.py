"""One attention: its heads, and the choices that each head makes. Mirrored by attncli/nn/attention.py.

The order of one attention is fixed: project, short_convolution, qk_norm, position's turn, score with its scale,
length_temperature, soft_cap, position bias, talking_heads, mask with padding and documents, key_dropout, selective,
select, sink, normalizer in float32, span, cast, dropout, talking_heads, difference, times the values, context_norm,
head_scale, gate, output. A key that is not written leaves its step out. `persistent` keys are seen under every mask.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from attncli.spec.base import Absent, Bool, Count, Derived, Fault, Int, Kinds, Positive, Rate, Spec, Text, Written
from attncli.spec.delta import Delta, GatedDelta
from attncli.spec.fixed import PROJECTIONS, Fixed, Maps, Projection
from attncli.spec.linear import Linear, Performer
from attncli.spec.masks import MaskField
from attncli.spec.normalizers import Normalizer, Softmax
from attncli.spec.norms import NoNorm, Norm, NormPlace, RmsNorm
from attncli.spec.positions import Cope, Relative, Rotary, Shaw, Xpos
from attncli.spec.residuals import Add, Residual
from attncli.spec.retention import Retention
from attncli.spec.scores import ScaledDot, Score
from attncli.spec.spans import NoSpan, Predicted, Span
from attncli.spec.steps import All, LengthTemperature, NoTemperature, QkNorm, Select


def _read_projections(value: Any) -> Any:
    """`all`, `none`, true and false are words for the full and the empty list."""
    if value is True or value == "all":
        return PROJECTIONS
    if value is False or value == "none":
        return ()
    return tuple(value) if isinstance(value, list) else value


def _write_projections(value: tuple[Projection, ...]) -> Any:
    return {PROJECTIONS: "all", (): "none"}.get(value, list(value))


def _write_bias(value: tuple[Projection, ...]) -> Any:
    return {PROJECTIONS: True, (): False}.get(value, list(value))


Width = Annotated[int, Field(ge=2, strict=True)]
_SOME = Written(Literal["all", "none"], Maps)
_BIASED = Written(bool, Maps)


STEPS = (
    "kv_from", "values", "short_convolution", "qk_norm", "v_norm", "value_residual", "persistent", "qk_clip",
    "length_temperature", "soft_cap", "talking_heads", "selective", "select", "sink", "span", "key_dropout",
    "context_norm", "head_scale", "gate", "output",
)  # fmt: skip
"""Keys that ask for a step which is not there otherwise, in the order of the steps."""


class MultiHead(Spec):
    """Scores, weights and mixtures in several heads at once. Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.

    With fewer kv_heads than heads, query head h reads key and value head h // (heads / kv_heads): grouped-query
    attention, Ainslie et al. 2023, arXiv:2305.13245.
    """

    maps_a_head: ClassVar[int] = 1
    """Maps of weights that a head makes its mixture of."""

    kind: Literal["multi_head"] = "multi_head"
    heads: Annotated[Count, Derived("max(1, d_model // 64)")]
    kv_heads: Annotated[Count, Derived("heads")]
    d_head: Annotated[Count, Derived("d_model // heads")]
    """Width of the query and key of one head."""
    d_value: Annotated[Count, Derived("d_head")]
    """Width of the value of one head."""
    projections: Annotated[Maps, BeforeValidator(_read_projections), PlainSerializer(_write_projections), _SOME] = (
        PROJECTIONS
    )
    """Which of the four linear maps exist; without them the states themselves are query, key, value or output."""
    bias: Annotated[
        Maps, BeforeValidator(_read_projections), PlainSerializer(_write_bias), _BIASED, Derived("the stack's")
    ]
    """Which of those maps add a bias; `true` is each of them."""
    second_projections: Annotated[MaskField | None, Absent] = None
    """Rows, by an expression of q, that ask, and read all keys and values, by maps of their own: q < 1 beside the mask
    global(1). Beltagy et al. 2020, arXiv:2004.05150, section 3.1."""
    kv_from: Annotated[Text | None, Absent] = None
    """Reads the keys and values of the nearest earlier layer of that name, and has no maps for them. Brandon et al.
    2024, arXiv:2405.12981; one name with many readers is YOCO, Sun et al. 2024, arXiv:2405.05254."""
    values: Literal["own", "keys"] = "own"
    """`keys`: the keys are the values too, as each query meets them: turned to its place, so that a mixture holds
    distances and no places. There is no value map, and a cache keeps one tensor. DeepSeek-V4 2026."""
    short_convolution: Annotated[Width | None, Absent] = None
    """w: each feature of the queries, keys and values becomes c_0 x_n + c_1 x_(n-1) + … over w places of its text, with
    weights c of its own; the places are the last w, or under a mask that looks ahead the w around, w odd. Places of
    other texts count 0. c_0 is 1/2 at the start, the others 1 / 2w. So et al. 2021 (Primer), arXiv:2109.08668."""
    qk_norm: QkNorm = NoNorm()
    """A norm of queries and of keys, before they are turned."""
    v_norm: Norm = NoNorm()
    """A norm of the values, with one gain a kv head."""
    value_residual: Literal["none", "first"] = "none"
    """Values become a V + b V_1 with V_1 those of the first layer's attention; a and b are learned and 1/2 at the
    start. It does nothing in the first layer itself. Zhou et al. 2024, arXiv:2410.17897, eq. 5."""
    persistent: Int = 0
    """Learned keys and values beside those that are read: seen under every mask, without a position. Sukhbaatar et al.
    2019, arXiv:1907.01470, eq. 9."""
    qk_clip: Annotated[Positive | None, Absent] = None
    """tau: where the largest score s = scale q . k of a head in an optimizer step was above tau, its query and key maps
    are multiplied by (tau / s)^(1/2) after the step, and where other heads read its key, the query map by tau / s. Kimi
    K2 2025, arXiv:2507.20534, section 2.1, with tau = 100."""
    score: Annotated[Score, Derived("scaled_dot")]
    length_temperature: LengthTemperature = NoTemperature()
    """A factor on the scores that grows with the position of the query."""
    soft_cap: Annotated[Positive | None, Absent] = None
    """c: scores s become c tanh(s / c), before the position's bias. Gemma 2 (2024) has 50."""
    position: Annotated[Relative, Derived("rotary, unless the input has positions")]
    mask: Annotated[MaskField, Derived("causal in `decoder`, else full")]
    talking_heads: Literal["none", "before", "after", "both"] = "none"
    """Mixes the heads: P S of the scores before the mask, P W of the weights after dropout, or both; P (h h) is
    learned and starts as the identity. Shazeer et al. 2020, arXiv:2003.02436."""
    selective: Literal["none", "first_head"] = "none"
    """first_head: the first head's scores, where they are positive, say which keys later queries need no more. All
    scores become s - F, F_qk the sum of relu(s_pk) over the queries p before q that see k, k neither p itself nor the
    first token of a text: no head has a parameter for it. In causal self-attention. Leviathan et al. 2024,
    arXiv:2410.02703, section 3."""
    select: Select = All()
    sink: Literal["none", "learned", "zero"] = "none"
    """A logit of each head that takes its share and gives no value: learned and 0 at the start (gpt-oss, 2025), or
    fixed at 0, the softmax-plus-one of Miller 2023. Rows then sum to less than 1."""
    normalizer: Normalizer = Softmax()
    span: Span = NoSpan()
    """How far the attention reaches, beyond what the mask hides: a factor on the weights."""
    dropout: Annotated[Rate, Derived("the stack's")]
    """On the weights."""
    key_dropout: Rate = 0.0
    """While training, hides keys whole: r of the keys of a row, drawn anew in each step, from all queries, heads and
    layers that hide alike, where r is drawn for each row between 0 and this. The first token of a text always stays,
    and each token sees itself. Forgetful causal masking, Liu et al. 2022, arXiv:2210.13432, whose best is 0.15."""
    context_norm: Norm = NoNorm()
    """A norm of each head's mixture of values, with one gain for all heads."""
    head_scale: Literal["none", "learned"] = "none"
    """A learned factor on each head's mixture, 1 at the start. Shleifer et al. 2021, arXiv:2110.09456, section 2."""
    gate: Literal["none", "sigmoid", "sigmoid_per_head"] = "none"
    """sigmoid(x W) of the states that ask times the heads' mixtures: a gate for each feature, or one for each head.
    Qiu et al. 2025, arXiv:2505.06708; Qwen3-Next."""
    output: Literal["linear", "attention_on_attention"] = "linear"
    """What the output map is: c W_o of the mixtures c, or (W [c, x] + b) * sigmoid(W' [c, x] + b') with the states x
    that ask. Huang et al. 2019, arXiv:1908.06954, eq. 3 to 6; they write x W_q for x, their code has x."""
    norm: Annotated[Norm, Derived("the stack's")]
    norm_place: Annotated[NormPlace, Derived("the stack's")]
    residual: Annotated[Residual, Derived("the stack's")] = Add()
    kernel: Literal["auto", "fused", "banded", "flex", "chunked", "reference"] = "auto"
    """What computes it, alike to rounding; auto chooses by what the attention is, and `build` says why. fused: torch's,
    which holds no weights; banded: blocks of keys near their queries; flex: FlexAttention on CUDA, without the blocks
    that a mask hides; chunked: some queries at a time, made again backward; reference: all weights."""

    @property
    def without_kernel(self) -> tuple[str, ...]:
        """The keys that ask for steps which the fused kernel has not, in the order of the steps."""
        whole = isinstance(self.position, Cope) or (isinstance(self.position, Shaw) and self.position.on == "both")
        asked = {
            "soft_cap": self.soft_cap is not None,
            f"position {self.position.kind}": whole,
            "talking_heads": self.talking_heads != "none",
            "selective": self.selective != "none",
            "select": not isinstance(self.select, All),
            "span": not isinstance(self.span, NoSpan),
        }
        return tuple(key for key, written in asked.items() if written)

    def maps(self, name: Projection) -> bool:
        """Whether the keys (or values, or …) of this attention are made by a map, its own or that of `kv_from`."""
        if name == "value" and self.values == "keys":
            name = "key"
        return name in self.projections or (self.kv_from is not None and name in ("key", "value"))

    @property
    def sums_to_one(self) -> bool:
        """Whether no step after or beside the normalizer takes mass from a row of weights or gives it some."""
        takes = self.sink != "none" or isinstance(self.span, Predicted)
        return not takes and self.talking_heads in ("none", "before")

    def faults(self) -> Iterator[Fault]:
        if self.heads % self.kv_heads:
            yield Fault(
                ("kv_heads",),
                f"kv_heads must divide heads, but {self.heads} / {self.kv_heads} leaves {self.heads % self.kv_heads}",
                "each kv head serves the same number of query heads",
            )
        if isinstance(self.position, (Rotary, Xpos)) and self.position.d_rotary > self.d_head:
            yield Fault(
                ("position", "d_rotary"),
                f"d_rotary {self.position.d_rotary} is wider than a head, {self.d_head}",
                "write at most d_head",
            )


class Differential(MultiHead):
    """(softmax(Q_1 K_1' / sqrt(d_head)) - l softmax(Q_2 K_2' / sqrt(d_head))) V: what two maps share is taken away.

    l = exp(a_1 . b_1) - exp(a_2 . b_2) + l_0 with vectors a and b that the heads of a layer share, and the mixture of
    each head, normed, is multiplied by 1 - l_0. A head is a pair of maps; the map that is shown is the difference.
    Ye et al. 2024, arXiv:2410.05258, eq. 1 to 3. Weights may be negative, and a row sums to 1 - l. Dropout, which the
    paper has not, falls on both maps.
    """

    maps_a_head: ClassVar[int] = 2

    kind: Literal["differential"] = "differential"  # type: ignore[assignment]  # a kind has a word of its own
    heads: Annotated[Count, Derived("max(1, d_model // 128)")]
    """Pairs of maps."""
    d_head: Annotated[Count, Derived("d_model // 2 heads")]
    """Width of the query and key of one map."""
    d_value: Annotated[Count, Derived("2 d_head")]
    """Width of the value of one pair."""
    context_norm: Norm = RmsNorm(epsilon=1e-5)
    """A norm of each pair's mixture, with one gain for all pairs; 1 - l_0 comes after it."""
    start: Literal["by_depth"] | Rate = "by_depth"
    """l_0; by_depth is 0.8 - 0.6 exp(-0.3 layer), layers counted from 0."""
    pairs: Literal["neighbours", "halves"] = "neighbours"
    """Which maps are a pair: 2h and 2h + 1 as the authors' code, or h and h + heads as transformers has it."""

    @property
    def without_kernel(self) -> tuple[str, ...]:
        return (*super().without_kernel, "difference of maps")

    @property
    def sums_to_one(self) -> bool:
        return False


class Latent(Fixed):
    """Keys and values of all heads from one narrow latent a token: k = [U_k c, r], v = U_v c with c = norm(W x).

    r = turn(W_r x) is one key that all heads share, the only part that a position turns; q = [U_q c', turn(U_r c')]
    with c' = norm(W' x), or x itself without q_rank. Scores are divided by sqrt(d_head + d_rotary). A cache holds c
    and r: kv_rank + d_rotary numbers a token. DeepSeek-AI 2024 (V2), arXiv:2405.04434, section 2.1, eq. 9 to 19.
    """

    normalizer: ClassVar[Softmax] = Softmax()
    context_norm: ClassVar[NoNorm] = NoNorm()
    gate: ClassVar[Literal["none"]] = "none"

    kind: Literal["latent"] = "latent"
    heads: Annotated[Count, Derived("max(1, d_model // 64)")]
    q_rank: Annotated[Count | None, Absent] = None
    """Width of the latent that queries are made of; without it they are made of the states."""
    kv_rank: Count
    """Width of the latent that keys and values are made of."""
    d_head: Annotated[Count, Derived("d_model // heads")]
    """Width of the part of a query and a key that no position turns."""
    d_rotary: Annotated[Count, Derived("d_head // 2")]
    """Width of the part that a position turns; the key's is shared by all heads."""
    d_value: Annotated[Count, Derived("d_head")]
    """Width of the value of one head."""
    bias: Annotated[Bool, Derived("the stack's")]
    """Of the maps from the states to the latents, and of the output map."""
    position: Annotated[Relative, Derived("rotary, unless the input has positions")]
    mask: Annotated[MaskField, Derived("causal in `decoder`, else full")]
    dropout: Annotated[Rate, Derived("the stack's")]
    """On the weights."""
    norm: Annotated[Norm, Derived("the stack's")]
    norm_place: Annotated[NormPlace, Derived("the stack's")]
    residual: Annotated[Residual, Derived("the stack's")] = Add()
    kernel: Literal["auto", "fused", "banded", "flex", "chunked", "reference"] = "auto"

    @property
    def kv_heads(self) -> int:
        """Each head has keys and values of its own, made of the one latent."""
        return self.heads

    @property
    def score(self) -> ScaledDot:
        """The dot product over both parts of a head."""
        return ScaledDot(scale=(self.d_head + self.d_rotary) ** -0.5)

    def faults(self) -> Iterator[Fault]:
        if isinstance(self.position, Rotary) and self.position.d_rotary > self.d_rotary:
            rule = f"d_rotary {self.position.d_rotary} is wider than the part that turns, {self.d_rotary}"
            yield Fault(("position", "d_rotary"), rule, "write at most d_rotary of the attention")


AnyAttention = MultiHead | Latent | Linear | Performer | Retention | Delta | GatedDelta
ATTENTIONS = (MultiHead, Latent, Linear, Performer, Retention, Delta, GatedDelta)
"""The classes of every kind of attention; what a kind has no key for, it has as a constant."""


class CrossAttention(MultiHead):
    """An attention whose keys and values are the states of another stack."""

    stack: Annotated[Text, Derived("encoder")]


class CrossDifferential(Differential, CrossAttention):
    """A differential attention whose keys and values are the states of another stack."""


Attention = Annotated[
    MultiHead | Differential | Latent | Linear | Performer | Retention | Delta | GatedDelta, Kinds("attention")
]
Cross = Annotated[CrossAttention | CrossDifferential, Kinds("cross_attention")]
