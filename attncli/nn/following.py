"""Attention step by step: what a decoder calls in place of `attend` where a step reads the weights of earlier ones.

Part of attncli/nn/attention.py. Shapes: trail (b h k) for each sequential part, the score before the normalizer.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from attncli.nn.attention import Asked, Attention, Projected
from attncli.nn.scores import Sequential
from attncli.nn.serving import Trail
from attncli.nn.trailed import Coverage
from attncli.nn.view import View


class Followed(NamedTuple):
    """What one step gave, or all at once where there is no trail."""

    output: Tensor  # (b q d_output)
    weights: Tensor  # (b h q k), as applied where nothing is dropped
    trail: Trail
    cost: Tensor | None  # (b): what the score adds to the loss


def sequential(attention: Attention) -> tuple[Sequential, ...]:
    """The parts that read the weights of earlier steps: the score, the normalizer, both or none."""
    return tuple(part for part in (attention.score, attention.normalizer) if isinstance(part, Sequential))


def begin(attention: Attention, real: Tensor, dtype: torch.dtype) -> Trail:
    """The trail before the first step over keys of which `real` (b k) tells padding."""
    wide = torch.promote_types(dtype, torch.float32)
    return tuple(part.first(real.to(wide), attention.heads) for part in sequential(attention))


def follow(attention: Attention, asked: Asked, projected: Projected, view: View, trail: Trail) -> Followed:
    """`attend` by the reference, with its weights; for one query a row where there is a trail."""
    dropout = attention.dropout if attention.training else 0.0
    ready = attention.ready(asked, projected, view)._replace(trail=trail)
    mixed, weighed = attention.by_reference(ready, dropout)
    made, cost = weighed.weights.squeeze(2), None
    if isinstance(attention.score, Coverage) and attention.score.loss:
        cost = attention.score.cost(trail[0], made)
    after = tuple(part.next(before, made) for part, before in zip(sequential(attention), trail, strict=True))
    return Followed(attention.end(mixed, asked), attention.weighing.applied(weighed.weights), after, cost)
