"""GRUs whose backward pass is written out, against torch's."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from attncli.nn import gated
from attncli.nn.kernels.gru import gru

ROWS, STEPS, INPUTS, UNITS = 3, 4, 5, 7


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("lengths", [None, [2, 4, 3], [4, 1, 1]])
def test_states_and_gradients_are_torch_s(bias, both, layers, lengths):
    torch.manual_seed(0)
    given = {"num_layers": layers, "bias": bias, "batch_first": True, "bidirectional": both}
    theirs, ours = (make(INPUTS, UNITS, **given).double() for make in (nn.GRU, gated.Gru))
    ours.load_state_dict(theirs.state_dict())
    x, first = drawn(ROWS, STEPS, INPUTS), drawn(layers * (1 + both), ROWS, UNITS)

    def run(rnn):
        if lengths is None:
            return rnn(x, first)
        packed, last = rnn(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), first)
        return pad_packed_sequence(packed, batch_first=True, total_length=STEPS)[0], last

    expected, found = run(theirs), run(ours)
    torch.testing.assert_close(found, expected)
    by = [torch.randn_like(each) for each in expected]
    for _ in range(2):
        got = torch.autograd.grad(found, [x, first, *ours.parameters()], by, retain_graph=True)
        due = torch.autograd.grad(expected, [x, first, *theirs.parameters()], by, retain_graph=True)
        torch.testing.assert_close(got, due)


def test_gradients_are_those_of_differences():
    torch.manual_seed(0)
    counts = [3, 2, 2, 1]
    given = [drawn(2, 8, 2), drawn(2, 3, 3), drawn(2, 9, 2), drawn(2, 9, 3), drawn(2, 1, 9), drawn(2, 1, 9)]
    assert torch.autograd.gradcheck(lambda *each: gru(*each, counts), given)


def test_what_does_not_learn_is_torch_s_own_loop(monkeypatch):
    rnn, x = gated.Gru(INPUTS, UNITS, batch_first=True), torch.randn(ROWS, STEPS, INPUTS)
    monkeypatch.setattr(gated, "gru", None)
    with torch.no_grad():
        assert rnn(x)[0].shape == (ROWS, STEPS, UNITS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert rnn(x)[0].shape == (ROWS, STEPS, UNITS)
    with pytest.raises(TypeError):
        rnn(x)
