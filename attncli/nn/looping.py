"""Maps that a loop over steps goes through again and again: what does not wait for the step before it is made at once.

What a token gives to the gates is one product over all steps, before the loop; the gradients of the weights are one
product over all steps, behind it, where a product a step would read and write the whole gradient each time.
Equal to the plain loop but for rounding. Shapes: b rows, n steps, i inputs, o outputs, d units of a cell.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.cells import Hidden, Layered
from attncli.nn.function import Function

Seen = list[tuple[Tensor, Tensor]]


class _Gathered(Function):
    """A weight and its bias for a loop; their gradient is made of all that the steps have seen."""

    @staticmethod
    def forward(ctx: Any, seen: Seen, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        ctx.seen = seen
        ctx.set_materialize_grads(False)
        return weight.view_as(weight), None if bias is None else bias.view_as(bias)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        if not ctx.seen:
            return None, None, None
        inputs, grads = (torch.cat(each) for each in zip(*ctx.seen, strict=True))
        ctx.seen.clear()
        of_bias = grads.sum(0) if ctx.needs_input_grad[2] else None
        return None, torch.mm(grads.mT, inputs) if ctx.needs_input_grad[1] else None, of_bias


class _Step(Function):
    """x W' + b; the gradient of W and b is left to `_Gathered`."""

    @staticmethod
    def forward(ctx: Any, seen: Seen, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.seen = seen
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        ctx.seen.append((x, grad))
        return None, torch.mm(grad, weight) if ctx.needs_input_grad[1] else None, None, None


class Loop:
    """The linear maps of one loop, by their weights."""

    def __init__(self) -> None:
        self._maps: dict[int, tuple[Seen, Tensor, Tensor | None]] = {}  # by the weight's id: tensors have no order

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x W' + b, of one step."""
        if not torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
            return F.linear(x, weight, bias)
        if id(weight) not in self._maps:
            seen: Seen = []
            made = _Gathered.apply(seen, weight, bias)
            self._maps[id(weight)] = (seen, *made)
        seen, *made = self._maps[id(weight)]
        out: Tensor = _Step.apply(seen, x, *made)
        return out


class _Gru(Function):
    """h' = (1 - z) n + z h of what enters (b 3d) and what the state gives (b 3d), parted into r, z and n.

    r, z = sigmoid(sums); n = tanh(entered + r kept). torch.nn.GRU has the equations; this is one step of them.
    """

    @staticmethod
    def forward(ctx: Any, entered: Tensor, kept: Tensor, state: Tensor) -> Tensor:
        d = state.shape[1]
        gates = torch.add(entered[:, : 2 * d], kept[:, : 2 * d]).sigmoid_()
        r, z = gates[:, :d], gates[:, d:]
        new = torch.addcmul(entered[:, 2 * d :], r, kept[:, 2 * d :]).tanh_()
        ctx.save_for_backward(gates, new, kept, state)
        return torch.lerp(new, state, z)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates, new, kept, state = ctx.saved_tensors
        d = state.shape[1]
        r, z, last = gates[:, :d], gates[:, d:], kept[:, 2 * d :]
        of_entered = grad.new_empty(len(grad), 3 * d)
        of_new, of_gates = of_entered[:, 2 * d :], of_entered[:, : 2 * d]
        of_state = grad * z
        torch.mul(grad - of_state, 1 - new * new, out=of_new)
        torch.mul(of_new, last, out=of_gates[:, :d])
        torch.mul(grad, state - new, out=of_gates[:, d:])
        of_gates.mul_(gates).mul_(1 - gates)
        of_kept = of_entered.clone()
        of_kept[:, 2 * d :].mul_(r)
        return of_entered, of_kept, of_state


def _lstm(gates: Tensor, hidden: Hidden) -> Hidden:
    enters, forgets, new, out = gates.chunk(4, 1)
    cell = forgets.sigmoid() * hidden[1] + enters.sigmoid() * new.tanh()
    return out.sigmoid() * cell.tanh(), cell


class Cells:
    """One layer of GRU or LSTM cells over the steps of a loop, whose inputs are known but for their last features."""

    def __init__(self, loop: Loop, weights: list[Tensor], known: Tensor) -> None:
        """`known` (b n i): what is fed at each step stands behind it."""
        of_input, self.of_state, *biases = weights
        self.loop, self.second = loop, biases[1] if biases else None
        width = known.shape[2]
        self.of_fed = of_input[:, width:]
        self.entered = F.linear(known, of_input[:, :width], biases[0] if biases else None).unbind(1)

    def step(self, place: int, fed: Tensor | None, hidden: Hidden) -> Hidden:
        """The states (b d) after a step; two of them are an LSTM's."""
        entered = self.entered[place]
        if fed is not None:
            entered = entered + self.loop.linear(fed, self.of_fed, None)
        kept = self.loop.linear(hidden[0], self.of_state, self.second)
        if len(hidden) == 2:
            return _lstm(entered + kept, hidden)
        return (_Gru.apply(entered, kept, hidden[0]),)


def loops(rnn: nn.RNNBase, cell: str) -> bool:
    """Whether `Cells` has these cells."""
    return cell in ("gru", "lstm") and rnn.num_layers == 1 and not isinstance(rnn, Layered)
