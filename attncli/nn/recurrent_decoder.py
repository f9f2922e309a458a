"""Recurrent decoders, which attend at every step. Their kinds are those of attncli/spec/recurrent.py.

query state:            s_t = cell([x_t; fed_{t-1}], s_{t-1});  c_t = attend(s_t)                (Luong et al. 2015)
query state_and_cell:   the same, asked by [s_t; cell_t]                                            (See et al. 2017)
query previous_state:   c_t = attend(s_{t-1});  s_t = cell([x_t; c_t], s_{t-1})               (Bahdanau et al. 2015)
input_and_previous:     c_t = attend([x_t; s_{t-1}]);  s_t = cell(relu(W [x_t; c_t]), s_{t-1})       (the article)
readout:                r_t of c_t, s_t (or s_{t-1}) and x_t, in nn/readouts.py; cells in nn/cells.py
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.attention import Attention, Projected
from attncli.nn.bridge import Bridge
from attncli.nn.cache import Places
from attncli.nn.cells import Hidden, Layered, one_step, weights_of
from attncli.nn.dropout import drop
from attncli.nn.feeding import readouts, serves, unfed
from attncli.nn.following import begin, follow, sequential
from attncli.nn.gated import Gru
from attncli.nn.inputs import Tokens
from attncli.nn.looping import Cells, Loop, loops
from attncli.nn.readouts import SQUASH, DenseReadout, Map, Readout
from attncli.nn.recurrent_past import RecurrentPast, Step, kept
from attncli.nn.serving import Trail
from attncli.nn.states import Copying, Memory, States
from attncli.nn.view import Tap, View, positions_of, view_of_memory
from attncli.streams import Stream


class _Found(NamedTuple):
    """What attending gave: contexts (b [n] d), and where they are read the weights (b n k), the trail, the cost (b)."""

    context: Tensor | None
    weights: Tensor | None = None
    trail: Trail = ()
    cost: Tensor | None = None


class _Made(NamedTuple):
    """What one step of a decoder gives."""

    step: Step
    context: Tensor | None  # (b d)
    read: Tensor  # (b d): the state that a readout reads
    word: Tensor  # (b d)
    decides: Tensor | None  # (b d): what a pointer-generator decides by
    weights: Tensor | None  # (b 1 k)
    cost: Tensor | None  # (b)


_NOTHING = _Found(None)
PACKED = "a recurrent state runs across the documents of a packed row"


class Decoder(nn.Module):
    """A recurrent writer; with attention it reads another stack at every step.

    Where the query is the new state and nothing is fed back, all steps run at once; else one by one, or while it learns
    in a loop with a backward pass of its own (nn/feeding.py), if that has all that the decoder has. With `points` the
    states carry what a pointer-generator reads: the weights, and what it decides by.
    """

    def __init__(
        self, *, field: str, input: Tokens, cell: str, cells: nn.RNNBase, d_embedding: int, d_context: int, d_fed: int,
        dropout: float, source: str | None, attention: Attention | None, bridge: Bridge | None, copies: bool,
        query: str, feeding: str, combine: str, readout: Readout | None, d_output: int, points: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.field, self.source = field, source
        self.input = input
        self.attention = attention
        self.bridge, self.copies = bridge, copies
        self.query, self.feeding = query, feeding
        self.asks_first = query in ("previous_state", "input_and_previous_state")
        self.d_fed = d_fed
        self.combine = Linear(d_embedding + d_fed, d_embedding) if d_fed and combine != "concatenate" else None
        self.squash = SQUASH["relu" if combine == "relu" else "none"]
        self.cell = cell
        self.rnn = cells
        self.residual = isinstance(cells, Layered) and cells.residual
        self.readout = readout
        self.reads_previous = readout is not None and readout.reads_previous
        self.dropout = dropout
        self.d_output = d_output
        self.points = points
        asks = cells.hidden_size * (2 if query == "state_and_cell" else 1)
        self.d_decides = d_context + asks + d_embedding
        self.states = 2 if cell == "lstm" else 1
        if attention is not None and not self.at_once:
            lacks = unfed(
                attention, cells, readout, query=query, feeding=feeding, combined=self.combine is not None,
                points=points,
            )  # fmt: skip
            attention.traits = replace(attention.traits, unlooped=lacks)

    def sources(self) -> set[str]:
        """The stacks that this one reads."""
        return set() if self.source is None else {self.source}

    @property
    def at_once(self) -> bool:
        """Whether no step needs what the attention of the one before it gave."""
        alone = self.attention is None or not sequential(self.attention)
        return self.query == "state" and self.feeding == "none" and not self.reads_previous and alone

    def forward(self, tokens: Stream, memory: Memory, tap: Tap | None = None) -> States:
        """Ids (b n) to readouts (b n d), reading what was written before (teacher forcing)."""
        assert not tokens.packed, PACKED
        x = self.input(tokens, positions_of(tokens))
        read, projected = self._read(memory, rows=1)
        first = self._first(memory, x, read, rows=1)
        if self.at_once and tokens.plain:
            states, _ = self.rnn(x, _joined(first.hidden))
            context = weights = None
            if read is not None and projected is not None:
                view = view_of_memory(tokens, read, tap)
                context, weights, _, _ = self._attend(states, projected, view, ())
            copying = None
            if context is not None and weights is not None and read is not None:
                copying = Copying(torch.cat((context, states, x), 2), weights, read.values)
            return States(self._read_out(context, states, x, F.linear), tokens, copying=copying)
        looped = self._looped(x, tokens, first, read, projected, tap)
        if looped is not None:
            return States(looped, tokens)
        return self._walk(x, tokens, first, read, projected, tap, past=None)

    def _looped(
        self, x: Tensor, tokens: Stream, first: Step, read: Stream | None, projected: Projected | None, tap: Tap | None
    ) -> Tensor | None:
        """Readouts (b n d), where a loop with its own backward pass serves this decoder."""
        if self.attention is None or read is None or projected is None or not tokens.plain:
            return None
        view = view_of_memory(tokens, read, tap)
        if not serves(self.attention, x, view):
            return None
        assert isinstance(self.rnn, Gru) and isinstance(self.readout, DenseReadout)
        return readouts(
            self.attention, self.rnn, self.readout, x, first.hidden[0][0], projected, view, dropout=self.dropout
        )

    def start(self, memory: Memory, *, rows: int, capacity: int) -> RecurrentPast:
        """The state before the first token. The past takes room as it grows, whatever the capacity."""
        read, projected = self._read(memory, rows=rows)
        past = RecurrentPast(read, projected)
        if self.source is not None and projected is not None:
            like = memory[self.source].values.new_empty(len(projected[1]), 0)
            past.steps.append(self._first(memory, like, read, rows=rows))
        return past

    def step(self, tokens: Stream, past: RecurrentPast, places: Places, tap: Tap | None = None) -> States:
        """Readouts (b n d) of new tokens, which join the past."""
        x = self.input(tokens, tokens.positions)
        if not past.steps:
            past.steps.append(self._first({}, x, None, rows=1))
        return self._walk(x, tokens, past.steps[-1], past.read, past.projected, tap, past)

    def _read(self, memory: Memory, *, rows: int) -> tuple[Stream | None, Projected | None]:
        if self.attention is None or self.source is None:
            return None, None
        states = memory[self.source]
        key, value = self.attention.read(states.values, view_of_memory(states.stream, states.stream))
        if rows == 1:
            return states.stream, (key, value)
        index = torch.arange(len(key), device=key.device).repeat_interleave(rows)
        return states.stream.select(index), (key[index], value[index])

    def _first(self, memory: Memory, like: Tensor, read: Stream | None, *, rows: int) -> Step:
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
        return Step(
            hidden,
            fed if self.feeding == "context" else None,
            fed if self.feeding == "readout" else None,
            hidden[0][-1] if self.residual else None,
            () if self.attention is None or read is None else begin(self.attention, read.real, like.dtype),
        )

    def _walk(
        self, x: Tensor, tokens: Stream, step: Step, read: Stream | None, projected: Projected | None,
        tap: Tap | None, past: RecurrentPast | None,
    ) -> States:  # fmt: skip
        shared: dict[object, object] = {}
        drawn: dict[object, Tensor] = {}
        made: list[_Made] = []
        loop = Loop()
        cells = self._cells(loop, x)
        for place, word in enumerate(x.unbind(1)):
            view = None
            if read is not None:
                one = _one_place(tokens, place)
                view = view_of_memory(one, read, tap)
                view.drawn = drawn
                if self.attention is not None and self.attention.mask.text == "full":
                    view.memo = shared  # what all steps see alike is made once
            each = self._one_step(place, word, step, projected, view, loop, cells)
            made.append(each)
            step = kept(tokens.real[:, place], each.step, step) if tokens.padded and not tokens.plain else each.step
            if past is not None:
                past.steps.append(step)
        return self._gathered(made, tokens, read)

    def _one_step(
        self, place: int, x: Tensor, last: Step, projected: Projected | None, view: View | None, loop: Loop,
        cells: Cells | None,
    ) -> "_Made":  # fmt: skip
        previous = last.hidden[0][-1] if last.output is None else last.output
        found = _NOTHING
        if self.asks_first and view is not None and projected is not None:
            asks = torch.cat((x, previous), 1) if self.query == "input_and_previous_state" else previous
            found = self._attend(asks, projected, view, last.trail)
        fed = found.context if found.context is not None else last.context
        fed = None if self.feeding == "none" else last.readout if self.feeding == "readout" else fed
        entered = self._feed(x, fed) if cells is None else x
        output, hidden = self._cell(place, entered, fed, last.hidden, cells)
        state = torch.cat((output, hidden[1][-1]), 1) if self.query == "state_and_cell" else output
        if not self.asks_first and view is not None and projected is not None:
            found = self._attend(state, projected, view, last.trail)
        context = found.context
        read = previous if self.reads_previous else output
        readout = self._read_out(context, read, x, loop.linear) if self.feeding == "readout" else None
        step = Step(
            hidden,
            context if self.feeding == "context" else None,
            readout,
            output if self.residual else None,
            found.trail,
        )
        decides = None
        if self.points and context is not None:
            decides = torch.cat((context, state, x if self.combine is None else entered), 1)
        return _Made(step, context, read, x, decides, found.weights, found.cost)

    def _gathered(self, made: list["_Made"], tokens: Stream, read: Stream | None) -> States:
        """The readouts of all steps, with what else the head and the loss read of them."""
        copying, costs = None, {}
        decides = [each.decides for each in made if each.decides is not None]
        weights = [each.weights for each in made if each.weights is not None]
        if read is not None and decides and weights:
            copying = Copying(torch.stack(decides, 1), torch.cat(weights, 1), read.values)
        cost = [each.cost for each in made if each.cost is not None]
        if self.attention is not None and cost:
            costs[self.attention.address] = (torch.stack(cost, 1) * tokens.real).sum()
        return States(self._readouts(made), tokens, None, costs, copying)

    def _readouts(self, made: list["_Made"]) -> Tensor:
        """(b n d): those of the steps where they were fed, else of all steps at once."""
        fed = [each.step.readout for each in made if each.step.readout is not None]
        if fed:
            return torch.stack(fed, 1)
        contexts = [each.context for each in made if each.context is not None]
        states, words = (torch.stack(part, 1) for part in zip(*((each.read, each.word) for each in made), strict=True))
        return self._read_out(torch.stack(contexts, 1) if contexts else None, states, words, F.linear)

    def _cells(self, loop: Loop, x: Tensor) -> Cells | None:
        """What the cells make of the tokens of all steps (b n d), where that waits for no step."""
        if x.shape[1] > 1 and self.combine is None and loops(self.rnn, self.cell):
            return Cells(loop, weights_of(self.rnn, 0), x)
        return None

    def _cell(
        self, place: int, x: Tensor, fed: Tensor | None, hidden: Hidden, cells: Cells | None
    ) -> tuple[Tensor, Hidden]:
        """One step of every layer; `cells` join what is fed to x themselves."""
        if cells is None:
            return one_step(self.rnn, self.cell, x, hidden, dropout=self.rnn.dropout if self.training else 0.0)
        after = cells.step(place, fed, tuple(part[0] for part in hidden))
        return after[0], tuple(part.unsqueeze(0) for part in after)

    def _attend(self, asks: Tensor, projected: Projected, view: View, trail: Trail) -> "_Found":
        """Contexts of one step (b d) or of all at once (b n d), with the weights (b n k) where somebody reads them."""
        assert self.attention is not None
        one = asks.ndim == 2
        asked = self.attention.ask(asks.unsqueeze(1) if one else asks, view)
        if not self.points and not trail:
            context = self.attention.attend(asked, projected, view)
            return _Found(context.squeeze(1) if one else context)
        found = follow(self.attention, asked, projected, view, trail)
        weights = found.weights.mean(1) if self.points else None
        return _Found(found.output.squeeze(1) if one else found.output, weights, found.trail, found.cost)

    def _feed(self, x: Tensor, fed: Tensor | None) -> Tensor:
        if fed is None:
            return x
        joined = torch.cat((x, fed), 1)
        return joined if self.combine is None else self.squash(self.combine(joined))

    def _read_out(self, context: Tensor | None, state: Tensor, token: Tensor, linear: Map) -> Tensor:
        if self.readout is not None:
            state = self.readout(context, state, token, linear)
        return drop(state, self.dropout, self.training)


def _joined(hidden: Hidden) -> Tensor | Hidden:
    return hidden[0] if len(hidden) == 1 else hidden


def _one_place(tokens: Stream, place: int) -> Stream:
    """One place of every row."""
    at = slice(place, place + 1)
    return Stream(
        tokens.values[:, at], tokens.lengths, tokens.positions[:, at], tokens.documents[:, at],
        padded=tokens.padded, packed=tokens.packed, plain=False,
        carried={name: numbers[:, at] for name, numbers in tokens.carried.items()}, shared=tokens.shared,
    )  # fmt: skip
