"""Recurrent models told again, step by step, by the cells and scores of the reference."""

import math

import pytest
import torch
from torch import nn

from attncli.nn import dropout
from attncli.nn.attention import Attention
from attncli.nn.model import Model
from attncli.nn.readouts import MaxoutReadout, Readout
from attncli.nn.recurrent import Encoder
from attncli.nn.recurrent_decoder import Decoder
from attncli.nn.sequential import ForwardAttention, MovingWindow, SequentialNormalizer
from attncli.nn.trailed import Coverage
from attncli.reference import sequential
from attncli.reference.attention import mix
from attncli.reference.recurrent import CellWeights, gated, gru_cell, lstm_cell, maxout, rnn_cell, sigmoid
from attncli.reference.spans import gaussian, predicted_centre
from attncli.reference.vectors import affine, plus, times
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import SOURCES, TARGETS, batch, build, recurrent, tiny
from tests.nn.oracle import normalizer_of, score_of

Numbers = list[float]
CLOSE = {"rtol": 1e-10, "atol": 1e-11}
SQUASH = {"tanh": math.tanh, "relu": lambda x: max(x, 0.0), "none": lambda x: x}


class Cell:
    """One layer of one direction: (x, state) to state, where a state is (h,) or (h, c)."""

    def __init__(self, rnn: nn.RNNBase, layer: int, way: str = "") -> None:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = CellWeights(*(getattr(rnn, f"{name}_l{layer}{way}").tolist() for name in names))
        self.long = rnn.mode == "LSTM"
        self.before = getattr(rnn, "cell", "") == "gru_before"
        self.plain = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}.get(rnn.mode)
        self.weights, self.size = weights, rnn.hidden_size

    def __call__(self, x: Numbers, state: tuple[Numbers, ...]) -> tuple[Numbers, ...]:
        if self.long:
            return lstm_cell(x, state[0], state[1], self.weights)
        if self.plain:
            return (rnn_cell(x, state[0], self.weights, activation=self.plain),)
        return (gru_cell(x, state[0], self.weights, reset="before" if self.before else "after"),)

    @property
    def zeros(self) -> tuple[Numbers, ...]:
        return ([0.0] * self.size,) * (2 if self.long else 1)


def read_through(encoder: Encoder, ids: list[int]) -> tuple[list[Numbers], list[list[tuple[Numbers, ...]]]]:
    """The states of every token, and the last state of each layer in each direction."""
    x: list[Numbers] = encoder.input.embedding.weight[ids].tolist()
    last = []
    for layer in range(encoder.rnn.num_layers):
        ways = []
        for way in ("", "_reverse") if encoder.direction == "both" else ("",):
            cell, states, state = Cell(encoder.rnn, layer, way), {}, None
            backward = way or encoder.direction == "backward"
            for place in reversed(range(len(x))) if backward else range(len(x)):
                state = cell(x[place], state or cell.zeros)
                states[place] = state[0]
            ways.append([states[place] for place in range(len(x))])
            last.append(state)
        if layer and getattr(encoder.rnn, "residual", False):
            wide = [[one for side in sides for one in side] for sides in zip(*ways, strict=True)]
            wide = [plus(state, entered) for state, entered in zip(wide, x, strict=True)]
            ways = [[each[at : at + cell.size] for each in wide] for at in range(0, len(wide[0]), cell.size)]
        top = layer == encoder.rnn.num_layers - 1
        added = top and encoder.merge == "sum" and len(ways) == 2
        x = [plus(*sides) if added else [one for side in sides for one in side] for sides in zip(*ways, strict=True)]
    return x, last


def first_state(decoder: Decoder, states: list[Numbers], last: list[tuple[Numbers, ...]], both: bool):
    """What the decoder starts from, layer by layer."""
    cell = Cell(decoder.rnn, 0)
    if decoder.copies:
        return list(last)
    if decoder.bridge is None:
        return [cell.zeros] * decoder.rnn.num_layers
    summary = {
        "mean": [math.fsum(column) / len(states) for column in zip(*states, strict=True)],
        "backward": last[-1][0],
        "final": last[-2][0] + last[-1][0] if both else last[-1][0],
    }[decoder.bridge.of]
    flat = affine(summary, decoder.bridge.map.weight.tolist(), decoder.bridge.map.bias.tolist())
    squash = {torch.tanh: math.tanh, nn.functional.relu: SQUASH["relu"]}.get(decoder.bridge.activation, SQUASH["none"])
    parts = [[squash(one) for one in flat[at : at + cell.size]] for at in range(0, len(flat), cell.size)]
    layers = decoder.rnn.num_layers
    return [tuple(parts[layer + kind * layers] for kind in range(len(parts) // layers)) for layer in range(layers)]


def read_out(
    readout: Readout | None, context: Numbers, before: Numbers, state: Numbers, x: Numbers, squash: str
) -> Numbers:
    """What a step gives to the head."""
    if readout is None:
        return state
    weight, bias = readout.map.weight.tolist(), readout.map.bias.tolist()
    if isinstance(readout, MaxoutReadout):
        return maxout(
            [*context, *(before if readout.reads_previous else state), *x], weight, bias, pieces=readout.pieces
        )
    if readout.gate is None:
        mapped = affine([*context, *state], weight, bias)
    else:
        zeros, nothing = [0.0] * len(context), [0.0] * len(state)
        sides = affine([*context, *nothing], weight), affine([*zeros, *state], weight)
        gate = affine([*x, *state, *context], readout.gate.weight.tolist(), readout.gate.bias.tolist())
        mapped = plus(gated(*sides, [sigmoid(each) for each in gate], kind=readout.kind), bias)
    return [SQUASH[squash](one) for one in mapped]


def scores_of(attention: Attention, query: Numbers, keys: list[Numbers], trail: list[Numbers]) -> Numbers:
    """The scores of one step, after those whose weights are the trail."""
    score = attention.score
    if not score.sequential:
        return score_of(score)(0, query, keys, keys)
    own = {name: parameter[0].tolist() for name, parameter in score.named_parameters()}
    known = {"of_query": own["query"], "of_key": own["key"], "bias": own["bias"], "weight": own["weight"]}
    if isinstance(score, Coverage):
        return sequential.coverage(query, keys, trail, of_coverage=own["coverage"][0], **known)
    last = trail[-1] if trail else [1 / len(keys)] * len(keys)
    return sequential.location_aware(query, keys, last, kernel=own["kernel"], of_features=own["features"], **known)


def scaled(x: Numbers, by: float) -> Numbers:
    return [by * one for one in x]


def weigh(attention: Attention, seen: list[bool], trail: list[Numbers]):
    """The normalizer of one step, of the keys that are seen."""
    normalizer = attention.normalizer
    if not isinstance(normalizer, SequentialNormalizer):
        return normalizer_of(normalizer, head=0)
    assert all(seen), "the reference moves from key to key"
    last = trail[-1] if trail else [1.0] + [0.0] * (len(seen) - 1)
    if isinstance(normalizer, ForwardAttention):
        return lambda scores: sequential.forward_step(scores, last)
    if isinstance(normalizer, MovingWindow):
        return lambda scores: sequential.window_step(scores, last, keys=normalizer.keys)
    step = sequential.hard_monotonic_step if normalizer.hard else sequential.monotonic_step
    return lambda scores: step(scores, last)


def write(model: Model, source: list[int], target: list[int], squash: str) -> torch.Tensor:
    """Logits after each token of the target, as the module's docstring has it."""
    decoder, attention = model.decoder, model.decoder.attention
    memory, last = read_through(model.encoder, source)
    hidden = first_state(decoder, memory, last, model.encoder.direction == "both")
    trail: list[Numbers] = []

    def attend(query: Numbers, place: int) -> Numbers:
        names = {"q_length": len(target), "k_length": len(source), "document_q": 0, "document_k": 0}
        seen = [bool(attention.mask.allows(place, k, **names)) for k in range(len(source))]
        scores, factors = scores_of(attention, query, memory, trail), [1.0] * len(source)
        if attention.span is not None:
            weight, vector = attention.span.weight[0].tolist(), attention.span.vector[0].tolist()
            centre = predicted_centre(query, len(source), weight=weight, vector=vector)
            factors = [gaussian(k, centre, half_width=attention.span.half_width) for k in range(len(source))]
            seen = [sees and factor > 0 for sees, factor in zip(seen, factors, strict=True)]
        row = mix(scores, memory, normalizer=weigh(attention, seen, trail), visible=seen)
        trail.append(times(row.weights, factors))
        return [math.fsum(column) for column in zip(*map(scaled, memory, trail[-1]), strict=True)]

    fed = [0.0] * decoder.d_fed
    output = hidden[-1][0]
    readouts = []
    for place, x in enumerate(decoder.input.embedding.weight[target].tolist()):
        state = output
        context = None
        if decoder.query in ("previous_state", "input_and_previous_state"):
            context = attend(x + state if decoder.query == "input_and_previous_state" else state, place)
        joined = {"none": [], "context": fed if context is None else context, "readout": fed}[decoder.feeding]
        entered = x + joined
        if decoder.combine is not None:
            entered = affine(entered, decoder.combine.weight.tolist(), decoder.combine.bias.tolist())
            entered = [max(one, 0.0) for one in entered] if decoder.squash is nn.functional.relu else entered
        for layer in range(decoder.rnn.num_layers):
            hidden[layer] = Cell(decoder.rnn, layer)(entered, hidden[layer])
            entered = plus(hidden[layer][0], entered) if layer and decoder.residual else hidden[layer][0]
        output = entered
        if decoder.query in ("state", "state_and_cell"):
            context = attend(output + hidden[-1][1] if decoder.query == "state_and_cell" else output, place)
        readout = read_out(decoder.readout, context, state, output, x, squash)
        fed = {"none": [], "context": context, "readout": readout}[decoder.feeding]
        readouts.append(affine(readout, model.head.output.weight.tolist()))
    return torch.tensor(readouts, dtype=torch.float64)


SQUASHES = {"Luong, feeding": "relu", "Bahdanau": "none", "Tu, target": "relu"}
MODELS = {
    f"{name} {cell}": (recurrent(writer=text, cell=cell), SQUASHES.get(name, "tanh"))
    for name, text in catalogue.WRITERS.items()
    for cell in ("gru", "lstm")
}
MODELS |= {f"cell {name}": (recurrent(cell=cell), "relu") for name, cell in catalogue.CELLS.items()}
MODELS |= {name: (recurrent(writer=text, cell="lstm"), "none") for name, text in catalogue.LONG_WRITERS.items()}
for _way in ("{kind: both, merge: sum}", "backward"):
    MODELS[f"residual encoder {_way}"] = (recurrent(reader="{residual: add}", direction=_way), "relu")
MODELS |= {f"direction {name}": (recurrent(direction=way), "relu") for name, way in catalogue.DIRECTIONS.items()}
for _name, _kind in catalogue.BRIDGES.items():
    _way = "forward" if _name == "copy" else "both"
    MODELS[f"bridge {_name}"] = (recurrent(bridge=_kind, direction=_way, cell="lstm"), "relu")
for _name in ("dot", "general", "additive", "location"):
    _way = "forward" if _name == "dot" else "both"
    MODELS[f"score {_name}"] = (recurrent(score=catalogue.SCORES[_name], direction=_way), "relu")
for _name, _kind in catalogue.SEQUENTIAL_SCORES.items():
    MODELS[f"score {_name}"] = (recurrent(score=_kind), "relu")
    MODELS[f"score {_name}, early"] = (recurrent(score=_kind, writer=catalogue.WRITERS["Bahdanau"]), "none")
for _name, _kind in catalogue.SEQUENTIAL_NORMALIZERS.items():
    MODELS[f"normalizer {_name}"] = (recurrent(normalizer=_kind, writer=catalogue.WRITERS["Luong"]), "tanh")
for _name, _kind in catalogue.SPANS.items():
    _heads = f"{{heads: 1, projections: none, span: {_kind}}}"
    MODELS[f"span {_name}"] = (recurrent(heads=_heads), "relu")
    MODELS[f"span {_name}, at once"] = (recurrent(heads=_heads, writer=catalogue.WRITERS["Luong"]), "tanh")
MODELS["two trails"] = (recurrent(score=catalogue.SEQUENTIAL_SCORES["location_aware"], normalizer="forward"), "relu")
MODELS["mask"] = (recurrent(mask="abs(q - k) <= 1"), "relu")
MODELS["mask at once"] = (recurrent(mask="abs(q - k) <= 1", writer=catalogue.WRITERS["Luong"]), "tanh")
MODELS["sparse"] = (recurrent(normalizer="sparsemax"), "relu")


@pytest.mark.parametrize(("spec", "squash"), MODELS.values(), ids=MODELS.keys())
@torch.no_grad()
def test_decoders_are_those_of_the_reference(spec, squash):
    model = build(spec)
    logits = model(batch())
    for row in (0, 3):
        expected = write(model, SOURCES[row], TARGETS[row], squash)
        torch.testing.assert_close(logits[row, : len(TARGETS[row])], expected, **CLOSE)


@pytest.mark.parametrize("cell", catalogue.CELLS.values(), ids=catalogue.CELLS.keys())
@pytest.mark.parametrize("direction", catalogue.DIRECTIONS.values(), ids=catalogue.DIRECTIONS.keys())
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@torch.no_grad()
def test_encoders_are_those_of_the_reference(cell, direction, left):
    encoder = build(recurrent(cell=cell, direction=direction)).encoder
    states = encoder(batch(left=left)["source"], {})
    for row, source in enumerate(SOURCES):
        expected, last = read_through(encoder, source)
        place = slice(-len(source), None) if left else slice(len(source))
        torch.testing.assert_close(states.values[row, place], torch.tensor(expected, dtype=torch.float64), **CLOSE)
        for part, kept in enumerate(states.final):
            final = torch.tensor([one[part] for one in last], dtype=torch.float64)
            torch.testing.assert_close(kept[:, row], final, **CLOSE)
        assert states.values.shape[2] == encoder.d_output


@torch.no_grad()
def test_all_steps_at_once_are_the_steps_one_by_one():
    model = build(recurrent(writer=catalogue.WRITERS["Luong"], cell="lstm"))
    at_once = model(batch())
    taken = []
    walk = model.decoder._walk
    model.decoder._walk = lambda *args, **kwargs: taken.append(1) or walk(*args, **kwargs)
    torch.testing.assert_close(model(batch()), at_once, **CLOSE)
    assert not taken, "torch's own loop runs where nothing is fed back"
    left = model(batch(left=True))
    assert taken
    for row, target in enumerate(TARGETS):
        torch.testing.assert_close(left[row, -len(target) :], at_once[row, : len(target)], **CLOSE)


def test_gradients_flow_through_every_step():
    """The first token's embedding moves the last readout only through the states between."""
    model = build(recurrent(writer=catalogue.WRITERS["Bahdanau"]))
    model.zero_grad()
    model({"source": stream([SOURCES[0]], pad=0), "target": stream([[2, 7, 8, 9]], pad=0)})[0, -1].sum().backward()
    gradient = model.decoder.input.embedding.weight.grad
    assert (gradient[[2, 7, 8, 9]].abs().amax(1) > 1e-8).all()


@torch.no_grad()
def test_a_recurrent_decoder_without_a_source_is_a_plain_network():
    model = build(tiny("{decoder: {kind: recurrent, cell: lstm, d_hidden: 8, layers: 2}}", "language_model"))
    text = stream([[2, 7, 8, 9], [2, 5]], pad=0)
    states, _ = model.decoder.rnn(model.decoder.input.embedding(text.values))
    torch.testing.assert_close(model({"text": text})[0], model.head.output(states)[0], **CLOSE)
    torch.testing.assert_close(model({"text": text})[1, :2], model.head.output(states)[1, :2], **CLOSE)


@torch.no_grad()
def test_dropout_lies_between_layers_and_on_the_readout(monkeypatch):
    dropped: list[tuple[int, ...]] = []
    real = dropout._mask

    def seen(x, fallen, generator):
        dropped.append(tuple(x.shape))
        return real(x, fallen, generator)

    monkeypatch.setattr(dropout, "_mask", seen)
    model = build(recurrent(writer=catalogue.WRITERS["Luong, feeding"])).train()
    sources, targets = stream([SOURCES[0]], pad=0), stream([TARGETS[0]], pad=0)
    model({"source": sources, "target": targets})
    step = [(1, 8), (1, 1, 1, 5), (1, 8)]  # into the second layer, on the weights, on the readout
    assert dropped == [(1, 5, 5), (1, 5, 16), (1, 4, 7), *step * 4]
    assert model.encoder.rnn.dropout == pytest.approx(0.1), "between the encoder's layers torch drops by itself"


@torch.no_grad()
def test_the_coverage_loss_counts_what_is_read_again_at_real_tokens():
    model = build(recurrent(score="{kind: coverage, d_hidden: 9, loss: 0.7}"))
    records = []
    model.states(batch(), records.append)
    expected = 0.0
    for row, target in enumerate(TARGETS):
        weights = [record.weights[row, 0, 0].tolist() for record in records[: len(target)]]
        expected += 0.7 * math.fsum(sequential.coverage_loss(step, weights[:t]) for t, step in enumerate(weights))
    for left in (False, True):
        losses = model.losses(batch(left=left))
        assert list(losses.costs) == ["decoder.cross_attention"]
        assert losses.costs["decoder.cross_attention"].item() == pytest.approx(expected, rel=1e-10)
        assert losses.loss.item() == pytest.approx(expected + losses.nll.item() + smoothing(model, left), rel=1e-10)
    assert not build(recurrent(score="{kind: coverage, d_hidden: 9, loss: 0.0}")).losses(batch()).costs


def smoothing(model: Model, left: bool) -> float:
    """What label smoothing adds to the likelihood's loss."""
    losses = model.head.losses(model.states(batch(left=left)), batch(left=left)["labels"])
    return (losses.loss - losses.nll).item()


def test_gradients_flow_through_the_trail():
    """The first token moves the weights of the last step through the coverage alone, where the state forgets it."""
    model = build(recurrent(score="{kind: coverage, d_hidden: 9}"))
    model.losses(batch()).loss.backward()
    for name, parameter in model.decoder.attention.score.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-9, name


@torch.no_grad()
def test_noise_makes_training_of_monotonic_attention_random_and_evaluation_not():
    model = build(recurrent(normalizer="{kind: monotonic, noise: 1.0, evaluation: hard}"), "model.dropout=0")
    torch.testing.assert_close(model(batch()), model(batch()))
    model.train()
    assert (model(batch()) - model(batch())).abs().max() > 1e-3
    records = []
    model.eval().states(batch(), records.append)
    weights = torch.cat([record.weights for record in records], 2)
    assert set(weights.unique().tolist()) <= {0.0, 1.0}
    place = torch.where(weights.sum(-1) > 0, weights.argmax(-1), 99)
    assert (place.diff(dim=-1) >= 0).all(), "it never goes back"


@torch.no_grad()
def test_the_window_moves_forward_while_writing_and_is_no_window_in_training():
    model = build(recurrent(normalizer="{kind: moving_window, keys: 2}"), "model.dropout=0")
    plain = build(recurrent(), "model.dropout=0")
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.train()(batch()), plain.train()(batch()), **CLOSE)
    records = []
    model.eval().states(batch(), records.append)
    weights = torch.cat([record.weights for record in records], 2)[:, 0]
    assert ((weights > 0).sum(-1) <= 2).all()
    assert (weights[0].argmax(-1).diff() >= 0).all(), "it never goes back"
