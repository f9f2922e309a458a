"""What lies between the scores of one attention and its weights, in the fixed order. Part of attncli/nn/attention.py.

weights = normalizer(logits + bias | visible)
"""

from typing import NamedTuple

from torch import Tensor, nn

from attncli.nn.normalizers import Normalizer


class Seen(NamedTuple):
    """Where the queries and keys of one call stand, and what they may see of each other."""

    query_positions: Tensor  # (b|1 q)
    key_positions: Tensor  # (b|1 k)
    visible: Tensor | None  # bool, broadcast to (b h q k); None where all is visible
    bias: Tensor | None  # broadcast to (b h q k)


class Weighing(nn.Module):
    """Logits (b h q k), in float32 or wider, to weights of the same shape, before dropout."""

    def __init__(self, *, normalizer: Normalizer) -> None:
        super().__init__()
        self.normalizer = normalizer

    def forward(self, logits: Tensor, seen: Seen) -> Tensor:
        if seen.bias is not None:
            logits = logits + seen.bias
        weights: Tensor = self.normalizer(logits, seen.visible)
        return weights
