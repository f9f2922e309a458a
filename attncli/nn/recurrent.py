"""Recurrent stacks: encoders here, decoders in recurrent_decoder.py. Mirrors attncli/spec/recurrent.py."""

from collections.abc import Mapping
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from attncli.nn.attention import build_attention
from attncli.nn.bridge import Bridge
from attncli.nn.cells import Layered, build_cells
from attncli.nn.dropout import drop
from attncli.nn.inputs import Tokens, build_input
from attncli.nn.readouts import DenseReadout, MaxoutReadout, Readout
from attncli.nn.recurrent_decoder import PACKED, Decoder
from attncli.nn.states import Memory, States
from attncli.nn.view import Tap, positions_of
from attncli.spec import recurrent as spec
from attncli.streams import Stream


class Encoder(nn.Module):
    """Recurrent layers over the tokens, padding left out; both directions side by side or added."""

    def __init__(
        self, *, field: str, input: Tokens, cells: nn.RNNBase, direction: str, merge: str, dropout: float
    ) -> None:
        super().__init__()
        self.field = field
        self.input = input
        self.direction, self.merge = direction, merge
        both = direction == "both"
        self.d_output = cells.hidden_size * (2 if both and merge == "concatenate" else 1)
        self.rnn = cells
        self.dropout = dropout

    def sources(self) -> set[str]:
        """The stacks that this one reads: none."""
        return set()

    def forward(self, tokens: Stream, memory: Memory, tap: Tap | None = None) -> States:
        """Ids (b n) to states (b n d), and the last state of every layer and direction."""
        assert not tokens.packed, PACKED
        x = self.input(tokens, positions_of(tokens))
        order = _reading_order(tokens, backward=self.direction == "backward")
        if order is not None:
            x = x.gather(1, order.unsqueeze(2).expand_as(x))
        if isinstance(self.rnn, Layered):
            # in the order of reading the tokens of a row come first
            place = torch.arange(x.shape[1], device=x.device)
            states, final = self.rnn(x, None, place < tokens.lengths.unsqueeze(1) if tokens.padded else None)
        elif tokens.padded:
            packed = pack_padded_sequence(x, tokens.lengths.cpu(), batch_first=True, enforce_sorted=False)
            output, final = self.rnn(packed)
            states, _ = pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])
        else:
            states, final = self.rnn(x)
        if self.merge == "sum" and self.direction == "both":
            forward, backward = states.chunk(2, 2)
            states = forward + backward
        if order is not None:
            states = torch.zeros_like(states).scatter(1, order.unsqueeze(2).expand_as(states), states)
        states = drop(states, self.dropout, self.training)
        return States(states, tokens, final if isinstance(final, tuple) else (final,))


def _reading_order(tokens: Stream, *, backward: bool) -> Tensor | None:
    """(b n): the place that is read at each turn, real tokens first; None where that is the order of the places."""
    if tokens.plain and not backward:
        return None
    place = torch.arange(tokens.values.shape[1], device=tokens.values.device).expand_as(tokens.values)
    rank = -place if backward else place
    return torch.where(tokens.real, rank, tokens.values.shape[1] + place).argsort(1)


def build_recurrent(
    name: str, stack: spec.Recurrent, *, vocabulary: int, widths: Mapping[str, int], writes: bool, points: bool
) -> Encoder | Decoder:
    """The module of a recurrent stack; a writer (one that a language is generated from) is a Decoder; `points`: for a
    pointer-generator."""
    d_embedding = stack.input.d_embedding
    tokens = build_input(stack.input, vocabulary=vocabulary, d_model=d_embedding, max_length=stack.max_length)
    if stack.cross_attention is None and not writes:
        merge = stack.direction.merge if isinstance(stack.direction, spec.Both) else "concatenate"
        return Encoder(
            field=stack.input.field, input=tokens, cells=_build_cells(stack, d_embedding),
            direction=stack.direction.kind, merge=merge, dropout=stack.dropout,
        )  # fmt: skip
    cross = stack.cross_attention
    source = None if cross is None else cross.stack
    d_memory = widths[source] if source is not None else 0
    attention, d_context = None, 0
    if cross is not None:
        values = cross.heads * cross.d_value if cross.maps("value") else d_memory
        d_context = stack.d_hidden if "output" in cross.projections else values
        attention = build_attention(cross, d_query=stack.d_query, d_memory=d_memory, d_output=d_context)
        attention.address = f"{name}.cross_attention"
    feeding, combine = stack.input_feeding.kind, getattr(stack.input_feeding, "combine", "concatenate")
    fed = {"none": 0, "context": d_context, "readout": stack.d_readout}[feeding]
    return Decoder(
        field=stack.input.field, input=tokens, cell=_cell_of(stack.cell),
        cells=_build_cells(stack, d_embedding + (fed if combine == "concatenate" else 0)), d_embedding=d_embedding,
        d_context=d_context, d_fed=fed, dropout=stack.dropout, source=source, attention=attention,
        bridge=_build_bridge(stack, widths=widths, source=source),
        copies=isinstance(stack.bridge, spec.CopyBridge), query=stack.query, feeding=feeding, combine=combine,
        d_output=stack.d_readout, readout=_build_readout(stack, d_context), points=points,
    )  # fmt: skip


def _cell_of(cell: spec.Cell) -> str:
    match cell:
        case spec.Gru():
            return "gru" if cell.reset == "after" else "gru_before"
        case spec.Lstm():
            return "lstm"
        case spec.Rnn():
            return f"rnn_{cell.activation}"
        case _:
            assert_never(cell)


def _build_cells(stack: spec.Recurrent, inputs: int) -> nn.RNNBase:
    both = isinstance(stack.direction, spec.Both)
    return build_cells(
        _cell_of(stack.cell), inputs, stack.d_hidden, stack.layers, bias=stack.bias, dropout=stack.dropout, both=both,
        residual=stack.residual == "add",
    )  # fmt: skip


def _build_readout(stack: spec.Recurrent, d_context: int) -> Readout | None:
    readout, d_state, d_token = stack.readout, stack.d_hidden, stack.input.d_embedding
    match readout:
        case spec.StateReadout():
            return None
        case spec.DenseReadout():
            return DenseReadout(
                d_context=d_context, d_state=d_state, d_token=d_token, d_hidden=readout.d_hidden,
                activation=readout.activation, gate=readout.gate,
            )  # fmt: skip
        case spec.MaxoutReadout():
            return MaxoutReadout(
                d_context=d_context, d_state=d_state, d_token=d_token, d_hidden=readout.d_hidden,
                pieces=readout.pieces, previous=readout.state == "previous",
            )  # fmt: skip
        case _:
            assert_never(readout)


def _build_bridge(stack: spec.Recurrent, *, widths: Mapping[str, int], source: str | None) -> Bridge | None:
    if not isinstance(stack.bridge, spec.DenseBridge) or source is None:
        return None
    states = 2 if isinstance(stack.cell, spec.Lstm) else 1
    width = widths[f"{source}.{stack.bridge.of}"]
    return Bridge(
        of=stack.bridge.of, d_memory=width, d_hidden=stack.d_hidden, layers=stack.layers, states=states,
        activation=stack.bridge.activation,
    )  # fmt: skip
