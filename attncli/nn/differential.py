"""The difference of two maps of weights. Mirrors Differential of attncli/spec/attention.py.

    l = exp(a_1 . b_1) - exp(a_2 . b_2) + l_0;   weights = W_1 - l W_2;   head = (1 - l_0) norm(weights V)

Ye et al. 2024, arXiv:2410.05258, eq. 1 to 3. In half types l is made in float32.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from attncli.spec import attention as spec


class Difference(nn.Module):
    """W_1 - l W_2 over the pairs of maps (b 2h q k), as (b h q k).

    `halves`: the maps of pair h are h and h + heads, else 2h and 2h + 1.
    """

    START_SPREAD = 0.1  # standard deviation of a and b at the start, as in the paper

    def __init__(self, *, d_head: int, start: float, pairs: Literal["neighbours", "halves"]) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(2, d_head))
        self.key = nn.Parameter(torch.empty(2, d_head))
        self.start = start
        self.halves = pairs == "halves"

    def share(self, dtype: torch.dtype) -> Tensor:
        """l, one number."""
        first, second = (self.query * self.key).to(dtype).sum(-1).exp()
        share: Tensor = first - second + self.start
        return share

    def forward(self, weights: Tensor) -> Tensor:
        first, second = weights.chunk(2, 1) if self.halves else (weights[:, ::2], weights[:, 1::2])
        return first - self.share(weights.dtype) * second

    def spread(self, x: Tensor) -> Tensor:
        """What belongs to a pair (b h · ·), given to both of its maps; what is alike for all heads stays."""
        if x.shape[1] == 1:
            return x
        return torch.cat((x, x), 1) if self.halves else x.repeat_interleave(2, 1)


class Settled(nn.Module):
    """(1 - l_0) norm(x): holds the gradients of the heads where those of plain attention are."""

    def __init__(self, *, norm: nn.Module, start: float) -> None:
        super().__init__()
        self.norm = norm
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x)
        return normed * (1 - self.start)


def start_of(attention: spec.Differential, *, depth: int) -> float:
    """l_0 of the attention in layer `depth`, counted from 0."""
    return 0.8 - 0.6 * math.exp(-0.3 * depth) if attention.start == "by_depth" else attention.start


def build_difference(attention: spec.AnyAttention, *, depth: int) -> Difference | None:
    """The step that takes the maps of a head together; None where a head has one."""
    if not isinstance(attention, spec.Differential):
        return None
    return Difference(d_head=attention.d_head, start=start_of(attention, depth=depth), pairs=attention.pairs)


def build_settled(attention: spec.AnyAttention, norm: nn.Module, *, depth: int) -> nn.Module:
    """The context norm with the factor that belongs to it."""
    if not isinstance(attention, spec.Differential):
        return norm
    return Settled(norm=norm, start=start_of(attention, depth=depth))
