"""Layers of GRUs over whole rows: torch.nn.GRU, whose loop is that of attncli/nn/kernels/gru.py where it learns.

Shapes: w directions, b rows, n places, t tokens in all, i inputs, d units. For the way back each row is turned round,
so that both directions step together.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from attncli.nn.dropout import drop
from attncli.nn.function import Function
from attncli.nn.kernels.gru import gru


def written_out(x: Tensor) -> bool:
    """Whether a loop with its own backward pass serves x: where something learns, on the CPU, in full precision."""
    here = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
    return here and torch.is_grad_enabled() and x.dtype in (torch.float32, torch.float64)


class _Turned(Function):
    """x[index] of an index that is its own inverse: its gradient is read, where torch would add it up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return x[index]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return grads[0][index], None


def _turned(x: Tensor, index: Tensor) -> Tensor:
    made: Tensor = _Turned.apply(x, index)
    return made


class Gru(nn.GRU):
    """torch.nn.GRU with batch_first."""

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Rows (b n i), or packed ones, to outputs of the same kind (w·d wide), and the last states (layers·w b d)."""
        if not written_out(input.data):
            made: tuple[Any, Tensor] = super().forward(input, hx)
            return made
        if not isinstance(input, PackedSequence):
            rows, places = input.shape[:2]
            data, last = self._run(input.transpose(0, 1).flatten(0, 1), torch.full((places,), rows), hx)
            return data.view(places, rows, -1).transpose(0, 1), last
        data, counts, order, back = input
        data, last = self._run(data, counts, hx if hx is None or order is None else hx[:, order])
        return PackedSequence(data, counts, order, back), last if back is None else last[:, back]

    def _run(self, data: Tensor, counts: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        """Packed tokens (t i), `counts` (n) of them at each step, to outputs (t w·d) and the last states."""
        ways = ["", "_reverse"] if self.bidirectional else [""]
        turn = _from_the_end(counts) if self.bidirectional else counts
        steps, lasts = counts.tolist(), []
        if first is None:
            first = data.new_zeros(len(ways) * self.num_layers, steps[0], self.hidden_size)
        for layer, begin in enumerate(torch.split(first, len(ways))):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
            of_input, of_state, *biases = (
                torch.stack([getattr(self, f"{name}_l{layer}{way}") for way in ways]) for name in names
            )
            b, c = (bias.unsqueeze(1) for bias in biases or 2 * [data.new_zeros(1, 1)])
            sides = torch.stack((data, _turned(data, turn))) if self.bidirectional else data.unsqueeze(0)
            states, last = gru(sides, begin, of_input, of_state, b, c, steps)
            lasts.append(last)
            onward, *backward = states.unbind()
            data = torch.cat((onward, *(_turned(each, turn) for each in backward)), 1)
            if layer + 1 < self.num_layers:
                data = drop(data, self.dropout, self.training)
        return data, torch.cat(lasts)


def _from_the_end(counts: Tensor) -> Tensor:
    """For each packed token (t) the one of its row that stands as far from the end."""
    lengths = (counts.unsqueeze(1) > torch.arange(int(counts[0]))).sum(0)
    begins = counts.cumsum(0) - counts
    place = torch.arange(len(counts)).repeat_interleave(counts)
    row = torch.arange(len(place)) - begins[place]
    return begins[lengths[row] - 1 - place] + row
