"""What a recurrent decoder hands from step to step, and the cache of it. The decoder is in recurrent.py."""

from typing import NamedTuple

import torch
from torch import Tensor

from attncli.nn.attention import Projected
from attncli.nn.cells import Hidden
from attncli.nn.serving import Trail
from attncli.streams import Stream


class Step(NamedTuple):
    """What one step of a decoder hands to the next."""

    hidden: Hidden  # each (layers b d_hidden)
    context: Tensor | None  # (b d_context), where it is fed
    readout: Tensor | None  # (b d_readout), where it is fed
    output: Tensor | None  # (b d_hidden) of the last layer, where that is more than its state
    trail: Trail  # each (b h k), where the attention looks at its earlier weights

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Every tensor of the step."""
        single = (self.context, self.readout, self.output)
        return (*self.hidden, *(part for part in single if part is not None), *self.trail)


def kept(real: Tensor, new: Step, old: Step) -> Step:
    """The new step where a row has a token, the old one where it has padding."""

    def choose(now: Tensor | None, before: Tensor | None) -> Tensor | None:
        return None if now is None or before is None else torch.where(real.unsqueeze(1), now, before)

    pairs = zip(new.hidden, old.hidden, strict=True)
    hidden = tuple(torch.where(real[None, :, None], now, before) for now, before in pairs)
    steps = zip(new.trail, old.trail, strict=True)
    trail = tuple(torch.where(real[:, None, None], now, before) for now, before in steps)
    single = zip(new[1:4], old[1:4], strict=True)
    context, readout, output = (choose(now, before) for now, before in single)
    return Step(hidden, context, readout, output, trail)


class RecurrentPast:
    """What a recurrent decoder keeps while it writes: every step so far, so that `crop` can go back."""

    def __init__(self, read: Stream | None, projected: Projected | None) -> None:
        self.read = read
        self.projected = projected
        self.steps: list[Step] = []
        self.moves: list[tuple[int, Tensor]] = []  # (n, index): reorderings that steps before n have yet to follow

    @property
    def length(self) -> int:
        return max(0, len(self.steps) - 1)

    def reorder(self, index: Tensor) -> None:
        if self.projected is not None and self.read is not None:
            self.projected = (self.projected[0][index], self.projected[1][index])
            self.read = self.read.select(index)
        if self.steps:
            self.steps[-1] = _reordered(self.steps[-1], index)
            self.moves.append((len(self.steps) - 1, index))

    def crop(self, length: int) -> None:
        if length >= self.length:
            return
        step = self.steps[length]
        for before, index in self.moves:
            step = _reordered(step, index) if before > length else step
        self.steps[length:] = [step]
        self.moves = [(min(before, length), index) for before, index in self.moves]

    @property
    def bytes(self) -> int:
        parts = [part for step in self.steps for part in step.parts]
        return sum(x.numel() * x.element_size() for x in [*parts, *(self.projected or ())])


def _reordered(step: Step, index: Tensor) -> Step:
    context, readout, output = (None if part is None else part[index] for part in step[1:4])
    trail = tuple(part[index] for part in step.trail)
    return Step(tuple(part[:, index] for part in step.hidden), context, readout, output, trail)
