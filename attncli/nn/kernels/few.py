"""A dot product under softmax over few keys on the CPU: batched products, whose weights are so few that they are held.

    P = softmax(scale Q K' | visible);  O = P V;  dP = dO V';  dS = P (dP - sum_k P dP)

torch's fused kernel lays each head's keys in blocks and makes the weights again backward, which pays where there are
many. Over up to 48 keys a training step takes 0.5 to 0.8 of its time with these products; without a derivative torch's
kernel is one call against ten, and stays. Shapes: Q (b h q e), K (b h k e), V (b h k v). One derivative only.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from attncli.nn.function import Function

KEYS, QUERIES = 48, 192
"""Of a row, at the most."""

HEADS = 64
"""Heads of all rows, at the least: torch's kernel costs as much for each."""


def serves(query: Tensor, key: Tensor) -> bool:
    """Whether these products are faster than the fused kernel; one compiled graph does for batches of any size."""
    learns = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
    if not learns or query.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    (rows, heads, queries, _), (_, groups, keys, _) = query.shape, key.shape
    small = 0 < keys <= KEYS and queries <= QUERIES and rows * heads >= HEADS and heads == groups
    return small and query.dtype in (torch.float32, torch.float64)


def _forward(
    query: Tensor, key: Tensor, value: Tensor, scale: float, triangle: bool, visible: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Outputs (b h q v) and weights (b·h q k)."""
    q, k, v = (x.flatten(0, 1) for x in (query, key, value))
    if triangle:
        hidden = torch.full((q.shape[1], k.shape[1]), -torch.inf, dtype=q.dtype).triu(1)
        scores = torch.baddbmm(hidden, q, k.mT, alpha=scale)
    else:
        scores = torch.bmm(q, k.mT).mul_(scale)
    if visible is not None and not triangle:
        pairs = scores.view(*query.shape[:3], -1).masked_fill_(~visible, -torch.inf)
        torch.softmax(pairs, -1, out=pairs).masked_fill_(~visible.any(-1, keepdim=True), 0.0)
    else:
        torch.softmax(scores, -1, out=scores)
    return torch.bmm(scores, v).unflatten(0, query.shape[:2]), scores


def _backward(
    of_out: Tensor, query: Tensor, key: Tensor, value: Tensor, weights: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v, of_out = (x.flatten(0, 1) for x in (query, key, value, of_out))
    of_scores = torch._softmax_backward_data(torch.bmm(of_out, v.mT), weights, -1, weights.dtype).mul_(scale)
    of_query, of_key = torch.bmm(of_scores, k), torch.bmm(of_scores.mT, q)
    of_value = torch.bmm(weights.mT, of_out)
    rows = query.shape[:2]
    return of_query.unflatten(0, rows), of_key.unflatten(0, rows), of_value.unflatten(0, rows)


class _Few(Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float, triangle: bool, visible: Tensor | None
    ) -> Tensor:
        out, weights = _forward(query, key, value, scale, triangle, visible)
        ctx.save_for_backward(query, key, value, weights)
        ctx.scale = scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        return *_backward(of_out, query, key, value, weights, ctx.scale), None, None, None


def attend(
    query: Tensor, key: Tensor, value: Tensor, *, scale: float, triangle: bool, visible: Tensor | None
) -> Tensor:
    """Outputs (b h q v). A row that sees no key gives zeros; with a `triangle` `visible` is not read."""
    out: Tensor = _Few.apply(query, key, value, scale, triangle, visible)
    return out
