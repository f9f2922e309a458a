"""Losses against torch's, and their laws."""

from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from attncli.reference.losses import cross_entropy, log_softmax

vectors = st.lists(st.floats(-5, 5), min_size=5, max_size=5)


@given(vectors, st.integers(0, 4), st.sampled_from([0.0, 0.1, 0.5]))
def test_cross_entropy_is_torchs(logits, label, smoothing):
    theirs = F.cross_entropy(
        torch.tensor(logits, dtype=torch.float64), torch.tensor(label), label_smoothing=smoothing
    ).item()
    assert cross_entropy(logits, label, label_smoothing=smoothing) == pytest.approx(theirs, abs=1e-12)


@given(vectors, st.integers(0, 4), st.sampled_from([0.0, 0.2]))
def test_the_slope_of_the_loss_is_the_probability_less_the_target(logits, label, smoothing):
    """By central differences: d loss / d logit_c = p_c - (1 - e) [c = label] - e / classes."""
    step = 1e-5
    for c in range(5):
        above, below = ([x + sign * step * (i == c) for i, x in enumerate(logits)] for sign in (1, -1))
        slope = cross_entropy(above, label, label_smoothing=smoothing) - cross_entropy(
            below, label, label_smoothing=smoothing
        )
        target = (1 - smoothing) * (c == label) + smoothing / 5
        assert slope / (2 * step) == pytest.approx(exp(log_softmax(logits)[c]) - target, abs=1e-8)


def test_an_even_guess_costs_the_logarithm_of_the_classes():
    assert cross_entropy([7.0] * 4, 2) == pytest.approx(log(4))
