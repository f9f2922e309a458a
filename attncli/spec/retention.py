"""Attention of fixed decay. Mirrored by attncli/nn/retention.py."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from attncli.spec.base import Derived, Fault
from attncli.spec.normalizers import Pointwise
from attncli.spec.norms import Norm, RmsNorm
from attncli.spec.positions import Relative
from attncli.spec.running import Running
from attncli.spec.scores import ScaledDot


class Retention(Running):
    """Weights (turn(q) . turn(k) / sqrt(d_head)) g^(q - k) with g = 1 - 2^(-5 - h) of head h, and no normalizer.

    The mixture of each head is normed, and multiplied by silu(x W) before the output map. A sum S = g S + k v' serves
    the queries one by one, so a step of writing costs the same at every place. Weights may be negative. Sun et al.
    2023, arXiv:2307.08621, eq. 5 to 8; the norm there has no gain. The mask is causal; the gate has no bias.
    """

    normalizer: ClassVar[Pointwise] = Pointwise()
    gate: ClassVar[Literal["none"]] = "none"

    kind: Literal["retention"] = "retention"
    position: Annotated[Relative, Derived("rotary, unless the input has positions")]
    """rotary or none: what else a position adds would not run in one sum."""
    context_norm: Norm = RmsNorm()

    @property
    def score(self) -> ScaledDot:
        """The scaled product, before it decays."""
        return ScaledDot(scale=self.d_head**-0.5)

    def faults(self) -> Iterator[Fault]:
        yield from self.backward()
        yield from self.turning(self.position)
