"""Attention whose weights are products of features: sums of keys and values serve every query, and no weight is held.

    S = sum_k f(k) [v, 1]';  output = (f(q)' S)_v / (f(q)' S)_1

Katharopoulos et al. 2020, arXiv:2006.16236, eq. 4 to 6 and 16 to 20. Under a causal mask S holds the keys up to the
query: chunks of queries read the S of the chunks before them, and the keys of their own chunk pair by pair.
Cost: b h n (CHUNK + e) v, against b h n n v. Shapes: features (b h n e), values (b h n v), S (b h e v+1).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn.kernels.reference import wide

CHUNK = 64


def absorbed(key: Tensor, value: Tensor) -> Tensor:
    """S of some keys and values, in float32 or wider."""
    with torch.autocast(key.device.type, enabled=False):
        return torch.matmul(wide(key).mT, F.pad(wide(value), (0, 1), value=1.0))


def added(before: Tensor | None, key: Tensor, value: Tensor) -> Tensor:
    """S after some more keys and values."""
    return absorbed(key, value) if before is None else before + absorbed(key, value)


def attend(query: Tensor, key: Tensor, value: Tensor, *, causal: bool, state: Tensor | None) -> Tensor:
    """Outputs (b h q v), after the keys of `state`. A query whose weights are all 0 gives zeros."""
    with torch.autocast(query.device.type, enabled=False):
        query = wide(query)
        if not causal:
            return _divided(torch.matmul(query, absorbed(key, value)))
        held = absorbed(key[:, :, :0], value[:, :, :0]) if state is None else state
        chunks = []
        for start in range(0, query.shape[2], CHUNK):
            place = slice(start, start + CHUNK)
            q, k, v = query[:, :, place], key[:, :, place], value[:, :, place]
            own = torch.matmul(q, wide(k).mT).tril()
            chunks.append(torch.matmul(q, held) + torch.matmul(own, F.pad(wide(v), (0, 1), value=1.0)))
            held = held + absorbed(k, v)
        return _divided(torch.cat(chunks, 2))


def _divided(mixed: Tensor) -> Tensor:
    total = mixed[..., -1:]
    return mixed[..., :-1] / torch.where(total > 0, total, torch.ones_like(total))
