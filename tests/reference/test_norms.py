"""Norms against torch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from attncli.reference.norms import layer_norm, rms_norm

vectors = st.lists(st.floats(-5, 5), min_size=5, max_size=5)
GAIN, BIAS = [1.0, 2.0, -1.0, 0.5, 3.0], [0.1, 0.0, -0.3, 1.0, 2.0]


def double(values):
    return torch.tensor(values, dtype=torch.float64)


@given(vectors)
def test_layer_norm_is_torchs(x):
    expected = F.layer_norm(double(x), (5,), double(GAIN), double(BIAS), 1e-5).tolist()
    assert layer_norm(x, gain=GAIN, bias=BIAS) == pytest.approx(expected, abs=1e-9)


@given(vectors)
def test_rms_norm_is_torchs(x):
    assert rms_norm(x, gain=GAIN) == pytest.approx(F.rms_norm(double(x), (5,), double(GAIN), 1e-6).tolist(), abs=1e-9)
