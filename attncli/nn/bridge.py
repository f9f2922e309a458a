"""What a recurrent decoder starts from. The kinds are those of `bridge` in attncli/spec/recurrent.py."""

import torch
from torch import Tensor, nn

from attncli.nn.affine import Linear
from attncli.nn.cells import Hidden
from attncli.nn.readouts import SQUASH
from attncli.nn.states import States


class Bridge(nn.Module):
    """First state of a decoder: for each layer activation(W x + b) of what is read; a cell state starts so as well."""

    def __init__(self, *, of: str, d_memory: int, d_hidden: int, layers: int, states: int, activation: str) -> None:
        super().__init__()
        self.of = of
        self.layers, self.states = layers, states
        self.map = Linear(d_memory, d_hidden * layers * states)
        self.activation = SQUASH[activation]

    def forward(self, memory: States) -> Hidden:
        first = self.activation(self.map(self._summary(memory)))
        parts = first.view(len(first), self.states, self.layers, -1).permute(1, 2, 0, 3)
        return tuple(part.contiguous() for part in parts)

    def _summary(self, memory: States) -> Tensor:
        """(b d): the mean of the states, the last state forward (and backward), or the last state backward."""
        if self.of == "mean" or memory.final is None:
            real = memory.stream.real.unsqueeze(2)
            return (memory.values * real).sum(1) / real.sum(1)
        last = memory.final[0]
        width = self.map.in_features
        if self.of == "backward":
            return last[-1]
        return last[-1] if width == last.shape[2] else torch.cat((last[-2], last[-1]), 1)
