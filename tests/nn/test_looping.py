"""Maps of a loop whose gradients are made behind it, against plain loops."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from attncli.nn.cells import weights_of
from attncli.nn.looping import Cells, Loop

ROWS, STEPS, INPUTS, FED, UNITS = 3, 5, 4, 2, 7


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("biased", [True, False])
def test_the_gradients_are_those_of_a_plain_loop_however_often_they_are_asked_for(biased):
    torch.manual_seed(0)
    weight, bias, start = drawn(INPUTS, INPUTS), drawn(INPUTS) if biased else None, drawn(ROWS, INPUTS)
    learned = [each for each in (weight, bias, start) if each is not None]

    def run(linear):
        x, total = start, 0
        for _ in range(STEPS):
            x = torch.tanh(linear(x, weight, bias))
            total = total + x.square().sum()
        return total

    expected, found = run(F.linear), run(Loop().linear)
    torch.testing.assert_close(found, expected)
    due = torch.autograd.grad(expected, learned)
    for _ in range(2):
        torch.testing.assert_close(torch.autograd.grad(found, learned, retain_graph=True), due)


def test_steps_that_no_loss_reads_and_weights_that_do_not_learn_are_left_out():
    weight, still = drawn(INPUTS, INPUTS), torch.randn(INPUTS, INPUTS, dtype=torch.float64)
    loop, start = Loop(), drawn(ROWS, INPUTS)
    read, _unread = loop.linear(start, weight, None), loop.linear(start + 1, weight, None)
    (grad,) = torch.autograd.grad(loop.linear(read, still, None).sum(), weight)
    (due,) = torch.autograd.grad(F.linear(F.linear(start, weight), still).sum(), weight)
    torch.testing.assert_close(grad, due)


@pytest.mark.parametrize("make", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("fed", [True, False])
def test_cells_are_torch_s(make, bias, fed):
    torch.manual_seed(0)
    width = INPUTS + FED if fed else INPUTS
    rnn = make(width, UNITS, bias=bias, batch_first=True).double()
    known, more = drawn(ROWS, STEPS, INPUTS), drawn(ROWS, STEPS, FED)
    first = tuple(drawn(ROWS, UNITS) for _ in range(2 if make is nn.LSTM else 1))
    learned = [known, *([more] if fed else []), *first, *rnn.parameters()]

    whole = torch.cat((known, more), 2) if fed else known
    begin = tuple(part.unsqueeze(0) for part in first)
    expected, _ = rnn(whole, begin if make is nn.LSTM else begin[0])
    cells, hidden, states = Cells(Loop(), weights_of(rnn, 0), known), first, []
    for place in range(STEPS):
        hidden = cells.step(place, more[:, place] if fed else None, hidden)
        states.append(hidden[0])
    found = torch.stack(states, 1)
    torch.testing.assert_close(found, expected)
    by = torch.randn_like(found)
    torch.testing.assert_close(torch.autograd.grad(found, learned, by), torch.autograd.grad(expected, learned, by))
