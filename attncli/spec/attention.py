"""One attention: its heads, and the choices that each head makes. Mirrored by attncli/nn/attention.py.

The order of one attention is fixed: project, rotary, score, scale, position bias, mask with padding and documents,
normalizer in float32, cast, dropout, times the values, output.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer

from attncli.spec.base import Count, Derived, Fault, Kinds, Rate, Spec, Text, Written
from attncli.spec.masks import MaskField
from attncli.spec.normalizers import Normalizer, Softmax
from attncli.spec.norms import Norm, NormPlace
from attncli.spec.positions import Relative, Rotary
from attncli.spec.scores import Score

Projection = Literal["query", "key", "value", "output"]
PROJECTIONS: tuple[Projection, ...] = ("query", "key", "value", "output")


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


Maps = tuple[Projection, ...]
_SOME = Written(Literal["all", "none"], Maps)
_BIASED = Written(bool, Maps)


class MultiHead(Spec):
    """Scores, weights and mixtures in several heads at once. Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.

    With fewer kv_heads than heads, query head h reads key and value head h // (heads / kv_heads): grouped-query
    attention, Ainslie et al. 2023, arXiv:2305.13245.
    """

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
    score: Annotated[Score, Derived("scaled_dot")]
    position: Annotated[Relative, Derived("rotary, unless the input has positions")]
    mask: Annotated[MaskField, Derived("causal in `decoder`, else full")]
    normalizer: Normalizer = Softmax()
    dropout: Annotated[Rate, Derived("the stack's")]
    """On the weights."""
    norm: Annotated[Norm, Derived("the stack's")]
    norm_place: Annotated[NormPlace, Derived("the stack's")]
    kernel: Literal["auto", "fused", "reference"] = "auto"

    def faults(self) -> Iterator[Fault]:
        if self.heads % self.kv_heads:
            yield Fault(
                ("kv_heads",),
                f"kv_heads must divide heads, but {self.heads} / {self.kv_heads} leaves {self.heads % self.kv_heads}",
                "each kv head serves the same number of query heads",
            )
        if isinstance(self.position, Rotary) and self.position.d_rotary > self.d_head:
            yield Fault(
                ("position", "d_rotary"),
                f"d_rotary {self.position.d_rotary} is wider than a head, {self.d_head}",
                "write at most d_head",
            )


class CrossAttention(MultiHead):
    """An attention whose keys and values are the states of another stack."""

    stack: Annotated[Text, Derived("encoder")]


Attention = Annotated[MultiHead, Kinds("attention")]
Cross = Annotated[CrossAttention, Kinds("cross_attention")]
