"""Normalizers by their defining conditions; test_attention holds them against the reference."""

import math

import pytest
import torch
from torch import Tensor

from attncli.nn.normalizers import (
    Gumbel,
    Hard,
    Normalizer,
    Pointwise,
    Queries,
    Sigmoid,
    Signed,
    Softmax,
    Sum,
    build_normalizer,
)
from attncli.nn.sparse import Budget, Entmax, LearnedEntmax, Normmax, Sparsemax, _by_halves, _by_newton
from attncli.spec.attention import MultiHead
from tests import catalogue
from tests.nn.models import read

CLOSE = {"rtol": 1e-9, "atol": 1e-10}
KINDS = catalogue.NORMALIZERS
HEADS = 3
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def normalizer(kind: str) -> Normalizer:
    given = {"heads": 1, "kv_heads": 1, "d_head": 2, "d_value": 2, "bias": False, "dropout": 0.0, "norm_place": "pre"}
    given |= {"score": "dot", "position": "none", "mask": "full", "norm": "none", "normalizer": read(kind)}
    module = build_normalizer(MultiHead.model_validate(given).normalizer, heads=HEADS).double().eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


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
    seen, module = visible(6, HEADS, 2, 7), normalizer(kind)
    weights = module(scores(6, HEADS, 2, 7), seen)
    assert (weights[~seen] == 0).all()
    signed = isinstance(module, Signed)
    weights = weights.abs() if signed else weights
    assert (weights >= 0).all()
    total = weights.sum(-1)
    if module.sums_to_one or signed:
        torch.testing.assert_close(total, seen.any(-1).double(), **CLOSE)
    elif module.row_sum == "one or zero":
        assert (((total - 1).abs() < 1e-12) | (total == 0)).all()
    else:
        assert ((total - 1).abs() > 1e-3).any()


@every_kind
def test_hidden_scores_are_never_read(kind):
    given, seen, module = scores(6, HEADS, 2, 7), visible(6, HEADS, 2, 7), normalizer(kind)
    other = torch.where(seen, given, torch.full_like(given, 1e30))
    assert torch.equal(module(other, seen), module(given, seen))
    if module.joins_queries:
        return  # a row alone is another one
    shown = seen[2, 0, 1]
    taken = module(given[2:3, :, 1:][..., shown], None)
    torch.testing.assert_close(module(given, seen)[2, 0, 1][shown], taken[0, 0, 0], **CLOSE)


@every_kind
def test_gradients_are_right_and_hidden_scores_get_none(kind):
    given, seen, module = scores(4, HEADS, 2, 5).requires_grad_(), visible(4, HEADS, 2, 5), normalizer(kind)
    if module.exact:
        _holds_gradcheck(module, given, seen)
    (gradient,) = torch.autograd.grad((module(given, seen) * scores(4, HEADS, 2, 5)).sum(), given)
    assert (gradient[~seen] == 0).all()
    assert (gradient[0] == 0).all(), "a row that sees nothing"


def _holds_gradcheck(module: Normalizer, given: Tensor, seen: Tensor) -> None:
    own = tuple(module.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: module(x, seen), (given, *own))
    assert torch.autograd.gradcheck(lambda x, *_: module(x, None), (given, *own))


@every_kind
def test_float32_is_within_a_rounding_of_float64(kind):
    given, seen, module = scores(40, HEADS, 2, 33), visible(40, HEADS, 2, 33), normalizer(kind)
    exact, single = module(given, seen), module(given.float(), seen)
    assert single.dtype == torch.float32
    assert (single.double() - exact).abs().max() < 1e-5


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if normalizer(kind).shifts == "query"])
def test_scores_moved_alike_give_the_same_weights_however_large(kind):
    given, seen, module = scores(6, HEADS, 2, 7), visible(6, HEADS, 2, 7), normalizer(kind)
    torch.testing.assert_close(module(given + 1000, seen), module(given, seen), rtol=1e-9, atol=1e-10)
    huge = module(given.float() * 1e8, seen)
    assert huge.isfinite().all()
    keys = module.keys if isinstance(module, Budget) else 1
    torch.testing.assert_close(huge.sum(-1), seen.sum(-1).clamp(max=keys).float())


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


@pytest.mark.parametrize("alpha", [1.3, 2.0, 5.0])
@pytest.mark.parametrize("keys", [1, 2, 9, 64])
def test_normmax_meets_the_conditions_of_its_optimum(alpha, keys):
    """p maximises p.z - |p|_alpha over the simplex: Santos et al. 2024, section 3. Karush, Kuhn and Tucker:

    z_i - (p_i / |p|_alpha)^(alpha-1) is one number where p_i > 0, and nowhere larger.
    """
    given = scores(30, keys)
    weights = Normmax(alpha=alpha)(given, None)
    norm = weights.pow(alpha).sum(-1, keepdim=True).pow(1 / alpha)
    slack = given - (weights / norm).pow(alpha - 1)
    level = torch.where(weights > 0, slack, -torch.inf).amax(-1, keepdim=True)
    assert ((slack - level).abs()[weights > 0] < 1e-9).all()
    assert (slack <= level + 1e-9).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(30, dtype=torch.float64), **CLOSE)


@pytest.mark.parametrize("alpha", [1.1, 2.0, 3.0, 5.0])
def test_the_gradient_of_normmax_is_that_of_its_formula(alpha):
    given = scores(4, HEADS, 2, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: Normmax(alpha=alpha)(x, None), given)


def test_one_key_takes_all_where_it_is_ahead_by_the_margin():
    """Of sparsemax and normmax the margin is 1: Santos et al. 2024, proposition 2."""
    given = torch.tensor([[1.301, 0.3, -1.0], [1.299, 0.3, -1.0]], dtype=torch.float64)
    for module in (Normmax(alpha=2.0), Normmax(alpha=5.0), Sparsemax()):
        assert (module(given, None)[:, 0] == 1).tolist() == [True, False]


@pytest.mark.parametrize("keys", [1, 2, 5])
def test_a_budget_is_the_nearest_point_of_its_polytope(keys):
    """z - p is one number where 0 < p < 1, no larger where p = 0, no smaller where p = 1; rows sum to the budget."""
    given = scores(40, 9)
    weights = Budget(keys=keys)(given, None)
    gap = given - weights
    none, whole = weights == 0, weights == 1
    most = gap.masked_fill(whole, -torch.inf).amax(-1)
    least = gap.masked_fill(none, torch.inf).amin(-1)
    assert none.any()
    assert whole.any()
    assert (most <= least + 1e-12).all(), "tau lies between"
    torch.testing.assert_close(weights.sum(-1), torch.full((40,), float(keys), dtype=torch.float64), **CLOSE)
    few = Budget(keys=keys)(given, torch.arange(9) < keys)
    assert (few == (torch.arange(9) < keys)).all()


def test_a_budget_of_one_is_sparsemax():
    """Of a simplex no coordinate can be above 1, so the bound says nothing."""
    given, seen = scores(6, HEADS, 2, 7), visible(6, HEADS, 2, 7)
    torch.testing.assert_close(Budget(keys=1)(given, seen), Sparsemax()(given, seen), **CLOSE)


def test_signed_weights_by_hand():
    weights = Signed()(torch.tensor([[1.0, -2.0, 0.0]], dtype=torch.float64), None)[0]
    total = math.e + math.e**2 + 1
    assert weights.tolist() == pytest.approx([math.e / total, -(math.e**2) / total, 0])
    turned = Signed()(torch.tensor([[-1.0, 2.0, 0.0]], dtype=torch.float64), None)[0]
    assert torch.equal(turned, -weights)


def test_entmax_of_two_is_sparsemax():
    given, seen = scores(6, HEADS, 2, 7).requires_grad_(), visible(6, HEADS, 2, 7)
    one, other = Entmax(alpha=2.0)(given, seen), Sparsemax()(given, seen)
    torch.testing.assert_close(one, other, **CLOSE)
    weigh = scores(6, HEADS, 2, 7)
    gradients = [torch.autograd.grad((each * weigh).sum(), given)[0] for each in (one, other)]
    torch.testing.assert_close(*gradients, **CLOSE)


@pytest.mark.parametrize("alpha", [1.01, 1.25, 1.5, 1.9, 2.0])
def test_newton_finds_the_threshold_of_bisection(alpha):
    given = torch.cat([scores(50, 33) * size for size in (0.01, 1.0, 30.0)] + [torch.zeros(1, 33).double()])
    given = torch.cat([given, -(2.0 ** torch.arange(-32, 1)).double().unsqueeze(0)])  # gaps that double
    scaled = (given - given.amax(-1, keepdim=True)) * (alpha - 1)
    torch.testing.assert_close(_by_newton(scaled, alpha), _by_halves(scaled, alpha), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        _by_newton(scaled.float(), alpha).double(), _by_newton(scaled, alpha), rtol=0, atol=2e-6
    )  # fmt: skip


def test_entmax_goes_to_softmax():
    given, seen = scores(6, HEADS, 2, 7), visible(6, HEADS, 2, 7)
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


@every_kind
def test_ties_share_alike_but_where_one_key_takes_all(kind):
    module, given = normalizer(kind), torch.ones(2, HEADS, 2, 4, dtype=torch.float64)
    weights = module(given, None)
    if isinstance(module, Hard):
        assert weights[0, 0, 0].tolist() == [1, 0, 0, 0]
        return
    torch.testing.assert_close(weights, weights[..., :1].expand_as(weights), **CLOSE)
    if module.row_sum != "any":
        torch.testing.assert_close(weights, torch.full_like(weights, 0.25), **CLOSE)


@pytest.mark.parametrize("theta", [-9.0, -3.0, 0.0, 9.0])
def test_a_learned_alpha_is_the_entmax_of_its_number_in_each_head(theta):
    module, given, seen = LearnedEntmax(heads=HEADS).double(), scores(6, HEADS, 2, 7), visible(6, HEADS, 2, 7)
    torch.testing.assert_close(module.alphas(torch.float64), torch.full((HEADS,), 1.5, dtype=torch.float64))
    with torch.no_grad():
        module.theta[1] = theta
        alpha = module.alphas(torch.float64)[1].item()
        weights = module(given, seen)
    assert 1.01 <= alpha <= 2
    torch.testing.assert_close(weights[:, 1], Entmax(alpha=alpha)(given, seen)[:, 1], **CLOSE)
    torch.testing.assert_close(weights[:, 0], Entmax(alpha=1.5)(given, seen)[:, 0], **CLOSE)


@pytest.mark.parametrize("theta", [-9.0, -3.0, 3.0])
def test_the_gradient_of_alpha_keeps_its_digits_in_float32(theta):
    """Near alpha = 1 the published formula is a difference of almost equal numbers over 1e-4."""
    given, weigh, gradients = scores(20, 2, 3, 30), scores(20, 2, 3, 30), []
    for dtype in (torch.float64, torch.float32):
        module = LearnedEntmax(heads=2).to(dtype)
        torch.nn.init.constant_(module.theta, theta)
        (module(given.to(dtype), None) * weigh.to(dtype)).sum().backward()
        gradients.append(module.theta.grad.double())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)


def test_a_hard_row_has_the_gradient_of_softmax():
    given, seen, weigh = scores(6, HEADS, 2, 7).requires_grad_(), visible(6, HEADS, 2, 7), scores(6, HEADS, 2, 7)
    hard, soft = (module(given, seen) for module in (Hard(), Softmax()))
    assert ((hard == 0) | (hard == 1)).all()
    assert torch.equal(hard.argmax(-1)[1:], soft.argmax(-1)[1:])
    gradients = [torch.autograd.grad((each * weigh).sum(), given)[0] for each in (hard, soft)]
    torch.testing.assert_close(*gradients, **CLOSE)


def test_gumbel_draws_in_training_alone_and_its_largest_weight_is_a_draw_from_softmax():
    module, row = Gumbel(temperature=0.3), scores(1, 5)
    torch.testing.assert_close(module.eval()(row, None), (row / 0.3).softmax(-1))
    count = 20_000
    torch.manual_seed(0)
    drawn = module.train()(row.expand(count, 5), None)
    torch.testing.assert_close(drawn.sum(-1), torch.ones(count, dtype=torch.float64), **CLOSE)
    shares = drawn.argmax(-1).bincount(minlength=5) / count
    expected = row[0].softmax(-1)
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / count).sqrt()).all()


def test_gumbel_hides_what_is_hidden_whatever_is_drawn_and_has_the_gradient_of_what_was_drawn():
    module, seen = Gumbel(temperature=0.7).train(), visible(6, HEADS, 2, 7)
    weights = module(scores(6, HEADS, 2, 7), seen)
    assert (weights[~seen] == 0).all()
    torch.testing.assert_close(weights.sum(-1), seen.any(-1).double(), **CLOSE)

    def same_draw(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return module(x, None)

    assert torch.autograd.gradcheck(same_draw, scores(2, 5).requires_grad_())


def test_sigmoid_takes_off_the_logarithm_of_the_keys_that_a_row_sees():
    """Rows of equal scores sum to 1 / (1 / k + exp(-s)), which hardly grows with their length."""
    sums = [Sigmoid(offset=None)(torch.zeros(1, keys, dtype=torch.float64), None).sum().item() for keys in (1, 8, 512)]
    assert sums == pytest.approx([1 / 2, 8 / 9, 512 / 513])
    fixed = Sigmoid(offset=2.0)(torch.tensor([[2.0, 3.0]], dtype=torch.float64), None)
    assert fixed[0].tolist() == pytest.approx([0.5, 1 / (1 + math.exp(-1))])


@pytest.mark.parametrize("kind", ["sigmoid", "pointwise"])
def test_a_row_counts_its_own_visible_keys_however_the_mask_is_broadcast(kind):
    module, given = normalizer(KINDS[kind]), scores(2, HEADS, 4, 5)
    for shape in ((2, 1, 1, 5), (1, 1, 4, 5), (2, HEADS, 4, 5), (2, 1, 4, 1)):
        seen = torch.rand(shape) < 0.6
        torch.testing.assert_close(module(given, seen), module(given, seen.expand_as(given).clone()), **CLOSE)


def test_pointwise_by_hand():
    given, seen = torch.tensor([[1.0, -2.0, 3.0, 9.0]]), torch.tensor([[True, True, True, False]])
    assert Pointwise(activation="relu", divides=True)(given, seen)[0].tolist() == pytest.approx([1 / 3, 0, 1, 0])
    assert Pointwise(activation="relu_squared", divides=False)(given, seen)[0].tolist() == [1, 0, 9, 0]


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


def test_queries_share_out_each_key_and_padding_asks_for_none():
    given, seen = scores(2, HEADS, 4, 5), visible(2, HEADS, 4, 5)
    seen[...] = True
    seen[1, :, 3] = False  # a query of padding
    weights = Queries()(given, seen)
    shares = given.softmax(-2)[0]
    torch.testing.assert_close(weights[0], shares / shares.sum(-1, keepdim=True), **CLOSE)
    torch.testing.assert_close(weights[1, :, :3], Queries()(given[1:, :, :3], None)[0], **CLOSE)
    torch.testing.assert_close(Queries()(given + scores(1, 1, 1, 5) * 9, seen), weights, **CLOSE)
    huge = Queries()(given.float() * 1e6, seen)
    torch.testing.assert_close(huge.sum(-1), seen.any(-1).float())
