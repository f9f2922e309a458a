"""The delta rule chunk by chunk: what a token writes of its value depends on what its key recalls.

    S_n = a_n S_(n-1) + k_n u_n';  u_n = b_n (v_n - a_n S_(n-1)' k_n);  output_n = S_n' q_n

Within a chunk that begins with S_0, and with G the sum of ln a from its start,

    (I + L) U = b (V - e^G K S_0),  L_ij = b_i e^(G_i - G_j) k_i . k_j for j < i;
    O = e^G Q S_0 + (tril(Q K') e^(G_i - G_j)) U;  S = e^(G_last) S_0 + (e^(G_last - G) K)' U

so one triangular system a chunk takes the place of a walk over its tokens. Yang et al. 2024, arXiv:2406.06484, section
3.2 (the UT transform); with fading, Yang, Kautz and Hatamizadeh 2024, arXiv:2412.06464, section 3.3. Shapes: q and k
(b h n e), v (b h n v), b and ln a (b h n), S (b h e v), in float32 or wider. Cost: b h n (CHUNK + e) (e + v).
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn.kernels.reference import wide

CHUNK = 64


def attend(
    query: Tensor, key: Tensor, value: Tensor, strength: Tensor, fade: Tensor, *, state: Tensor | None,
    documents: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Outputs (b h n v) after `state`, and S after all tokens; `fade` is ln a.

    Where rows hold several texts, `documents` (b n) tells them apart: S begins anew in each.
    """
    with torch.autocast(key.device.type, enabled=False):
        query, key, value, strength, fade = (wide(x) for x in (query, key, value, strength, fade))
        if state is None:
            state = key.new_zeros(*key.shape[:2], key.shape[3], value.shape[3])
        count = key.shape[2]
        if not count:
            return value, state
        cut = partial(_cut, size=min(CHUNK, count))
        query, key, value = (cut(x, along=2) for x in (query, key, value))
        strength, total = cut(strength, along=2).unsqueeze(-1), cut(fade, along=2).cumsum(-1).unsqueeze(-1)
        borders = None if documents is None else _borders(cut(documents, along=1, fill=-1))
        decay, entering, leaving, through = _decays(total, borders)
        own = (strength * decay * torch.matmul(key, key.mT)).tril(-1)
        written = torch.cat((strength * value, strength * entering * key), -1)
        written = torch.linalg.solve_triangular(own, written, upper=False, unitriangular=True)
        fresh, recalled = torch.split(written, [value.shape[-1], key.shape[-1]], -1)
        asked, kept, near = query * entering, key * leaving, torch.matmul(query, key.mT) * decay
        mixed = []
        for chunk in range(key.shape[2]):
            new = fresh[:, :, chunk] - torch.matmul(recalled[:, :, chunk], state)
            mixed.append(torch.matmul(asked[:, :, chunk], state) + torch.matmul(near[:, :, chunk], new))
            state = through[:, :, chunk] * state + torch.matmul(kept[:, :, chunk].mT, new)
        return torch.cat(mixed, 2)[:, :, :count], state


def implied(query: Tensor, key: Tensor, strength: Tensor, fade: Tensor, *, visible: Tensor | None) -> Tensor:
    """Weights (b h q k) of all k values in the outputs of the last q tokens: (tril(Q K') e^(G - G')) (I + L)^-1 b.

    `visible` (b|1 1 q k) is causal; with all queries there it also tells which tokens are of one text. Cost: b h k k k.
    """
    queries, keys = query.shape[2], key.shape[2]
    seen = torch.ones(keys, keys, dtype=torch.bool, device=key.device).tril()
    if visible is not None and queries == keys:
        seen = seen & visible
    total = fade.cumsum(-1)
    decay = (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(~seen, -torch.inf).exp()
    own = (strength.unsqueeze(-1) * decay * torch.matmul(key, key.mT)).tril(-1)
    near = torch.matmul(query, key.mT) * decay[..., keys - queries :, :]
    weights = torch.linalg.solve_triangular(own, near, upper=False, left=False, unitriangular=True)
    shares: Tensor = weights * strength.unsqueeze(-2)
    return shares


def _cut(x: Tensor, *, size: int, along: int, fill: int = 0) -> Tensor:
    """(… n …) to (… chunks size …), with tokens that write nothing behind the last."""
    missing = -x.shape[along] % size
    padded = F.pad(x, [0, 0] * (x.ndim - 1 - along) + [0, missing], value=fill)
    return padded.view(*x.shape[:along], -1, size, *x.shape[along + 1 :])


def _borders(documents: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of chunks (b c s): which pairs, which tokens with the chunk before, which with the chunk's end, and which ends
    with each other, are of one text."""
    last = documents[:, :, -1:]
    before = F.pad(last[:, :-1], (0, 0, 1, 0), value=-2)
    same = documents.unsqueeze(3) == documents.unsqueeze(2)
    ends = (documents == before, documents == last, last == before)
    one, two, three = (each.unsqueeze(1).unsqueeze(-1) for each in ends)
    return same.unsqueeze(1), one, two, three


def _decays(
    total: Tensor, borders: tuple[Tensor, Tensor, Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What is left of G (b h c s 1) between tokens of a chunk, from its start to a token, from there to its end, and
    from start to end."""
    seen = torch.ones(total.shape[3], total.shape[3], dtype=torch.bool, device=total.device).tril()
    last = total[:, :, :, -1:]
    entering, leaving, through = total.exp(), (last - total).exp(), last.exp()
    if borders is not None:
        same, starts, ends, passes = borders
        seen = seen & same
        entering, leaving, through = entering * starts, leaving * ends, through * passes
    return (total - total.mT).masked_fill(~seen, -torch.inf).exp(), entering, leaving, through
