"""Feed-forward maps, their activations against torch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from attncli.reference.feedforward import MapWeights, activation, feedforward


@given(st.floats(-6, 6))
def test_activations_are_torchs(x):
    there = torch.tensor(x, dtype=torch.float64)
    theirs = {
        "relu": F.relu(there),
        "gelu": F.gelu(there),
        "geglu": F.gelu(there),
        "gelu_tanh": F.gelu(there, approximate="tanh"),
        "silu": F.silu(there),
        "swiglu": F.silu(there),
    }
    for kind, expected in theirs.items():
        assert activation(kind, x) == pytest.approx(expected.item(), abs=1e-12)


def test_an_unknown_activation_is_a_bug():
    with pytest.raises(ValueError, match="there is no activation 'step'"):
        activation("step", 1.0)


def test_feedforward_maps_bends_and_maps_back():
    hidden, output = MapWeights([[1.0, 2.0], [-1.0, 0.0]], [0.5, 0.5]), MapWeights([[10.0, 100.0]], [1.0])
    assert feedforward([1.0, 1.0], "relu", hidden=hidden, output=output) == [10 * 3.5 + 1]
    gated = feedforward([1.0, 1.0], "relu", hidden=hidden, output=output, gate=MapWeights([[2.0, 0.0], [3.0, 0.0]]))
    assert gated == [10 * 2 * 3.5 + 100 * 3 * -0.5 + 1]
