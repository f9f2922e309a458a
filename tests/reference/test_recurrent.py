"""Recurrent cells against torch's, and the order of the two decoders."""

import pytest
import torch

from attncli.reference.recurrent import CellWeights, bahdanau_step, gru_cell, lstm_cell, luong_step, sigmoid
from attncli.reference.scores import dot_product


def random_cell(make):
    torch.manual_seed(3)
    cell = make(3, 2, dtype=torch.float64)
    weights = CellWeights(*(getattr(cell, name).tolist() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
    return cell, weights, torch.randn(3, dtype=torch.float64), torch.randn(2, dtype=torch.float64)


def test_gru_is_torchs():
    cell, weights, x, state = random_cell(torch.nn.GRUCell)
    assert gru_cell(x.tolist(), state.tolist(), weights) == pytest.approx(cell(x, state).tolist(), abs=1e-14)


def test_lstm_is_torchs():
    cell, weights, x, state = random_cell(torch.nn.LSTMCell)
    memory = torch.tensor([0.3, -0.7], dtype=torch.float64)
    theirs = [part.tolist() for part in cell(x, (state, memory))]
    ours = lstm_cell(x.tolist(), state.tolist(), memory.tolist(), weights)
    assert ours[0] == pytest.approx(theirs[0], abs=1e-14)
    assert ours[1] == pytest.approx(theirs[1], abs=1e-14)


def test_sigmoid_is_odd_about_a_half_and_does_not_overflow():
    assert sigmoid(0) == 0.5
    assert sigmoid(2) + sigmoid(-2) == pytest.approx(1)
    assert (sigmoid(-1000), sigmoid(1000)) == (0, 1)


MEMORY = [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]


def adding(entered, state):
    """A cell that can be followed by eye: it adds up what enters."""
    return [value + sum(entered) for value in state]


def test_bahdanau_asks_with_the_previous_state_and_the_cell_reads_the_context():
    step = bahdanau_step([5.0], [0.0, 1.0], MEMORY, score=lambda q: dot_product(q, MEMORY), cell=adding)
    asked = dot_product([0.0, 1.0], MEMORY)
    assert step.weights[1] > step.weights[0]
    assert step.weights.index(max(step.weights)) == asked.index(max(asked))
    assert step.state == pytest.approx([5 + sum(step.context), 6 + sum(step.context)])
    assert step.readout == step.state


def test_luong_asks_with_the_new_state():
    asked = []

    def score(query):
        asked.append(query)
        return dot_product(query, MEMORY)

    readout = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.1]]
    step = luong_step([0.5], [0.0, 1.0], MEMORY, score=score, cell=adding, readout=readout, readout_bias=[0.0, 1.0])
    assert asked == [step.state] == [[0.5, 1.5]]
    tanh = torch.tanh(torch.tensor([step.context[0], 0.1 * step.state[1] + 1.0], dtype=torch.float64))
    assert step.readout == pytest.approx(tanh.tolist())
