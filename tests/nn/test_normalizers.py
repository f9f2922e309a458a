"""Normalizers by their defining conditions; test_attention holds them against the reference."""

import math

import pytest
import torch
from torch import Tensor

from attncli.nn.normalizers import Entmax, Normalizer, Softmax, Sparsemax, Sum, build_normalizer
from attncli.spec.attention import MultiHead
from tests import catalogue
from tests.nn.models import read

CLOSE = {"rtol": 1e-9, "atol": 1e-10}
KINDS = catalogue.NORMALIZERS
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def normalizer(kind: str) -> Normalizer:
    given = {"heads": 1, "kv_heads": 1, "d_head": 2, "d_value": 2, "bias": False, "dropout": 0.0, "norm_place": "pre"}
    given |= {"score": "dot", "position": "none", "mask": "full", "norm": "none", "normalizer": read(kind)}
    return build_normalizer(MultiHead.model_validate(given).normalizer)


def scores(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).mul(2).to(dtype)


def visible(*shape: int) -> Tensor:
    """Some keys hidden; row 0 sees none, row 1 one, and every other row at least one."""
    seen = torch.rand(shape) < 0.6
    seen[..., 2] = True
    seen[0] = False
    seen[1] = False
    seen[1, ..., 3] = True
    return seen


@every_kind
def test_weights_are_shares_of_what_is_visible(kind):
    seen, module = visible(6, 3, 7), normalizer(kind)
    weights = module(scores(6, 3, 7), seen)
    assert (weights >= 0).all()
    assert (weights[~seen] == 0).all()
    total = weights.sum(-1)
    if module.sums_to_one:
        torch.testing.assert_close(total, seen.any(-1).double(), **CLOSE)
    else:
        assert (((total - 1).abs() < 1e-12) | (total == 0)).all()


@every_kind
def test_hidden_scores_are_never_read(kind):
    given, seen, module = scores(6, 3, 7), visible(6, 3, 7), normalizer(kind)
    other = torch.where(seen, given, torch.full_like(given, 1e30))
    assert torch.equal(module(other, seen), module(given, seen))
    taken = module(given[2:3, 0][:, seen[2, 0]], None)
    torch.testing.assert_close(module(given, seen)[2, 0][seen[2, 0]], taken[0], **CLOSE)


@every_kind
def test_gradients_are_right_and_hidden_scores_get_none(kind):
    given, seen, module = scores(4, 5).requires_grad_(), visible(4, 5), normalizer(kind)
    assert torch.autograd.gradcheck(lambda x: module(x, seen), given)
    assert torch.autograd.gradcheck(lambda x: module(x, None), given)
    (gradient,) = torch.autograd.grad((module(given, seen) * scores(4, 5)).sum(), given)
    assert (gradient[~seen] == 0).all()
    assert (gradient[0] == 0).all(), "a row that sees nothing"


@every_kind
def test_float32_is_within_a_rounding_of_float64(kind):
    given, seen, module = scores(40, 3, 33), visible(40, 3, 33), normalizer(kind)
    exact, single = module(given, seen), module(given.float(), seen)
    assert single.dtype == torch.float32
    assert (single.double() - exact).abs().max() < 1e-5


@pytest.mark.parametrize("kind", [k for name, k in KINDS.items() if not name.startswith("sum")])
def test_scores_moved_alike_give_the_same_weights_however_large(kind):
    given, seen, module = scores(6, 3, 7), visible(6, 3, 7), normalizer(kind)
    torch.testing.assert_close(module(given + 1000, seen), module(given, seen), rtol=1e-9, atol=1e-10)
    huge = module(given.float() * 1e8, seen)
    assert huge.isfinite().all()
    torch.testing.assert_close(huge.sum(-1), seen.any(-1).float())


@pytest.mark.parametrize("alpha", [1.05, 1.3, 1.5, 2.0, 2.5, 4.0])
@pytest.mark.parametrize("keys", [1, 2, 9, 64])
def test_entmax_meets_the_conditions_of_its_optimum(alpha, keys):
    """p maximises p.z + sum(p - p^alpha) / (alpha (alpha - 1)) over the simplex: Peters et al. 2019, eq. 8.

    Karush, Kuhn and Tucker: z_i - p_i^(alpha-1) / (alpha-1) is one number where p_i > 0, and nowhere larger.
    """
    given = scores(30, keys)
    weights = Entmax(alpha=alpha)(given, None)
    slack = given - weights.pow(alpha - 1) / (alpha - 1)
    level = torch.where(weights > 0, slack, -torch.inf).amax(-1, keepdim=True)
    assert ((slack - level).abs()[weights > 0] < 1e-9).all()
    assert (slack <= level + 1e-9).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(30, dtype=torch.float64), **CLOSE)


def test_entmax_of_two_is_sparsemax():
    given, seen = scores(6, 3, 7).requires_grad_(), visible(6, 3, 7)
    one, other = Entmax(alpha=2.0)(given, seen), Sparsemax()(given, seen)
    torch.testing.assert_close(one, other, **CLOSE)
    weigh = scores(6, 3, 7)
    gradients = [torch.autograd.grad((each * weigh).sum(), given)[0] for each in (one, other)]
    torch.testing.assert_close(*gradients, **CLOSE)


def test_entmax_goes_to_softmax():
    given, seen = scores(6, 3, 7), visible(6, 3, 7)
    errors = [(Entmax(alpha=1 + e)(given, seen) - Softmax()(given, seen)).abs().max() for e in (1e-2, 1e-3, 1e-4)]
    assert errors[2] < 1e-3
    assert errors[0] / 5 > errors[1] > 5 * errors[2], "the distance falls with alpha - 1"


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    """z - p is normal to the simplex at p: no other point of it is nearer. Martins & Astudillo 2016, eq. 2."""
    given = scores(20, 6)
    weights = Sparsemax()(given, None)
    others = torch.rand(500, 1, 6, dtype=torch.float64).log().neg()
    others = others / others.sum(-1, keepdim=True)
    assert ((given - weights).square().sum(-1) <= (given - others).square().sum(-1) + 1e-12).all()
    assert (weights == 0).any()


def test_ties_share_alike():
    for kind in KINDS.values():
        weights = normalizer(kind)(torch.ones(1, 4, dtype=torch.float64), None)
        torch.testing.assert_close(weights, torch.full((1, 4), 0.25, dtype=torch.float64), **CLOSE)


def test_a_sum_of_nothing_is_zeros():
    given = torch.tensor([[-1.0, -2.0], [3.0, -1.0]], dtype=torch.float64, requires_grad=True)
    weights = Sum(activation="relu")(given, None)
    assert weights.tolist() == [[0.0, 0.0], [1.0, 0.0]]
    weights.sum().backward()
    assert given.grad.isfinite().all()


def test_sum_of_squares_by_hand():
    weights = Sum(activation="square")(torch.tensor([[1.0, -2.0, 3.0]]), None)
    assert weights.tolist()[0] == pytest.approx([1 / 14, 4 / 14, 9 / 14])
    assert math.isclose(Sum(activation="absolute")(torch.tensor([[1.0, -3.0]]), None)[0, 1].item(), 0.75)
