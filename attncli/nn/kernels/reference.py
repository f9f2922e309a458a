"""The kernel that serves any score and any normalizer: all weights are made, in float32 or wider, and kept."""

import torch
from torch import Tensor

from attncli.nn.dropout import drop
from attncli.nn.weighing import Weighing


def repeat_heads(x: Tensor, heads: int) -> Tensor:
    """Key/value heads (b g k ·) for query heads (b h k ·): head h reads h // (heads / kv_heads)."""
    groups = x.shape[1]
    return x if groups == heads else x.repeat_interleave(heads // groups, dim=1)


def kept(weighing: Weighing, weights: Tensor, *, dropout: float) -> Tensor:
    """The weights that values are multiplied by. Dropout falls on them and leaves their sum alone only in the mean."""
    return weighing.applied(drop(weights, dropout, True))


def wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x if x.dtype == torch.float64 else x.float()
