"""A small attention that chooses the keys of another one. Mirrors Indexer of attncli/spec/steps.py.

    I_qk = sum_j w_qj relu(a_qj . c_k) / sqrt(i e);  q sees the `keys` keys with the largest I_qk of those shown to it

DeepSeek-AI 2025 (V3.2), arXiv:2512.02556, section 2.1. Shapes: b rows, i index heads of width e, q queries, k keys.
The released code also norms c. No gradient passes a choice, and none goes from here to the states: what is learned
comes of `cost` alone.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from attncli.nn.affine import Linear
from attncli.nn.steps import best_of
from attncli.spec import steps as spec


class Asking(NamedTuple):
    """What an indexer makes of the states that ask."""

    query: Tensor  # (b i q e)
    weight: Tensor  # (b q i)


class Indexer(nn.Module):
    """Which keys each query sees. Cost: b i q k e, for every pair."""

    def __init__(self, *, d_query: int, d_memory: int, heads: int, d_head: int, keys: int, loss: float) -> None:
        super().__init__()
        self.query = Linear(d_query, heads * d_head, bias=False)
        self.weight = Linear(d_query, heads, bias=False)
        self.key = Linear(d_memory, d_head, bias=False)
        self.heads = heads
        self.keys = keys
        self.loss = loss

    def ask(self, x: Tensor) -> Asking:
        """Of states (b q d)."""
        x = x.detach()
        query: Tensor = self.query(x)
        return Asking(query.view(*x.shape[:2], self.heads, -1).transpose(1, 2), self.weight(x))

    def read(self, memory: Tensor) -> Tensor:
        """(b 1 k e) of states (b k d)."""
        made: Tensor = self.key(memory.detach())
        return made.unsqueeze(1)

    def scores(self, asking: Asking, key: Tensor) -> Tensor:
        """I (b 1 q k) in float32 or wider."""
        wide = torch.promote_types(key.dtype, torch.float32)
        met = torch.matmul(asking.query.to(wide), key.to(wide).mT).relu()
        size = (self.heads * key.shape[3]) ** -0.5
        return torch.einsum("biqk,bqi->bqk", met, asking.weight.to(wide) * size).unsqueeze(1)

    def forward(self, scores: Tensor, visible: Tensor | None) -> Tensor:
        """Bool (b 1|h q k): what is left of what is visible."""
        return best_of(scores, visible, self.keys)

    def cost(self, scores: Tensor, weights: Tensor, seen: Tensor, real: Tensor | None) -> Tensor:
        """loss times the mean of KL(p || softmax(I over what is seen)) over the real queries (b q) that see a key.

        p is the mean of the weights (b h q k) of all heads, over its sum; `seen` broadcasts to them. Equation 4 there.
        """
        size = weights.detach().abs().sum(1)
        total = size.sum(-1, keepdim=True)
        share = (size / torch.where(total > 0, total, 1.0)).to(scores.dtype)
        visible = seen.any(1)
        floored = scores.squeeze(1).masked_fill(~visible, torch.finfo(scores.dtype).min)
        gap = torch.special.xlogy(share, share) - share * floored.log_softmax(-1)
        counts = total.squeeze(-1) > 0
        counts = counts if real is None else counts & real
        cost: Tensor = self.loss * (gap.sum(-1) * counts).sum() / counts.sum().clamp(min=1)
        return cost


def build_indexer(select: spec.Select, *, d_query: int, d_memory: int) -> Indexer | None:
    """The module that chooses keys before they are scored; None for the other kinds."""
    if not isinstance(select, spec.Indexer):
        return None
    return Indexer(
        d_query=d_query, d_memory=d_memory, heads=select.heads, d_head=select.d_head, keys=select.keys,
        loss=select.loss,
    )  # fmt: skip
