"""What kinds of attention share whose outputs a sum gives that runs over the keys. Mirrored by attncli/nn/running.py.

Their cost grows with the length, not with its square, and a step of writing costs the same at every place.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from attncli.spec.base import Bool, Count, Derived, Fault
from attncli.spec.fixed import Fixed
from attncli.spec.masks import MaskField
from attncli.spec.norms import NoNorm, Norm, NormPlace
from attncli.spec.positions import NoPosition, Relative, Rotary
from attncli.spec.residuals import Add, Residual


class Running(Fixed):
    """Heads whose keys and values go into one sum; what else a kind has no key for is a constant."""

    dropout: ClassVar[float] = 0.0
    kernel: ClassVar[Literal["auto"]] = "auto"

    kind: str
    heads: Annotated[Count, Derived("max(1, d_model // 64)")]
    d_head: Annotated[Count, Derived("d_model // heads")]
    """Width of the query and key of one head."""
    d_value: Annotated[Count, Derived("d_head")]
    """Width of the value of one head."""
    bias: Annotated[Bool, Derived("the stack's")]
    """Of the maps of query, key, value and output."""
    mask: Annotated[MaskField, Derived("causal in `decoder`, else full")]
    context_norm: Norm = NoNorm()
    """A norm of each head's mixture of values, with one gain for all heads."""
    norm: Annotated[Norm, Derived("the stack's")]
    norm_place: Annotated[NormPlace, Derived("the stack's")]
    residual: Annotated[Residual, Derived("the stack's")] = Add()

    @property
    def kv_heads(self) -> int:
        """Each head has values of its own."""
        return self.heads

    def all_or_earlier(self) -> Iterator[Fault]:
        """A sum holds all keys, or those up to the query."""
        if self.mask.text not in ("causal", "full"):
            rule = f"one sum holds all keys, or all before the query, and '{self.mask.text}' shows each query others"
            yield Fault(("mask",), rule, "write mask: causal or full, or kind: multi_head")

    def backward(self) -> Iterator[Fault]:
        """A sum that fades, or is written over, is of the keys up to the query."""
        if self.mask.text != "causal":
            rule = f"the decay counts back from the query, one place at a time, and the mask is '{self.mask.text}'"
            yield Fault(("mask",), rule, "write mask: causal, or kind: multi_head")

    def turning(self, position: Relative) -> Iterator[Fault]:
        """A position that turns queries and keys leaves the sum one."""
        if not isinstance(position, (Rotary, NoPosition)):
            rule = f"'{position.kind}' adds to single scores, and one sum holds all keys"
            yield Fault(("position",), rule, "write position: rotary or none")
        elif isinstance(position, Rotary) and position.d_rotary > self.d_head:
            rule = f"d_rotary {position.d_rotary} is wider than a head, {self.d_head}"
            yield Fault(("position", "d_rotary"), rule, "write at most d_head")
