"""Linear maps in 8-bit integers against their arithmetic, written out in integers."""

import pytest
import torch
from torch import Tensor, nn

from attncli.nn.quantized import Int8, quantize
from tests.nn.models import batch, build, transformer


def rounded(x: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers of each row, and its scale."""
    scales = x.abs().amax(-1, keepdim=True) / 127
    return (x / scales).round(), scales


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_a_product_is_that_of_the_rounded_numbers(bias: bool) -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(96, 50, bias=bias), torch.randn(3, 7, 96)
    x[1, 2] = 0  # a token of zeros has no scale
    (x8, of_token), (weight8, of_output) = rounded(x), rounded(linear.weight)
    expected = (x8.nan_to_num().double() @ weight8.double().T) * of_token * of_output.T
    expected = expected + (linear.bias if bias else 0)
    torch.testing.assert_close(Int8(linear)(x).double(), expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_quantized_model_says_nearly_what_the_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attncli.nn.quantized.LEAST", 1)
    model, whole = (build(transformer(feedforward="swiglu"), dtype=torch.float32) for _ in range(2))
    names = set(model.state_dict())
    weights = quantize(model)
    assert weights == sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    assert set(model.state_dict()) == names
    found, expected = model(batch()), whole(batch())
    error = (found - expected).square().mean().sqrt() / expected.std()
    assert 1e-4 < error < 0.1, error
    alone = model(batch(1))
    torch.testing.assert_close(alone, found[1:2, : alone.shape[1]], rtol=1e-5, atol=1e-5)


def test_small_maps_are_left_alone() -> None:
    assert quantize(build(transformer(), dtype=torch.float32)) == 0
