"""Norms against the reference."""

import copy

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from attncli.nn.norms import build_norm, rms_norm
from attncli.reference import norms as reference
from attncli.spec.norms import DynamicTanh, LayerNorm, NoNorm, Norm, RmsNorm, ScaleNorm
from tests import catalogue
from tests.nn.models import read, shake

CLOSE = {"rel": 1e-12, "abs": 1e-13}


def built(norm: Norm) -> nn.Module:
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


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 0.3])
def test_rms_norm_with_a_gain_of_one_plus(epsilon):
    module = built(RmsNorm(epsilon=epsilon, gain="one_plus"))
    gain = (1 + module.weight).tolist()
    for x in torch.randn(7, 5, dtype=torch.float64):
        expected = reference.rms_norm(x.tolist(), gain=gain, epsilon=epsilon)
        assert module(x).tolist() == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 2.0])
def test_scale_norm(epsilon):
    module = built(ScaleNorm(epsilon=epsilon))
    for x in torch.randn(7, 5, dtype=torch.float64):
        expected = reference.scale_norm(x.tolist(), gain=module.weight.item(), epsilon=epsilon)
        assert module(x).tolist() == pytest.approx(expected, **CLOSE)


def test_dynamic_tanh():
    module = built(DynamicTanh(alpha=0.7))
    weights = {"alpha": module.alpha.item(), "gain": module.weight.tolist(), "bias": module.bias.tolist()}
    for x in torch.randn(7, 5, dtype=torch.float64) * 3:
        assert module(x).tolist() == pytest.approx(reference.dynamic_tanh(x.tolist(), **weights), **CLOSE)


STARTS = {
    "rms_norm": "rms_norm",
    "one_plus": "{kind: rms_norm, gain: one_plus}",
    "layer_norm": "layer_norm",
    "scale_norm": "scale_norm",
}


@pytest.mark.parametrize("norm", STARTS.values(), ids=STARTS.keys())
def test_a_vector_of_variance_one_is_about_the_same_at_the_start(norm):
    module = build_norm(TypeAdapter(Norm).validate_python(read(norm)), width=4096)
    x = torch.randn(3, 4096)
    torch.testing.assert_close(module(x), x, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("norm", catalogue.NORMS.values(), ids=catalogue.NORMS.keys())
def test_zeros_are_normed_without_a_nan(norm):
    module = build_norm(TypeAdapter(Norm).validate_python(read(norm)), width=5)
    x = torch.zeros(2, 5, requires_grad=True)
    module(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("norm", catalogue.NORMS.values(), ids=catalogue.NORMS.keys())
def test_bfloat16_errs_no_more_than_twice_its_rounding(norm):
    module = build_norm(TypeAdapter(Norm).validate_python(read(norm)), width=64)
    shake(module)
    x = torch.randn(50, 64).bfloat16()
    exact = module.double()(x.double())
    low = module.bfloat16()(x)
    assert low.dtype == torch.bfloat16
    rounded = copy.deepcopy(module).double()(x.double())
    assert (low.double() - rounded).abs().max() <= 2 * 2**-8 * (1 + exact.abs().max())


def test_no_norm_is_the_vector_as_it_is():
    x = torch.randn(3, 5)
    assert build_norm(NoNorm(), width=5)(x) is x


@pytest.mark.parametrize("gain", ["plain", "one_plus"])
def test_the_gradient_of_rms_norm(gain):
    module = built(RmsNorm(epsilon=0.3, gain=gain))
    x = torch.randn(3, 7, 5, dtype=torch.float64).transpose(0, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, weight: torch.func.functional_call(module, {"weight": weight}, (x,)),
                                    (x, module.weight.detach().requires_grad_()))  # fmt: skip


def test_rms_norm_in_float32_is_as_near_as_torch_s():
    torch.manual_seed(0)
    x, weight, grad = torch.randn(37, 129) + 2, torch.randn(129), torch.randn(37, 129)

    def run(function, dtype):
        learned = [each.to(dtype).requires_grad_() for each in (x, weight)]
        out = function(*learned)
        return [out, *torch.autograd.grad(out, learned, grad.to(dtype))]

    exact = run(lambda x, weight: nn.functional.rms_norm(x, (129,), weight, 1e-6), torch.float64)
    plain = run(lambda x, weight: nn.functional.rms_norm(x, (129,), weight, 1e-6), torch.float32)
    for due, theirs, ours in zip(exact, plain, run(lambda x, w: rms_norm(x, w, 1e-6), torch.float32), strict=True):
        assert (ours - due).abs().max() <= 2 * (theirs - due).abs().max()
