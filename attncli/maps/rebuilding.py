"""Weights of a kernel that never held them, made from what it read.

With the final query, key and bias, and the log-sum-exp L that the kernel itself divided by, a weight is exp(score - L):
the sum of a row is then no construction but a test (attncli/maps/check.py). Scores and weights have the kernel's width,
and at least float32; what is summed up is in float64.

Shapes: b rows of the batch, h heads, q queries, r queries of a block, k keys, w keys of a block.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from attncli.nn.kernels.reference import wide
from attncli.nn.records import Record
from attncli.nn.scores import Product

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
"""Errors that rounding explains, for sums around 1 and for outputs relative to max |V|; half types have 2 ulp."""


class Rebuilt(NamedTuple):
    """Weights, with what their rows summed to as the kernel divided them."""

    weights: Tensor  # (b h q k)
    total: Tensor  # (b h q) in float64
    coarse: Tensor  # (b h q) error of a sum that the last places of scores and L explain
    logs: Tensor | None = None  # (b h q k) of the weights, where these came of them; any number where a weight is 0


def rebuilt(record: Record, *, logs: bool = False) -> Rebuilt:
    """The weights that the kernel made, else exp(score - L), else the reference's.

    Scores and L are rounded numbers. Where they are large, their own last places are more than the tolerance of a row
    (4 eps |L| > 1e-5, |L| above 21 in float32): that is the tolerance there, and the row is divided by its sum.
    """
    score = record.attention.score
    if record.weights is not None or record.lse is None or not isinstance(score, Product):
        read = record.query.dtype
        if (
            record.kernel != "chunked"
        ):  # whose scores are rounded as they were: a choice of keys hangs on their last places
            read = torch.promote_types(read, torch.float32)
        made = record.attention.weights(record, dtype=read) if record.weights is None else record.weights
        weights = made.cpu()
        return Rebuilt(weights, summed(weights), torch.zeros(weights.shape[:3], dtype=torch.float64))
    asked = score.ask(record.query)
    if record.temperature is not None:
        asked = (asked * record.temperature).to(asked.dtype)
    weights = grouped(wide(asked) * score.scale, wide(record.key.to(asked.dtype)).mT)
    visible, bias = record.visible, record.bias
    if bias is not None:
        weights += bias.to(asked.dtype) if record.kernel == "fused" else bias  # which alone rounds it to its queries
    lse = record.lse.to(weights.dtype)
    weights.sub_(lse.unsqueeze(-1))
    kept = weights if logs else None
    weights = weights.exp() if logs else weights.exp_()  # in place: a block is the largest thing that is held
    if visible is not None:
        hide(weights, visible)
    weights, lse = weights.cpu(), lse.cpu()
    total = summed(weights)
    coarse = (4 * torch.finfo(record.lse.dtype).eps * lse.double().abs()).expm1()
    uneven = (coarse > tolerance(record.lse.dtype, 1.0)) & (total > 0)
    if bool(uneven.any()):
        weights /= torch.where(uneven, total, 1.0).to(weights.dtype).unsqueeze(-1)
        kept = None
    return Rebuilt(weights, total, coarse, None if kept is None else kept.cpu())


def hide(weights: Tensor, visible: Tensor) -> None:
    """Set to 0 what may not be seen, in place. Most keys of a causal block are seen by all of its rows."""
    if visible.shape[3] == weights.shape[3]:
        some = (~visible.flatten(0, 2).all(0)).nonzero()
        if not len(some):
            return
        near = slice(int(some[0]), int(some[-1]) + 1)
        weights, visible = weights[..., near], visible[..., near]
    weights.masked_fill_(~visible, 0.0)


def summed(weights: Tensor) -> Tensor:
    """(b h r) of weights (b h r w): sums of neighbours in their own width, and the sum of these in float64."""
    whole = weights.shape[3] // 64 * 64
    near = weights[..., :whole].reshape(*weights.shape[:3], -1, 64).sum(-1)
    return near.sum(-1, dtype=torch.float64) + weights[..., whole:].sum(-1, dtype=torch.float64)


def tolerance(dtype: torch.dtype, size: float) -> float:
    """The error that rounding explains in numbers up to `size`: see TOLERANCE."""
    if dtype in TOLERANCE:
        return TOLERANCE[dtype] * size
    return 2 * torch.finfo(dtype).eps * 2.0 ** math.floor(math.log2(size)) if size else 0.0


def grouped(x: Tensor, read: Tensor) -> Tensor:
    """x (b h r ·) times what its kv head read (b g · ·), without a copy of that for each head."""
    if x.shape[1] == read.shape[1]:
        return x @ read
    batch, heads, rows, width = x.shape
    together = x.reshape(batch, read.shape[1], heads // read.shape[1] * rows, width)
    return torch.matmul(together, read).view(batch, heads, rows, read.shape[3])
