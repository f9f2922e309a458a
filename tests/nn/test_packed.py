"""Linear maps of laid weights against torch's, and what they leave as it was."""

import pytest
import torch
from torch import nn

from attncli.nn.packed import Packed, maps_of, packed
from attncli.nn.steps import OnAttention
from tests.nn.models import batch, build, transformer

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@needs_onednn
@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_a_product_is_that_of_the_map_to_rounding(bias: bool) -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(96, 50, bias=bias), torch.randn(7, 3, 96)
    exact = nn.functional.linear(x.double(), linear.weight.double(), linear.bias.double() if bias else None)
    made = Packed(linear)
    for rows, expected in ((x, exact), (x.transpose(0, 1), exact.transpose(0, 1)), (x[:0], exact[:0])):
        plain = float((linear(rows) - expected).abs().max()) if len(rows) else 0.0
        torch.testing.assert_close(made(rows).double(), expected, rtol=0, atol=2 * plain + 1e-6)


@needs_onednn
@torch.no_grad()
def test_maps_are_laid_within_and_plain_again_behind() -> None:
    model = build(transformer(feedforward="swiglu"), dtype=torch.float32)
    maps, expected = list(maps_of(model)), model(batch())
    with packed(model, rows=4):
        assert all(isinstance(linear.__dict__["forward"], Packed) for linear in maps)
        torch.testing.assert_close(model(batch()), expected, rtol=1e-5, atol=1e-5)
        with packed(model, rows=4):
            pass
        assert all("forward" in linear.__dict__ for linear in maps), "the outer one still holds"
    assert not any("forward" in linear.__dict__ for linear in maps)
    assert torch.equal(model(batch()), expected)
    with pytest.raises(KeyError), packed(model, rows=4):
        raise KeyError
    assert torch.equal(model(batch()), expected)


def test_few_rows_other_types_and_maps_that_do_more_are_left_alone() -> None:
    model = nn.ModuleList(
        [nn.Linear(3, 4), nn.Linear(3, 4).double(), OnAttention(d_mixed=3, d_query=2, d_output=4, bias=True)]
    )
    assert list(maps_of(model)) == list(model)[:2]
    with packed(model, rows=4):
        assert [bool("forward" in each.__dict__) for each in model] == [
            torch.backends.mkldnn.is_available(), False, False,
        ]  # fmt: skip
    with packed(model, rows=3):
        assert not any("forward" in each.__dict__ for each in model)
