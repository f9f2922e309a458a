"""Attention of fixed decay. Mirrored by attncli/nn/retention.py."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from attncli.spec.base import Bool, Count, Derived, Fault
from attncli.spec.fixed import Fixed
from attncli.spec.masks import MaskField
from attncli.spec.normalizers import Pointwise
from attncli.spec.norms import Norm, NormPlace, RmsNorm
from attncli.spec.positions import NoPosition, Relative, Rotary
from attncli.spec.residuals import Add, Residual
from attncli.spec.scores import ScaledDot


class Retention(Fixed):
    """Weights (turn(q) . turn(k) / sqrt(d_head)) g^(q - k) with g = 1 - 2^(-5 - h) of head h, and no normalizer.

    The mixture of each head is normed, and multiplied by silu(x W) before the output map. A sum S = g S + k v' serves
    the queries one by one, so a step of writing costs the same at every place. Weights may be negative. Sun et al.
    2023, arXiv:2307.08621, eq. 5 to 8; the norm there has no gain.
    """

    normalizer: ClassVar[Pointwise] = Pointwise()
    dropout: ClassVar[float] = 0.0
    kernel: ClassVar[Literal["auto"]] = "auto"

    kind: Literal["retention"] = "retention"
    heads: Annotated[Count, Derived("max(1, d_model // 64)")]
    d_head: Annotated[Count, Derived("d_model // heads")]
    """Width of the query and key of one head."""
    d_value: Annotated[Count, Derived("d_head")]
    """Width of the value of one head."""
    bias: Annotated[Bool, Derived("the stack's")]
    """Of the four maps; the gate has none."""
    position: Annotated[Relative, Derived("rotary, unless the input has positions")]
    """rotary or none: what else a position adds would not run in one sum."""
    mask: Annotated[MaskField, Derived("causal in `decoder`, else full")]
    """causal."""
    context_norm: Norm = RmsNorm()
    """A norm of each head's mixture of values, with one gain for all heads."""
    norm: Annotated[Norm, Derived("the stack's")]
    norm_place: Annotated[NormPlace, Derived("the stack's")]
    residual: Annotated[Residual, Derived("the stack's")] = Add()

    @property
    def kv_heads(self) -> int:
        """Each head has keys and values of its own."""
        return self.heads

    @property
    def score(self) -> ScaledDot:
        """The scaled product, before it decays."""
        return ScaledDot(scale=self.d_head**-0.5)

    def faults(self) -> Iterator[Fault]:
        if self.mask.text != "causal":
            rule = f"the decay counts back from the query, one place at a time, and the mask is '{self.mask.text}'"
            yield Fault(("mask",), rule, "write mask: causal, or kind: multi_head")
        if not isinstance(self.position, (Rotary, NoPosition)):
            rule = f"'{self.position.kind}' adds to single scores, and one sum holds all keys"
            yield Fault(("position",), rule, "write position: rotary or none")
        elif isinstance(self.position, Rotary) and self.position.d_rotary > self.d_head:
            rule = f"d_rotary {self.position.d_rotary} is wider than a head, {self.d_head}"
            yield Fault(("position", "d_rotary"), rule, "write at most d_head")
