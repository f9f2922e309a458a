"""w . tanh(q + k) over pairs, without holding the tanh layer: some queries and keys at a time, made again backward.

    s_qk = w . t_qk, t = tanh(q + k);  dq = w sum_k ds (1 - t t), dk = w sum_q ds (1 - t t), dw = sum ds t

A tile is made of t = 1 - 2 r, r = 1 / (1 + exp(2 q) exp(2 k)): exponentials of each query and each key, and of a pair a
product and a reciprocal, which cost a tenth of a tanh; 1 - t t = 4 (r - r r). Where |q| or |k| is so large that an
exponential would leave the range of the dtype, r is made of tanh itself.

Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2. Shapes: queries (b h q a), keys (b h k a), w (h a), scores
(b h q k), in float32 or wider. Each tile stays in the cache of the processor; the layer would be b h q k a numbers.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from attncli.nn.function import Function

CACHED = 1 << 19
"""Numbers of a tile."""
QUERIES = 32


def scores(query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
    """(b h q k)."""
    query, key, weight = (x if x.dtype == torch.float64 else x.float() for x in (query, key, weight))
    made: Tensor = _Additive.apply(query, key, weight)
    return made


class _Additive(Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, weight)
        out = query.new_empty(*query.shape[:3], key.shape[2])
        for _, _, pairs, rest in _tiles(query, key):
            out[pairs] = rest @ (-2 * weight[pairs[1]])
        return out.add_(weight.sum(1).view(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, weight = ctx.saved_tensors
        of_query, of_key, of_weight = (torch.zeros_like(x) for x in (query, key, weight))
        for rows, keys, pairs, rest in _tiles(query, key):
            grad, head = grads[0][pairs].unsqueeze(3), pairs[1]
            pulled = rest * grad
            by_key = pulled.sum(1)
            of_weight[head] += grad.sum() - 2 * by_key.sum((0, 1))
            torch.addcmul(pulled, pulled, rest, value=-1, out=rest)
            of_query[rows] += 4 * weight[head] * rest.sum(2)
            of_key[keys] += 4 * weight[head] * rest.sum(1)
        return of_query, of_key, of_weight


_Place = tuple[slice, int, slice]


def _tiles(query: Tensor, key: Tensor) -> Iterator[tuple[_Place, _Place, tuple[slice, int, slice, slice], Tensor]]:
    """Where the queries (b' q' a) and keys (b' k' a) of a tile are, where their pairs, and r of them (b' q' k' a)."""
    if not query.numel() or not key.numel():
        return
    most = math.log(torch.finfo(query.dtype).max) / 2 - 1
    tame = bool((query.abs().amax() < most) & (key.abs().amax() < most))
    asks, reads = ((2 * query).exp_(), (2 * key).exp_()) if tame else (query, key)
    queries = min(QUERIES, query.shape[2])
    keys = min(key.shape[2], max(1, CACHED // (queries * query.shape[3])))
    rows = max(1, CACHED // (queries * keys * query.shape[3]))
    one = query.new_ones(())
    cuts = (_cuts(len(query), rows), range(query.shape[1]), _cuts(query.shape[2], queries), _cuts(key.shape[2], keys))
    for few, head, some, near in itertools.product(*cuts):
        q, k = asks[few, head, some].unsqueeze(2), reads[few, head, near].unsqueeze(1)
        rest = torch.addcmul(one, q, k).reciprocal_() if tame else (q + k).tanh_().mul_(-0.5).add_(0.5)
        yield (few, head, some), (few, head, near), (few, head, some, near), rest


def _cuts(places: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, places, size)]
