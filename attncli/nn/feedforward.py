"""The map that every position goes through alone. Mirrors attncli/spec/feedforward.py."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.dropout import drop
from attncli.nn.norms import build_norm
from attncli.spec import feedforward as spec

Activation = Callable[[Tensor], Tensor]


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


ACTIVATIONS: dict[str, Activation] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu,
    "silu": F.silu,
    "relu_squared": _relu_squared,
    "tanh": torch.tanh,
    "swiglu": F.silu,
    "geglu": F.gelu,
    "geglu_tanh": _gelu_tanh,
    "reglu": F.relu,
    "glu": torch.sigmoid,
}


class Gate(Linear):
    """The half W of a gated map, whose hidden units are activation(x W) * (x V + up_offset).

    A slope a makes u s(u) to u s(a u), where the activation is of that form, and s(u) to s(a u). A clamp c holds x W at
    most c, and x V between -c and c, before anything else.
    """

    def __init__(
        self, *, d_model: int, d_ff: int, bias: bool, activation: str, clamp: float | None, slope: float,
        up_offset: float,
    ) -> None:  # fmt: skip
        super().__init__(d_model, d_ff, bias=bias)
        self.activation = ACTIVATIONS[activation]
        self.clamp, self.slope, self.up_offset = clamp, slope, up_offset
        self.divisor = 1.0 if activation == "glu" else slope

    def units(self, x: Tensor, up: Tensor) -> Tensor:
        """Hidden units (… d_ff) of states x (… d) and their other half x V."""
        gate = self(x)
        if self.clamp is not None:
            gate, up = gate.clamp(max=self.clamp), up.clamp(-self.clamp, self.clamp)
        if self.up_offset:
            up = up + self.up_offset
        if self.slope == 1:
            return self.activation(gate) * up
        return self.activation(gate * self.slope) * up / self.divisor


class Feedforward(nn.Module):
    """inner_norm(dropout(activation(x W))) W_out, or with the units of a gate in place of activation(x W)."""

    def __init__(
        self, *, d_model: int, d_ff: int, bias: bool, dropout: float, activation: str, gate: Gate | None,
        inner_norm: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__()
        self.hidden = Linear(d_model, d_ff, bias=bias)
        self.gate = gate
        self.inner_norm = inner_norm
        self.output = Linear(d_ff, d_model, bias=bias)
        self.dropout = dropout
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """States (… d) to states (… d)."""
        hidden = self.hidden(x)
        hidden = self.activation(hidden) if self.gate is None else self.gate.units(x, hidden)
        hidden = drop(hidden, self.dropout, self.training)
        out: Tensor = self.output(self.inner_norm(hidden))
        return out


def build_feedforward(feedforward: spec.Dense, *, d_model: int) -> Feedforward:
    """The module of a feed-forward map; every kind is one activation, gated or not."""
    return Feedforward(
        d_model=d_model,
        d_ff=feedforward.d_ff,
        bias=feedforward.bias,
        dropout=feedforward.dropout,
        activation=feedforward.kind,
        gate=_build_gate(feedforward, d_model=d_model) if isinstance(feedforward, spec.GATED) else None,
        inner_norm=build_norm(feedforward.inner_norm, width=feedforward.d_ff),
    )


def _build_gate(feedforward: spec.Gated, *, d_model: int) -> Gate:
    return Gate(
        d_model=d_model,
        d_ff=feedforward.d_ff,
        bias=feedforward.bias,
        activation=feedforward.kind,
        clamp=feedforward.clamp,
        slope=feedforward.slope,
        up_offset=feedforward.up_offset,
    )
