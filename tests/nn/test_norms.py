"""Norms against the reference."""

import pytest
import torch
from torch import nn

from attncli.nn.norms import build_norm
from attncli.reference import norms as reference
from attncli.spec.norms import LayerNorm, NoNorm, RmsNorm
from tests.nn.models import shake

CLOSE = {"rel": 1e-12, "abs": 1e-13}


def built(norm: RmsNorm | LayerNorm) -> nn.Module:
    module = build_norm(norm, width=5).double()
    shake(module)
    return module


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 0.3])
def test_rms_norm(epsilon):
    module = built(RmsNorm(epsilon=epsilon))
    for x in torch.randn(7, 5, dtype=torch.float64):
        expected = reference.rms_norm(x.tolist(), gain=module.weight.tolist(), epsilon=epsilon)
        assert module(x).tolist() == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 0.3])
@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm(epsilon, bias):
    module = built(LayerNorm(epsilon=epsilon, bias=bias))
    assert (module.bias is not None) == bias
    added = module.bias.tolist() if bias else None
    for x in torch.randn(7, 5, dtype=torch.float64) + 3:
        expected = reference.layer_norm(x.tolist(), gain=module.weight.tolist(), bias=added, epsilon=epsilon)
        assert module(x).tolist() == pytest.approx(expected, **CLOSE)


def test_no_norm_is_the_vector_as_it_is():
    x = torch.randn(3, 5)
    assert build_norm(NoNorm(), width=5)(x) is x
