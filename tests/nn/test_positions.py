"""Positions: distance is all that relative kinds see, and the tables are those of the papers."""

import math

import pytest
import torch

from attncli.nn.positions import (
    T5,
    Alibi,
    Learned,
    LearnedAlibi,
    Pope,
    Rotary,
    Sinusoidal,
    alibi_slopes,
    build_rotary,
)
from attncli.nn.view import View
from attncli.reference import positions as reference
from attncli.spec import positions as spec
from tests import catalogue
from tests.nn.oracle import attention

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
RELATIVE = {name: kind for name, kind in catalogue.POSITIONS.items() if name not in ("none", "cope", "forgetting")}
"""Kinds that read positions; the other two count tokens by what they hold."""


def rotary(**given) -> Rotary:
    return build_rotary(spec.Rotary(**{"d_rotary": 8, "layout": "half"} | given), two_sided=False)


def angles(module: Rotary, positions: torch.Tensor, side: str = "key", length: int = 1) -> tuple[torch.Tensor, ...]:
    return module.angles(positions, side=side, lengths=lambda: torch.full_like(positions, length))


def places(*positions: int) -> View:
    row = torch.tensor([positions])
    return View(row, row)


@pytest.mark.parametrize("kernel", ["fused", "reference"])
@pytest.mark.parametrize("kind", RELATIVE.values(), ids=RELATIVE.keys())
@torch.no_grad()
def test_relative_kinds_see_distance_only(kind, kernel):
    if kernel == "fused" and kind == catalogue.POSITIONS["shaw"]:
        kernel = "auto"
    module = attention(position=kind, kernel=kernel)
    x = torch.randn(1, 4, 12, dtype=torch.float64)
    here = module(x, x, places(0, 1, 2, 3))
    torch.testing.assert_close(module(x, x, places(9, 10, 11, 12)), here, **CLOSE)
    assert not torch.allclose(module(x, x, places(0, 2, 3, 7)), here, atol=1e-4)


@pytest.mark.parametrize("d_rotary", [2, 4, 6])
@torch.no_grad()
def test_the_two_layouts_of_rotary_are_one_model_after_a_permutation_of_the_maps(d_rotary):
    """Feature i of `half` is feature 2i of `interleaved`, and i + d_rotary/2 is 2i + 1."""
    kind = "{{kind: rotary, layout: {}, d_rotary: {}}}"
    half = attention(position=kind.format("half", d_rotary), heads="{heads: 4, kv_heads: 2, d_head: 6}")
    other = attention(position=kind.format("interleaved", d_rotary), heads="{heads: 4, kv_heads: 2, d_head: 6}")
    order = [place for i in range(d_rotary // 2) for place in (i, i + d_rotary // 2)] + list(range(d_rotary, 6))
    x, view = torch.randn(2, 5, 12, dtype=torch.float64), places(0, 1, 2, 3, 4)
    if d_rotary > 2:
        assert not torch.allclose(half(x, x, places(0, 1, 2, 3, 4)), other(x, x, places(0, 1, 2, 3, 4)), atol=1e-4)
    for map, heads in ((other.query, 4), (other.key, 2)):
        map.weight.copy_(map.weight.view(heads, 6, 12)[:, order].reshape(heads * 6, 12))
        map.bias.copy_(map.bias.view(heads, 6)[:, order].reshape(-1))
    torch.testing.assert_close(other(x, x, view), half(x, x, places(0, 1, 2, 3, 4)), **CLOSE)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_rotary_keeps_lengths_and_what_lies_beyond_d_rotary(layout):
    module = rotary(d_rotary=4, base=100.0, layout=layout)
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    turned = module.turn(x, angles(module, torch.arange(5).unsqueeze(0)))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), **CLOSE)
    assert torch.equal(turned[..., 4:], x[..., 4:])
    assert torch.equal(turned[:, :, 0], x[:, :, 0])


def test_rotary_is_exact_far_away_and_in_half_precision():
    """Angles in a narrow dtype would be wrong by whole turns at position 100,000."""
    module, far = rotary(), torch.tensor([[100_003]])
    x = torch.randn(1, 1, 1, 8, dtype=torch.float64)
    exact = torch.tensor(reference.rotary(x.flatten().tolist(), 100_003), dtype=torch.float64)
    for dtype, error in ((torch.float64, 1e-9), (torch.float32, 1e-6), (torch.bfloat16, 3e-2)):
        turned = module.turn(x.to(dtype), angles(module, far))
        assert turned.dtype == dtype
        assert (turned.double().flatten() - exact).abs().max() < error


@pytest.mark.parametrize("heads", range(1, 34))
def test_alibi_slopes(heads):
    assert alibi_slopes(heads) == pytest.approx(reference.alibi_slopes(heads), rel=1e-15)


def test_a_learned_slope_starts_as_the_fixed_one():
    assert LearnedAlibi(heads=6).slopes.tolist() == pytest.approx(alibi_slopes(6), rel=1e-6)
    assert not list(Alibi(heads=6).parameters())


@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 12), (16, 100), (64, 1000)])
@pytest.mark.parametrize("two_sided", [True, False])
def test_t5_buckets_change_where_exact_powers_say(buckets, max_distance, two_sided):
    offsets = range(-2 * max_distance, 2 * max_distance)
    module = T5(heads=1, buckets=buckets, max_distance=max_distance, two_sided=two_sided)
    expected = [
        reference.t5_bucket(offset, buckets=buckets, max_distance=max_distance, two_sided=two_sided)
        for offset in offsets
    ]
    found = module.bucket(torch.tensor(offsets)).tolist()
    # the authors' own code takes a logarithm in float32, which may round a distance on a border down
    borders = [(one, other) for one, other in zip(found, expected, strict=True) if one != other]
    assert all(other - one == 1 for one, other in borders)
    assert len(borders) <= 2


@pytest.mark.parametrize("layout", ["interleaved", "concatenated"])
@pytest.mark.parametrize("d_model", [2, 6, 10])
def test_sinusoidal_waves(layout, d_model):
    module = Sinusoidal(d_model=d_model, base=500.0, layout=layout)
    positions = torch.tensor([[0, 1, 7, 4000]])
    waves = module(torch.zeros(1, 4, d_model, dtype=torch.float64), positions)[0]
    for row, position in zip(waves.tolist(), positions[0].tolist(), strict=True):
        expected = reference.sinusoidal(position, d_model=d_model, base=500.0, layout=layout)
        assert row == pytest.approx(expected, abs=1e-12)


def test_a_learned_position_is_the_row_of_its_table():
    module = Learned(d_model=3, max_length=5)
    x = torch.randn(2, 2, 3)
    added = module(x, torch.tensor([[0, 4], [2, 1]])) - x
    torch.testing.assert_close(added, module.table.weight[torch.tensor([[0, 4], [2, 1]])])
    with pytest.raises(IndexError):
        module(x, torch.tensor([[0, 5]]))


def test_t5_is_one_sided_exactly_where_the_mask_is_causal():
    kind = catalogue.POSITIONS["t5"]
    assert not attention(position=kind, mask="causal & window(before=3)").position.two_sided
    assert attention(position=kind, mask="window(around=3)").position.two_sided


def test_an_offset_of_pope_is_brought_back_between_a_whole_turn_and_none():
    module = Pope(heads=1, width=3, base=10.0)
    with torch.no_grad():
        module.offset.copy_(torch.tensor([[-9.0, -1.0, 0.5]]))
    module.settle()
    assert module.offset[0].tolist() == pytest.approx([-2 * math.pi, -1.0, 0.0])


def test_alibi_by_hand():
    bias = Alibi(heads=2).bias(torch.tensor([[3]]), torch.tensor([[0, 3, 5]]), lambda: None)
    expected = [[-3 / 16, 0, -2 / 16], [-3 / 256, 0, -2 / 256]]
    torch.testing.assert_close(bias[0, :, 0], torch.tensor(expected))
    assert math.isclose(alibi_slopes(1)[0], 2**-8)
