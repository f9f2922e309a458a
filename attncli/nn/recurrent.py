"""Recurrent stacks: encoders, and decoders that attend at every step. Mirrors attncli/spec/recurrent.py.

query state:            s_t = cell([x_t; fed_{t-1}], s_{t-1});  c_t = attend(s_t)                (Luong et al. 2015)
query previous_state:   c_t = attend(s_{t-1});  s_t = cell([x_t; c_t], s_{t-1})               (Bahdanau et al. 2015)
input_and_previous:     c_t = attend([x_t; s_{t-1}]);  s_t = cell(relu(W [x_t; c_t]), s_{t-1})       (the article)
readout:                r_t = activation(W [c_t; s_t] + b), or s_t
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from attncli.nn.attention import Attention, Projected, build_attention
from attncli.nn.cache import Places
from attncli.nn.inputs import Tokens, build_input
from attncli.nn.recurrent_past import Hidden, RecurrentPast, Step, kept
from attncli.nn.stacks import Memory, States
from attncli.nn.view import Tap, View, positions_of, view_of_memory
from attncli.spec import recurrent as spec
from attncli.streams import Stream

SQUASH: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": F.relu, "none": lambda x: x}

PACKED = "a recurrent state runs across the documents of a packed row"


class Encoder(nn.Module):
    """GRU or LSTM over the tokens, padding left out; both directions side by side or added."""

    def __init__(
        self, *, field: str, input: Tokens, cell: str, d_input: int, d_hidden: int, layers: int, direction: str,
        merge: str, bias: bool, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.field = field
        self.input = input
        self.direction, self.merge = direction, merge
        both = direction == "both"
        self.d_output = d_hidden * (2 if both and merge == "concatenate" else 1)
        self.rnn = _rnn(cell, d_input, d_hidden, layers, bias=bias, dropout=dropout, both=both)
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
        if tokens.padded:
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
        if self.dropout:
            states = F.dropout(states, self.dropout, self.training)
        return States(states, tokens, final if isinstance(final, tuple) else (final,))


def _reading_order(tokens: Stream, *, backward: bool) -> Tensor | None:
    """(b n): the place that is read at each turn, real tokens first; None where that is the order of the places."""
    if tokens.plain and not backward:
        return None
    place = torch.arange(tokens.values.shape[1], device=tokens.values.device).expand_as(tokens.values)
    rank = -place if backward else place
    return torch.where(tokens.real, rank, tokens.values.shape[1] + place).argsort(1)


def _rnn(cell: str, inputs: int, d_hidden: int, layers: int, *, bias: bool, dropout: float, both: bool) -> nn.RNNBase:
    between = dropout if layers > 1 else 0.0
    make = nn.GRU if cell == "gru" else nn.LSTM
    return make(inputs, d_hidden, layers, bias=bias, batch_first=True, dropout=between, bidirectional=both)


class Bridge(nn.Module):
    """First state of a decoder: for each layer activation(W x + b) of what is read; a cell state starts so as well."""

    def __init__(self, *, of: str, d_memory: int, d_hidden: int, layers: int, states: int, activation: str) -> None:
        super().__init__()
        self.of = of
        self.layers, self.states = layers, states
        self.map = nn.Linear(d_memory, d_hidden * layers * states)
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


class Decoder(nn.Module):
    """A recurrent writer; with attention it reads another stack at every step.

    Where the query is the new state and nothing is fed back, all steps run at once; else they run one by one.
    """

    def __init__(
        self, *, field: str, input: Tokens, cell: str, d_embedding: int, d_hidden: int, layers: int, bias: bool,
        dropout: float, source: str | None, d_context: int, attention: Attention | None, bridge: Bridge | None,
        copies: bool, query: str, feeding: str, combine: str, d_readout: int, readout: str | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.field, self.source = field, source
        self.input = input
        self.attention = attention
        self.bridge, self.copies = bridge, copies
        self.query, self.feeding = query, feeding
        fed = {"none": 0, "context": d_context, "readout": d_readout}[feeding]
        self.d_fed = fed
        joins = fed > 0 and combine != "concatenate"
        self.combine = nn.Linear(d_embedding + fed, d_embedding) if joins else None
        self.squash = SQUASH["relu" if combine == "relu" else "none"]
        entered = d_embedding + (0 if joins else fed)
        self.rnn = _rnn(cell, entered, d_hidden, layers, bias=bias, dropout=dropout, both=False)
        self.readout = nn.Linear(d_context + d_hidden, d_readout) if readout is not None else None
        self.activation = SQUASH[readout or "none"]
        self.dropout = dropout
        self.d_output = d_readout
        self.states = 1 if cell == "gru" else 2

    def sources(self) -> set[str]:
        """The stacks that this one reads."""
        return set() if self.source is None else {self.source}

    def forward(self, tokens: Stream, memory: Memory, tap: Tap | None = None) -> States:
        """Ids (b n) to readouts (b n d), reading what was written before (teacher forcing)."""
        assert not tokens.packed, PACKED
        x = self.input(tokens, positions_of(tokens))
        read, projected = self._read(memory, rows=1)
        first = self._first(memory, x, rows=1)
        if self.query == "state" and self.feeding == "none" and tokens.plain:
            states, _ = self.rnn(x, _joined(first.hidden))
            context = None
            if self.attention is not None and read is not None and projected is not None:
                view = view_of_memory(tokens, read, tap)
                context = self.attention.attend(self.attention.ask(states, view), projected, view)
            return States(self._read_out(context, states), tokens)
        readouts, _ = self._walk(x, tokens, first, read, projected, tap, past=None)
        return States(readouts, tokens)

    def start(self, memory: Memory, *, rows: int, capacity: int) -> RecurrentPast:
        """The state before the first token. The past takes room as it grows, whatever the capacity."""
        read, projected = self._read(memory, rows=rows)
        past = RecurrentPast(read, projected)
        if self.source is not None and projected is not None:
            like = memory[self.source].values.new_empty(len(projected[1]), 0)
            past.steps.append(self._first(memory, like, rows=rows))
        return past

    def step(self, tokens: Stream, past: RecurrentPast, places: Places, tap: Tap | None = None) -> Tensor:
        """Readouts (b n d) of new tokens, which join the past."""
        x = self.input(tokens, tokens.positions)
        if not past.steps:
            past.steps.append(self._first({}, x, rows=1))
        readouts, _ = self._walk(x, tokens, past.steps[-1], past.read, past.projected, tap, past)
        return readouts

    def _read(self, memory: Memory, *, rows: int) -> tuple[Stream | None, Projected | None]:
        if self.attention is None or self.source is None:
            return None, None
        states = memory[self.source]
        key, value = self.attention.read(states.values, view_of_memory(states.stream, states.stream))
        if rows == 1:
            return states.stream, (key, value)
        index = torch.arange(len(key), device=key.device).repeat_interleave(rows)
        return states.stream.select(index), (key[index], value[index])

    def _first(self, memory: Memory, like: Tensor, *, rows: int) -> Step:
        """The step before the first token; `like` has the dtype, and a row for each that is written."""
        if self.source is not None and self.bridge is not None:
            hidden = self.bridge(memory[self.source])
        elif self.source is not None and self.copies:
            final = memory[self.source].final
            assert final is not None
            hidden = final
        else:
            layers, width = self.rnn.num_layers, self.rnn.hidden_size
            hidden = tuple(like.new_zeros(layers, len(like) // rows, width) for _ in range(self.states))
        if rows > 1:
            hidden = tuple(part.repeat_interleave(rows, 1) for part in hidden)
        fed = like.new_zeros(len(like), self.d_fed)
        return Step(hidden, fed if self.feeding == "context" else None, fed if self.feeding == "readout" else None)

    def _walk(
        self, x: Tensor, tokens: Stream, step: Step, read: Stream | None, projected: Projected | None,
        tap: Tap | None, past: RecurrentPast | None,
    ) -> tuple[Tensor, Step]:  # fmt: skip
        shared: dict[object, object] = {}
        readouts = []
        for place in range(x.shape[1]):
            view = None
            if read is not None:
                one = _one_place(tokens, place)
                view = view_of_memory(one, read, tap)
                if self.attention is not None and self.attention.mask.text == "full":
                    view.memo = shared  # what all steps see alike is made once
            new, readout = self._one_step(x[:, place], step, projected, view)
            if tokens.padded and not tokens.plain:
                new = kept(tokens.real[:, place], new, step)
            step = new
            readouts.append(readout)
            if past is not None:
                past.steps.append(step)
        return torch.stack(readouts, 1), step

    def _one_step(self, x: Tensor, last: Step, projected: Projected | None, view: View | None) -> tuple[Step, Tensor]:
        context = None
        if self.query != "state" and view is not None and projected is not None:
            state = last.hidden[0][-1]
            asks = torch.cat((x, state), 1) if self.query == "input_and_previous_state" else state
            context = self._attend(asks, projected, view)
        fed = context if context is not None else last.context
        entered = self._feed(x, last.readout if self.feeding == "readout" else fed)
        output, hidden = self._cell(entered, last.hidden)
        if self.query == "state" and view is not None and projected is not None:
            context = self._attend(output, projected, view)
        readout = self._read_out(context, output)
        fed_context = context if self.feeding == "context" else None
        return Step(hidden, fed_context, readout if self.feeding == "readout" else None), readout

    def _attend(self, asks: Tensor, projected: Projected, view: View) -> Tensor:
        assert self.attention is not None
        asked = self.attention.ask(asks.unsqueeze(1), view)
        return self.attention.attend(asked, projected, view).squeeze(1)

    def _feed(self, x: Tensor, fed: Tensor | None) -> Tensor:
        if self.feeding == "none" or fed is None:
            return x
        joined = torch.cat((x, fed), 1)
        return joined if self.combine is None else self.squash(self.combine(joined))

    def _cell(self, x: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        """One step of every layer, by torch's cell functions on the parameters of the whole network."""
        rows: list[tuple[Tensor, ...]] = []
        between = self.dropout if self.training else 0.0
        for layer in range(self.rnn.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.rnn.bias else ("weight_ih", "weight_hh")
            weights = [getattr(self.rnn, f"{name}_l{layer}") for name in names]
            if layer and between:
                x = F.dropout(x, between)
            if self.states == 1:
                rows.append((torch.gru_cell(x, hidden[0][layer], *weights),))
            else:
                rows.append(torch.lstm_cell(x, (hidden[0][layer], hidden[1][layer]), *weights))
            x = rows[-1][0]
        return x, tuple(torch.stack([row[part] for row in rows]) for part in range(self.states))

    def _read_out(self, context: Tensor | None, state: Tensor) -> Tensor:
        if self.readout is not None:
            joined = state if context is None else torch.cat((context, state), -1)
            state = self.activation(self.readout(joined))
        if self.dropout:
            state = F.dropout(state, self.dropout, self.training)
        return state


def _joined(hidden: Hidden) -> Tensor | Hidden:
    return hidden[0] if len(hidden) == 1 else hidden


def _one_place(tokens: Stream, place: int) -> Stream:
    """One place of every row."""
    at = slice(place, place + 1)
    return Stream(
        tokens.values[:, at], tokens.lengths, tokens.positions[:, at], tokens.documents[:, at],
        padded=tokens.padded, packed=tokens.packed, plain=False,
    )  # fmt: skip


def build_recurrent(
    name: str, stack: spec.Recurrent, *, vocabulary: int, widths: Mapping[str, int], writes: bool
) -> Encoder | Decoder:
    """The module of a recurrent stack; a writer (one that a language is generated from) is a Decoder."""
    d_embedding = stack.input.d_embedding
    tokens = build_input(stack.input, vocabulary=vocabulary, d_model=d_embedding, max_length=stack.max_length)
    if stack.cross_attention is None and not writes:
        merge = stack.direction.merge if isinstance(stack.direction, spec.Both) else "concatenate"
        return Encoder(
            field=stack.input.field, input=tokens, cell=stack.cell.kind, d_input=d_embedding, d_hidden=stack.d_hidden,
            layers=stack.layers, direction=stack.direction.kind, merge=merge, bias=stack.bias, dropout=stack.dropout,
        )  # fmt: skip
    cross = stack.cross_attention
    source = None if cross is None else cross.stack
    d_memory = widths[source] if source is not None else 0
    attention, d_context = None, 0
    if cross is not None:
        values = cross.heads * cross.d_value if "value" in cross.projections else d_memory
        d_context = stack.d_hidden if "output" in cross.projections else values
        attention = build_attention(cross, d_query=stack.d_query, d_memory=d_memory, d_output=d_context)
        attention.address = f"{name}.cross_attention"
    return Decoder(
        field=stack.input.field, input=tokens, cell=stack.cell.kind, d_embedding=d_embedding, d_hidden=stack.d_hidden,
        layers=stack.layers, bias=stack.bias, dropout=stack.dropout, source=source, d_context=d_context,
        attention=attention, bridge=_build_bridge(stack, widths=widths, source=source),
        copies=isinstance(stack.bridge, spec.CopyBridge), query=stack.query, feeding=stack.input_feeding.kind,
        combine=getattr(stack.input_feeding, "combine", "concatenate"), d_readout=stack.d_readout,
        readout=stack.readout.activation if isinstance(stack.readout, spec.DenseReadout) else None,
    )  # fmt: skip


def _build_bridge(stack: spec.Recurrent, *, widths: Mapping[str, int], source: str | None) -> Bridge | None:
    if not isinstance(stack.bridge, spec.DenseBridge) or source is None:
        return None
    states = 2 if isinstance(stack.cell, spec.Lstm) else 1
    width = widths[f"{source}.{stack.bridge.of}"]
    return Bridge(
        of=stack.bridge.of, d_memory=width, d_hidden=stack.d_hidden, layers=stack.layers, states=states,
        activation=stack.bridge.activation,
    )  # fmt: skip
