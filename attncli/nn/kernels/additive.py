"""w . tanh(q + k) over pairs, without holding the tanh layer: a few queries and keys at a time, made again backward.

    s_qk = w . t_qk, t = tanh(q + k);  dq = w sum_k ds (1 - t t), dk = w sum_q ds (1 - t t), dw = sum ds t

Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2. Shapes: queries (b h q a), keys (b h k a), w (h a), scores
(b h q k). Each tile of t stays in the cache of the processor; the layer as a whole would be b h q k a numbers.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CACHED = 1 << 18
"""Numbers of a tile."""
QUERIES = 32


def scores(query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
    """(b h q k)."""
    made: Tensor = _Additive.apply(query, key, weight)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return made


class _Additive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, weight)
        out = query.new_empty(*query.shape[:3], key.shape[2])
        for b, h, rows, some in _tiles(query, key):
            hidden = torch.tanh(query[b, h, rows].unsqueeze(1) + key[b, h, some])
            out[b, h, rows, some] = hidden @ weight[h]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, weight = ctx.saved_tensors
        of_query, of_key = (x.new_zeros(x.shape) for x in (query, key))
        of_weight = torch.zeros_like(weight)
        for b, h, rows, some in _tiles(query, key):
            grad = grads[0][b, h, rows, some]
            hidden = (query[b, h, rows].unsqueeze(1) + key[b, h, some]).tanh_()
            of_weight[h] += grad.reshape(-1) @ hidden.view(-1, hidden.shape[2])
            square = hidden.square_()
            total = torch.matmul(grad.unsqueeze(1), square).squeeze(1)
            of_query[b, h, rows] += weight[h] * (grad.sum(1, keepdim=True) - total)
            total = torch.matmul(grad.mT.unsqueeze(1), square.transpose(0, 1)).squeeze(1)
            of_key[b, h, some] += weight[h] * (grad.sum(0).unsqueeze(1) - total)
        return of_query, of_key, of_weight


def _tiles(query: Tensor, key: Tensor) -> Iterator[tuple[int, int, slice, slice]]:
    queries = min(QUERIES, query.shape[2])
    keys = max(1, CACHED // max(1, queries * query.shape[3]))
    for b in range(query.shape[0]):
        for h in range(query.shape[1]):
            for start in range(0, query.shape[2], queries):
                for first in range(0, key.shape[2], keys):
                    yield b, h, slice(start, start + queries), slice(first, first + keys)
