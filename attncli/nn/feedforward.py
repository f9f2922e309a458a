"""The map that every position goes through alone. Mirrors attncli/spec/feedforward.py."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from attncli.spec import feedforward as spec

Activation = Callable[[Tensor], Tensor]


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Activation] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": F.silu,
    "swiglu": F.silu,
    "geglu": F.gelu,
}


class Feedforward(nn.Module):
    """activation(x W) W_out, or (activation(x W) * x V) W_out where it is gated. Dropout on the hidden units."""

    def __init__(self, *, d_model: int, d_ff: int, gated: bool, bias: bool, dropout: float, activation: str) -> None:
        super().__init__()
        self.hidden = nn.Linear(d_model, d_ff, bias=bias)
        self.gate = nn.Linear(d_model, d_ff, bias=bias) if gated else None
        self.output = nn.Linear(d_ff, d_model, bias=bias)
        self.dropout = dropout
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """States (b n d) to states (b n d)."""
        if self.gate is None:
            hidden = self.activation(self.hidden(x))
        else:
            hidden = self.activation(self.gate(x)) * self.hidden(x)
        if self.dropout:
            hidden = F.dropout(hidden, self.dropout, self.training)
        out: Tensor = self.output(hidden)
        return out


def build_feedforward(feedforward: spec.Feedforward, *, d_model: int) -> Feedforward:
    """The module of a feed-forward branch; every kind is one activation, gated or not."""
    return Feedforward(
        d_model=d_model,
        d_ff=feedforward.d_ff,
        gated=isinstance(feedforward, spec.GATED),
        bias=feedforward.bias,
        dropout=feedforward.dropout,
        activation=feedforward.kind,
    )
