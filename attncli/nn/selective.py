"""Earlier queries say which keys later ones need no more. Mirrors `selective` of attncli/spec/attention.py.

    S_qk = relu(s_qk) of the first head, for k < q that q sees, k no first token;  F_q = sum of S_p over p < q;  s - F

Leviathan et al. 2024, arXiv:2410.02703, section 3. Shapes: b rows, h heads, q queries, k keys.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from attncli.nn.cache import KeyValue


class Selective(nn.Module):
    """Logits less what earlier queries have marked. `ahead` keys in front, which stand nowhere, are never marked.

    Cost: one head's logits once more.
    """

    def __init__(self, *, ahead: int) -> None:
        super().__init__()
        self.ahead = ahead

    def forward(
        self, logits: Tensor, visible: Tensor | None, positions: tuple[Tensor, Tensor], marked: Tensor | None,
        told: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """Logits (b h q k) of what is visible at positions (b|1 q), (b|1 k).

        `marked` (b 1 k) is what queries before these have marked; `told` (b q k), of the keys that are not ahead,
        receives what is marked after each of these.
        """
        q, k = positions[0][:, None, :, None], positions[1][:, None, None, self.ahead :]
        counts = (k != q) & (k != 0)
        if visible is not None:
            counts = counts & visible.expand_as(logits)[:, :1, :, self.ahead :]
        marks = torch.where(counts, logits[:, :1, :, self.ahead :].relu(), 0.0)
        after = marks.cumsum(2)
        before = pad(after[:, :, :-1], (0, 0, 1, 0))
        if marked is not None:
            past = marked[..., self.ahead :].unsqueeze(2).to(logits.dtype)
            before, after = before + past, after + past
        if told is not None:
            told.copy_(after.detach().squeeze(1))
        return logits - pad(before, (self.ahead, 0))


class Marks(KeyValue):
    """A cache that also keeps, after each token, how much the queries so far have marked each key: (b 1 n capacity).

    One number a key would do for what comes next, but then what later tokens marked could not be taken back by `crop`.
    The room grows with the square of the capacity, as one head's weights.
    """

    def append(self, *new: Tensor) -> tuple[Tensor, ...]:
        """As of KeyValue; the last of `new` has no width, and comes back as the room for the marks."""
        *others, marks = new
        return super().append(*others, marks.new_zeros(*marks.shape[:3], self.capacity))


def recalled(marks: Tensor, *, queries: int, ahead: int) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """The trail (b 1 k) of what was marked before the last `queries` places, and where theirs is written (b q k).

    Of the room (b 1 k capacity) of a cache; neither without one, where it has no width.
    """
    keys = marks.shape[2]
    start = keys - queries
    if not marks.shape[3]:
        return (), None
    before = marks[:, 0, start - 1 : start, :keys] if start else marks.new_zeros(len(marks), 1, keys)
    return (pad(before, (ahead, 0)),), marks[:, 0, start:, :keys]
