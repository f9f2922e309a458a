"""The memory of a segment: states of the tokens before it, as further keys. Mirrors segment_memory of spec/stacks.py.

    h = [stop(m) , x];  q = x W_q;  k, v = h W_k, h W_v

Each layer keeps what entered it, and norms and projects it anew with the weights of now; no gradient flows into it. So
in a text that is read segment by segment a query at q sees, of what its mask shows, the keys from
q // length * length - memory on: cached decoding, which keeps keys, hides the others.

Shapes: b rows, n places of a segment, m of the memory. Memory: b m d numbers an attention.
Source: Dai et al. 2019, arXiv:1901.02860, section 3.2.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from attncli.nn.view import Tap, View
from attncli.streams import Stream


class Segment(NamedTuple):
    """How a stack cuts its texts."""

    length: int
    memory: int

    @property
    def start(self) -> int:
        """The position of the first token behind a memory: a whole number of segments, so that none is below 0."""
        return -(-self.memory // self.length) * self.length


class Recalled:
    """What the attentions of one pass, in their order, find of the segments before, and what they leave."""

    def __init__(self, memory: int, given: Sequence[Tensor]) -> None:
        self.memory = memory
        self.given = given
        self.left: list[Tensor] = []

    def before(self, x: Tensor, entered: Tensor, enter: Callable[[Tensor], Tensor]) -> Tensor:
        """`entered`, made by `enter` of the stream x (b n d), with what it makes of the memory before it: (b m+n d)."""
        if not self.given:
            self.left.append(x.detach()[:, -self.memory :])
            return entered
        memory = self.given[len(self.left)].to(x.dtype)
        self.left.append(torch.cat((memory, x.detach()), 1)[:, -self.memory :])
        return torch.cat((enter(memory), entered), 1)


def view_of_segment(stream: Stream, segment: Segment, recalled: int, tap: Tap | None) -> View:
    """The places of a segment seeing each other and those that are recalled, which have smaller positions."""
    new = torch.arange(stream.values.shape[1], device=stream.values.device).unsqueeze(0) + segment.start
    old = torch.arange(segment.start - recalled, segment.start, device=new.device).unsqueeze(0)
    memory = stream.documents.new_zeros(len(stream.values), recalled)
    documents = torch.cat((memory, stream.documents), 1)
    return View(
        new, torch.cat((old, new), 1), stream.documents, documents, padded=stream.padded, tap=tap,
        lengths=stream.lengths + recalled, texts=documents if stream.padded else None,
    )  # fmt: skip


def within(view: View, segment: Segment) -> View:
    """What new tokens see of a text that is longer than a segment."""
    if view.key_positions.shape[1] <= segment.length:
        return view
    oldest = view.query_positions // segment.length * segment.length - segment.memory
    seen = view.key_positions.unsqueeze(1) >= oldest.unsqueeze(2)
    ways = seen if view.ways is None else view.ways & seen
    return replace(view, ways=ways, aligned=False, near=False)
