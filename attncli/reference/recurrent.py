"""Recurrent cells in torch's equations, and one step of a decoder that attends."""

from collections.abc import Callable
from math import exp, tanh
from typing import NamedTuple

from attncli.reference.attention import Normalizer, mix
from attncli.reference.normalizers import softmax
from attncli.reference.vectors import Matrix, Vector, affine, plus, times


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


class CellWeights(NamedTuple):
    """Maps of the input and of the state, the gates below each other, as torch keeps them: (gates d_hidden, inputs)."""

    input: Matrix
    state: Matrix
    input_bias: Vector | None = None
    state_bias: Vector | None = None


def rnn_cell(x: Vector, state: Vector, weights: CellWeights, *, activation: str = "tanh") -> list[float]:
    """h' = f(W x + b + U h + c). Elman 1990."""
    total = plus(affine(x, weights.input, weights.input_bias), affine(state, weights.state, weights.state_bias))
    return [tanh(each) if activation == "tanh" else max(each, 0.0) for each in total]


def gru_cell(x: Vector, state: Vector, weights: CellWeights, *, reset: str = "after") -> list[float]:
    """The next state of a GRU. Cho et al. 2014, arXiv:1406.1078; the reset gate after the product is torch's:

    r = sigmoid(W_r x + b_r + U_r h + c_r);  z = sigmoid(W_z x + b_z + U_z h + c_z)
    after: n = tanh(W_n x + b_n + r * (U_n h + c_n));  before: n = tanh(W_n x + b_n + U_n (r * h) + c_n)
    h' = (1 - z) * n + z * h
    """
    size = len(state)
    from_input = affine(x, weights.input, weights.input_bias)
    from_state = affine(state, weights.state, weights.state_bias)
    opened = [sigmoid(each) for each in plus(from_input[:size], from_state[:size])]
    update = [sigmoid(each) for each in plus(from_input[size : 2 * size], from_state[size : 2 * size])]
    if reset == "after":
        kept = times(opened, from_state[2 * size :])
    else:
        bias = None if weights.state_bias is None else weights.state_bias[2 * size :]
        kept = affine(times(opened, state), weights.state[2 * size :], bias)
    new = [tanh(each) for each in plus(from_input[2 * size :], kept)]
    return [(1 - z) * n + z * h for z, n, h in zip(update, new, state, strict=True)]


def lstm_cell(x: Vector, state: Vector, memory: Vector, weights: CellWeights) -> tuple[list[float], list[float]]:
    """The next state and memory of an LSTM. Hochreiter & Schmidhuber 1997, in torch's form, without peepholes:

    i, f, o = sigmoid(W x + b + U h + c);  g = tanh(W_g x + b_g + U_g h + c_g);  c' = f * c + i * g;  h' = o * tanh(c')
    """
    size = len(state)
    gates = plus(affine(x, weights.input, weights.input_bias), affine(state, weights.state, weights.state_bias))
    enter, forget, candidate, leave = (gates[part * size : (part + 1) * size] for part in range(4))
    kept = [sigmoid(f) * c + sigmoid(i) * tanh(g) for f, c, i, g in zip(forget, memory, enter, candidate, strict=True)]
    return [sigmoid(o) * tanh(c) for o, c in zip(leave, kept, strict=True)], kept


def maxout(x: Vector, weight: Matrix, bias: Vector, *, pieces: int) -> list[float]:
    """The largest of each `pieces` neighbouring features of W x + b. Goodfellow et al. 2013, arXiv:1302.4389, eq. 1."""
    mapped = affine(x, weight, bias)
    return [max(mapped[at : at + pieces]) for at in range(0, len(mapped), pieces)]


def gated(source: Vector, target: Vector, gate: Vector, *, kind: str) -> list[float]:
    """Source and target, weighed by a gate z: source z s + t, target s + z t, both z s + (1 - z) t.

    Tu et al. 2017, arXiv:1608.05859, eq. 6 to 8.
    """
    if kind == "source":
        return plus(times(gate, source), target)
    if kind == "target":
        return plus(source, times(gate, target))
    return plus(times(gate, source), times([1 - z for z in gate], target))


class Step(NamedTuple):
    """What one step of a decoder makes: the state, what it read, and how it weighted."""

    state: list[float]
    weights: list[float]
    context: list[float]
    readout: list[float]


Cell = Callable[[Vector, Vector], list[float]]
"""(input, state) to the next state."""
Score = Callable[[Vector], list[float]]
"""A query to its scores over the encoder's states."""


def bahdanau_step(
    token: Vector, state: Vector, memory: Matrix, *, score: Score, cell: Cell, normalizer: Normalizer = softmax
) -> Step:
    """c_t = attend(s_{t-1});  s_t = cell([x_t; c_t], s_{t-1}). Bahdanau et al. 2015, arXiv:1409.0473, section 3.1.

    The previous state asks, so the context is known before the step; the readout is the state.
    """
    weights, context = mix(score(state), memory, normalizer=normalizer)
    new = cell([*token, *context], state)
    return Step(new, weights, context, new)


def luong_step(
    entered: Vector,
    state: Vector,
    memory: Matrix,
    *,
    score: Score,
    cell: Cell,
    readout: Matrix,
    readout_bias: Vector | None = None,
    normalizer: Normalizer = softmax,
) -> Step:
    """s_t = cell(x_t, s_{t-1});  c_t = attend(s_t);  r_t = tanh(W [c_t; s_t] + b). Luong et al. 2015, eq. 5.

    arXiv:1508.04025. The new state asks. With input feeding, `entered` is the token beside the last readout.
    """
    new = cell(entered, state)
    weights, context = mix(score(new), memory, normalizer=normalizer)
    return Step(new, weights, context, [tanh(each) for each in affine([*context, *new], readout, readout_bias)])
