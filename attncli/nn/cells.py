"""Recurrent cells, and layers of them. The kinds are those of `cell` in attncli/spec/recurrent.py.

torch's own loops run wherever they compute what is asked for; `Layered` runs what they have not, a step at a time, on
parameters of the same names and shapes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.dropout import drop
from attncli.nn.gated import Gru

Hidden = tuple[Tensor, ...]
"""(h,) or, of an LSTM, (h, c)."""

MODES = {"gru": "GRU", "gru_before": "GRU", "lstm": "LSTM", "rnn_tanh": "RNN_TANH", "rnn_relu": "RNN_RELU"}
"""How torch names the cells; it has no GRU whose reset gate stands before the product."""


def gru_before(x: Tensor, hidden: Tensor, weights: list[Tensor]) -> Tensor:
    """n = tanh(W x + b + U (r h) + c); (1 - z) n + z h. Cho et al. 2014, arXiv:1406.1078, eq. 5 to 8."""
    width = hidden.shape[1]
    of_input, of_state = weights[:2]
    entered = F.linear(x, of_input, weights[2] if len(weights) > 2 else None)
    bias = weights[3] if len(weights) > 2 else None
    kept = F.linear(hidden, of_state[: 2 * width], None if bias is None else bias[: 2 * width])
    reset, update = (entered[:, : 2 * width] + kept).sigmoid().chunk(2, 1)
    last = F.linear(reset * hidden, of_state[2 * width :], None if bias is None else bias[2 * width :])
    new = torch.tanh(entered[:, 2 * width :] + last)
    return (1 - update) * new + update * hidden


def one_cell(cell: str, x: Tensor, hidden: Hidden, weights: list[Tensor]) -> Hidden:
    """One step (b d) of one layer; weights as torch keeps them: of the input, of the state, and their biases."""
    match cell:
        case "gru":
            return (torch.gru_cell(x, hidden[0], *weights),)
        case "gru_before":
            return (gru_before(x, hidden[0], weights),)
        case "lstm":
            return torch.lstm_cell(x, (hidden[0], hidden[1]), *weights)
        case "rnn_tanh":
            return (torch.rnn_tanh_cell(x, hidden[0], *weights),)
        case _:
            return (torch.rnn_relu_cell(x, hidden[0], *weights),)


def weights_of(rnn: nn.RNNBase, layer: int, way: str = "") -> list[Tensor]:
    """The weights of one layer in one direction ("" or "_reverse")."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if rnn.bias else ("weight_ih", "weight_hh")
    return [getattr(rnn, f"{name}_l{layer}{way}") for name in names]


class Layered(nn.RNNBase):
    """Layers of one cell; with `residual`, each from the second on gives its state plus what it read."""

    def __init__(
        self, *, cell: str, inputs: int, d_hidden: int, layers: int, bias: bool, dropout: float, both: bool,
        residual: bool,
    ) -> None:  # fmt: skip
        super().__init__(
            MODES[cell], inputs, d_hidden, layers, bias=bias, batch_first=True, dropout=dropout, bidirectional=both
        )
        self.cell, self.residual = cell, residual

    def forward(
        self, x: Tensor, first: Tensor | Hidden | None = None, real: Tensor | None = None
    ) -> tuple[Tensor, Hidden]:
        """Inputs (b n d) to outputs (b n d_hidden·ways) and the last states (layers·ways b d_hidden).

        Where `real` (b n) is false a state stands still, and the output is 0.
        """
        begin = _zeros(self, x) if first is None else first if isinstance(first, tuple) else (first,)
        ways, last = ("", "_reverse") if self.bidirectional else ("",), []
        for layer in range(self.num_layers):
            entered = drop(x, self.dropout, self.training) if layer else x
            runs = []
            for number, way in enumerate(ways):
                hidden = tuple(part[layer * len(ways) + number] for part in begin)
                states, hidden = self._run(entered, hidden, weights_of(self, layer, way), real, backward=bool(way))
                runs.append(states)
                last.append(hidden)
            joined = torch.cat(runs, 2)
            x = joined + x if self.residual and layer else joined
        return x, tuple(torch.stack(parts) for parts in zip(*last, strict=True))

    def _run(
        self, x: Tensor, hidden: Hidden, weights: list[Tensor], real: Tensor | None, *, backward: bool
    ) -> tuple[Tensor, Hidden]:
        states: list[Tensor] = []
        for place in reversed(range(x.shape[1])) if backward else range(x.shape[1]):
            new = one_cell(self.cell, x[:, place], hidden, weights)
            if real is None:
                states.append(new[0])
            else:
                here = real[:, place].unsqueeze(1)
                new = tuple(torch.where(here, now, before) for now, before in zip(new, hidden, strict=True))
                states.append(new[0] * here)
            hidden = new
        return torch.stack(states[::-1] if backward else states, 1), hidden


def _zeros(rnn: nn.RNNBase, x: Tensor) -> Hidden:
    rows = rnn.num_layers * (2 if rnn.bidirectional else 1)
    return tuple(x.new_zeros(rows, len(x), rnn.hidden_size) for _ in range(2 if rnn.mode == "LSTM" else 1))


def one_step(rnn: nn.RNNBase, cell: str, x: Tensor, hidden: Hidden, *, dropout: float) -> tuple[Tensor, Hidden]:
    """One step of every layer: the output (b d) of the last, and the states (layers b d)."""
    rows: list[Hidden] = []
    residual = isinstance(rnn, Layered) and rnn.residual
    for layer in range(rnn.num_layers):
        entered = drop(x, dropout, True) if layer else x
        rows.append(one_cell(cell, entered, tuple(part[layer] for part in hidden), weights_of(rnn, layer)))
        x = rows[-1][0] + x if residual and layer else rows[-1][0]
    return x, tuple(torch.stack([row[part] for row in rows]) for part in range(len(hidden)))


def build_cells(
    cell: str, inputs: int, d_hidden: int, layers: int, *, bias: bool, dropout: float, both: bool, residual: bool
) -> nn.RNNBase:
    """Layers of a cell; dropout lies between them."""
    between = dropout if layers > 1 else 0.0
    if residual or cell == "gru_before":
        return Layered(
            cell=cell, inputs=inputs, d_hidden=d_hidden, layers=layers, bias=bias, dropout=between, both=both,
            residual=residual,
        )  # fmt: skip
    if cell in ("rnn_tanh", "rnn_relu"):
        return nn.RNN(
            inputs, d_hidden, layers, nonlinearity=cell[4:], bias=bias, batch_first=True, dropout=between,
            bidirectional=both,
        )  # fmt: skip
    make = Gru if cell == "gru" else nn.LSTM
    return make(inputs, d_hidden, layers, bias=bias, batch_first=True, dropout=between, bidirectional=both)
