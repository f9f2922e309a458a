"""Retention chunk by chunk: what a query keeps of a key falls by g with every place between them.

    S_n = g S_(n-1) + k_n v_n';  output_n = q_n' S_n

Sun et al. 2023, arXiv:2307.08621, eq. 6 and 7, with g = 1 - 2^(-5 - h) of head h (section 2.3). Shapes: queries and
keys (b h n e), values (b h n v), g (h), S (b h e v), in float32 or wider. Tokens of a text stand next to each other.
"""

import torch
from torch import Tensor

from attncli.nn.kernels.reference import wide

CHUNK = 64


def absorbed(before: Tensor | None, key: Tensor, value: Tensor, decay: Tensor) -> Tensor:
    """S after some more keys and values."""
    with torch.autocast(key.device.type, enabled=False):
        count, key = key.shape[2], wide(key)
        rates = decay.to(key.dtype).view(-1, 1, 1)
        left = torch.arange(count - 1, -1, -1, device=key.device).view(-1, 1)
        new = torch.matmul((key * rates**left).mT, wide(value))
        return new if before is None else before * rates**count + new


def attend(query: Tensor, key: Tensor, value: Tensor, decay: Tensor, *, state: Tensor | None) -> Tensor:
    """Outputs (b h q v), after the keys of `state`."""
    with torch.autocast(query.device.type, enabled=False):
        query, chunks = wide(query), []
        rates = decay.to(query.dtype).view(-1, 1, 1)
        for start in range(0, query.shape[2], CHUNK):
            place = slice(start, start + CHUNK)
            q, k, v = query[:, :, place], key[:, :, place], value[:, :, place]
            at = torch.arange(q.shape[2], device=q.device)
            away = (at.unsqueeze(1) - at).clamp(min=0)
            mixed = torch.matmul((torch.matmul(q, wide(k).mT) * rates**away).tril(), wide(v))
            if state is not None:
                mixed = mixed + torch.matmul(q * rates ** (at.unsqueeze(1) + 1), state)
            chunks.append(mixed)
            state = absorbed(state, k, v, decay)
        return torch.cat(chunks, 2)
