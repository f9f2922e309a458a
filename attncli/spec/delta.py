"""Attention that writes over what it remembers. Mirrored by attncli/nn/delta.py."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from attncli.spec.base import Absent, Count, Derived, Fault
from attncli.spec.normalizers import Pointwise
from attncli.spec.norms import Norm, RmsNorm
from attncli.spec.positions import NoPosition
from attncli.spec.running import Running
from attncli.spec.scores import ScaledDot


class DeltaRule(Running):
    """What both kinds share: unit keys, a strength of writing, and a short convolution, which tells places apart."""

    normalizer: ClassVar[Pointwise] = Pointwise()
    position: ClassVar[NoPosition] = NoPosition()

    qk_heads: Annotated[Count, Derived("heads")]
    """Heads of queries and keys: head h of the values goes with h // (heads / qk_heads) of them."""
    short_convolution: Annotated[Count | None, Absent] = 4
    """Tokens, the newest among them, over which each feature of query, key and value is mixed before its silu."""
    context_norm: Norm = RmsNorm()
    gate: Literal["none", "silu"] = "none"
    """silu: silu(x W) of the states that ask times the normed mixtures."""

    @property
    def score(self) -> ScaledDot:
        """The scaled product of a query with what is remembered."""
        return ScaledDot(scale=self.d_head**-0.5)

    def faults(self) -> Iterator[Fault]:
        yield from self.backward()
        if self.heads % self.qk_heads:
            rule = f"qk_heads must divide heads, but {self.heads} / {self.qk_heads} leaves {self.heads % self.qk_heads}"
            yield Fault(("qk_heads",), rule, "each query and key head serves the same number of value heads")


class Delta(DeltaRule):
    """S = S + b k (v - S'k)': before a value is remembered under its key, what the key recalls is taken away.

    Outputs are S'q / sqrt(d_head), normed for each head; b = sigmoid(x W) is how strongly a token writes. q, k and v
    are silu of short convolutions of the mapped states, and q and k have length 1. Run in chunks, S is never made for
    each token. The map that is shown is of the weights that the sums imply: a value's share of each output, which later
    tokens with like keys make smaller and may turn negative. Schlag, Irie and Schmidhuber 2021, arXiv:2102.11174,
    eq. 24; Yang et al. 2024, arXiv:2406.06484, eq. 1 to 8. The mask is causal.
    """

    kind: Literal["delta"] = "delta"


class GatedDelta(DeltaRule):
    """S = a S + b k (v - a S'k)': the delta rule, with all that is remembered fading by a of the token.

    a = exp(-e^r softplus(x W + c)) for each head, with learned r and c; the rest is `delta`'s, with a gate. Yang,
    Kautz and Hatamizadeh 2024, arXiv:2412.06464, eq. 10; a as in Mamba-2, Dao and Gu 2024, arXiv:2405.21060. Equal to
    the linear attention of Qwen3-Next (2025). The mask is causal.
    """

    kind: Literal["gated_delta"] = "gated_delta"
    gate: Literal["none", "silu"] = "silu"
