"""Normalizers that give most keys no weight at all: points of a polytope near the scores.

Their kinds are those of attncli/spec/normalizers.py; tensors are those of attncli/nn/normalizers.py.
"""

import math
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from attncli.nn.function import Function
from attncli.nn.kernels.chunked import noted
from attncli.nn.normalizers import Normalizer
from attncli.spec import normalizers as spec

MOST_STEPS = 200
"""Of Newton's method, which takes about eight; where each step leaves out one key, as many as there are."""


class Sparsemax(Normalizer):
    """The Euclidean projection of the scores on the simplex.

    Martins & Astudillo 2016, arXiv:1602.02068, algorithm 1: sorted, the support is the longest prefix whose members
    exceed (their sum - 1) / their number.
    """

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        scores = _below_zero(logits, visible, reach=1.0)
        ordered = scores.sort(-1, descending=True).values
        total = ordered.cumsum(-1)
        rank = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
        support = (1 + rank * ordered > total).sum(-1, keepdim=True)
        threshold = (total.gather(-1, support - 1) - 1) / support
        weights = (scores - threshold).clamp(min=0)
        return weights if visible is None else weights.masked_fill(~visible, 0.0)


class Entmax(Normalizer):
    """[(alpha - 1) s - tau]_+ ^ (1 / (alpha - 1)) with the tau that makes a row sum to 1.

    Peters et al. 2019, arXiv:1905.05702, eq. 10; tau by Newton's method up to alpha = 2, beyond it by bisection between
    the bounds of their algorithm 1.
    """

    def __init__(self, *, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        return _entmax(logits, visible, self.alpha)


class LearnedEntmax(Normalizer):
    """Entmax with one alpha a head: 1.01 + 0.99 / (1 + exp(-theta)), so between 1.01 and 2; 1.5 at the start.

    Correia et al. 2019, arXiv:1909.00015, section 3.2, whose alpha is 1 + 1 / (1 + exp(-theta)): at 1 itself the
    formula has no value, and near it the last places of the scores decide.
    """

    LEAST, MOST, START = 1.01, 2.0, 1.5

    def __init__(self, *, heads: int) -> None:
        super().__init__()
        share = (self.START - self.LEAST) / (self.MOST - self.LEAST)
        self.theta = nn.Parameter(torch.full((heads,), math.log(share / (1 - share))))

    def alphas(self, dtype: torch.dtype) -> Tensor:
        """(h). The cast comes first: bfloat16 would round the sum to steps of 1/128."""
        return self.LEAST + (self.MOST - self.LEAST) * self.theta.to(dtype).sigmoid()

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        return _entmax(logits, visible, self.alphas(logits.dtype).view(-1, 1, 1))


def _entmax(logits: Tensor, visible: Tensor | None, alpha: Tensor | float) -> Tensor:
    least = alpha.detach() if isinstance(alpha, Tensor) else alpha
    scores = _below_zero(logits, visible, reach=1 / (least - 1))
    weights: Tensor = _Entmax.apply(scores, alpha)
    return weights if visible is None else weights.masked_fill(~visible, 0.0)


class _Entmax(Function):
    """Entmax of scores whose largest is 0, with one alpha or, up to 2, those of heads, which broadcast to (… 1).

    Gradient of the scores: Peters et al. 2019, eq. 14; of alpha: Correia et al. 2019, proposition 1.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, alpha: Tensor | float) -> Tensor:
        scaled = scores * (alpha - 1)
        convex = isinstance(alpha, Tensor) or alpha <= 2
        threshold = noted(lambda: (_by_newton if convex else _by_halves)(scaled, alpha))
        weights = scaled.sub_(threshold).clamp_(min=0).pow(1 / (alpha - 1))
        weights /= weights.sum(-1, keepdim=True)
        ctx.save_for_backward(weights, *([alpha] if isinstance(alpha, Tensor) else []))
        ctx.alpha = alpha
        return weights

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        weights, *alphas = ctx.saved_tensors
        slope = _slope(weights, alphas[0] if alphas else ctx.alpha)
        total = slope.sum(-1, keepdim=True)
        mean = (grads[0] * slope).sum(-1, keepdim=True) / total
        of_alpha = None
        if ctx.needs_input_grad[1]:
            (alpha,) = alphas
            of_alpha = (grads[0] * _by_alpha(weights, slope / total, alpha)).sum_to_size(alpha.shape)
        return (grads[0] - mean).mul_(slope), of_alpha


def _slope(weights: Tensor, alpha: Tensor | float) -> Tensor:
    """weights ^ (2 - alpha), and 0 where there is no weight."""
    if isinstance(alpha, Tensor) or alpha >= 2:  # 0 ^ 0 is 1
        return torch.where(weights > 0, weights.pow(2 - alpha), torch.zeros_like(weights))
    return weights.pow(2 - alpha)


def _by_newton(scaled: Tensor, alpha: Tensor | float) -> Tensor:
    """(… 1): tau of scaled scores, for alpha up to 2.

    N(tau) = |[x - tau]_+|_p with p = 1 / (alpha - 1) is convex and falls, so Newton's method from where N >= 1 comes
    to N = 1 from one side; and N is all but straight, so it takes few steps.
    """
    power = 1 / (alpha - 1)
    low = scaled.amax(-1, keepdim=True) - 1
    rounding = 8 * torch.finfo(scaled.dtype).eps
    for _ in range(MOST_STEPS):
        above = (scaled - low).clamp_(min=0)
        slope = above.pow(power - 1) if isinstance(alpha, Tensor) or alpha < 2 else (above > 0).to(above.dtype)
        mass, fall = (above.mul_(slope).sum(-1, keepdim=True), slope.sum(-1, keepdim=True))
        excess = mass.pow(1 / power) - 1
        low = low + excess.clamp(min=0) * mass.pow(1 - 1 / power) / fall
        if not bool((excess > rounding).any()):
            break
    return low


def _by_halves(scaled: Tensor, alpha: Tensor | float) -> Tensor:
    """(… 1): tau of scaled scores, for any alpha."""
    low = scaled.amax(-1, keepdim=True) - 1
    width = 1 - scaled.shape[-1] ** (1 - alpha)
    for _ in range(_turns(scaled)):
        width = width / 2
        middle = low + width
        mass = (scaled - middle).clamp_(min=0).pow(1 / (alpha - 1)).sum(-1, keepdim=True)
        low = torch.where(mass >= 1, middle, low)
    return low


def _by_alpha(weights: Tensor, skewed: Tensor, alpha: Tensor) -> Tensor:
    """(p - r) / (alpha - 1)^2 - (p ln p - r sum p ln p) / (alpha - 1), with r = p^(2 - alpha) over its sum.

    With u = p^(1 - alpha) - 1, p - r is p (mean u - u) / (1 + mean u): near alpha = 1, where p and r are almost equal,
    their difference would be rounding.
    """
    power = alpha - 1
    log = torch.where(weights > 0, weights, torch.ones_like(weights)).log()
    growth = torch.expm1(-power * log)
    mean = (weights * growth).sum(-1, keepdim=True)
    entropy = (weights * log).sum(-1, keepdim=True)
    return weights * (mean - growth) / (1 + mean) / power**2 - (weights * log - skewed * entropy) / power


class Normmax(Normalizer):
    """argmax over the simplex of p . s - |p|_alpha. Santos et al. 2024, arXiv:2402.13725, section 3."""

    def __init__(self, *, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        scores = _below_zero(logits, visible, reach=1.0)
        weights: Tensor = _Normmax.apply(scores, self.alpha)
        return weights if visible is None else weights.masked_fill(~visible, 0.0)


class _Normmax(Function):
    """Normmax of scores whose largest is 0.

    Where p_k > 0 the gradient of the objective is one number l: u = p / |p|_alpha is [s - l]_+ ^ (1 / (alpha - 1)),
    with sum u^alpha = 1. Differentiated, that says dl = p . ds and du = u^(2 - alpha) (ds - dl) / (alpha - 1).
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, alpha: float) -> Tensor:
        power = 1 / (alpha - 1)
        unit = (scores - noted(lambda: _level(scores, alpha))).clamp_(min=0).pow(power)
        ctx.save_for_backward(unit)
        ctx.alpha = alpha
        return unit / unit.sum(-1, keepdim=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (unit,) = ctx.saved_tensors
        total = unit.sum(-1, keepdim=True)
        weights = unit / total
        slope = torch.where(unit > 0, unit.pow(2 - ctx.alpha), torch.zeros_like(unit)) / ((ctx.alpha - 1) * total)
        pulled = slope * (grads[0] - (grads[0] * weights).sum(-1, keepdim=True))
        return pulled - weights * pulled.sum(-1, keepdim=True), None


def _level(scores: Tensor, alpha: float) -> Tensor:
    """(… 1): the l of scores whose largest is 0."""
    low = torch.full_like(scores[..., :1], -1.0)
    width = 1 - float(scores.shape[-1]) ** (1 / alpha - 1)  # if all scores were alike, l would be low + width
    for _ in range(_turns(scores)):
        width = width / 2
        middle = low + width
        mass = (scores - middle).clamp_(min=0).pow(alpha / (alpha - 1)).sum(-1, keepdim=True)
        low = torch.where(mass >= 1, middle, low)
    return low


class Budget(Normalizer):
    """The point nearest to the scores of those with 0 <= p <= 1 that sum to `keys`: clamp(s - tau, 0, 1).

    Santos et al. 2024, arXiv:2402.13725, section 4 (k-subsets). A row that sees no more than `keys` gives each 1.
    """

    row_sum = "any"
    by_design = "its rows sum to the keys of its budget"

    def __init__(self, *, keys: int) -> None:
        super().__init__()
        self.keys = keys

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        if self.keys >= logits.shape[-1]:
            whole = torch.ones_like(logits) + 0 * logits  # constant, and yet a result of the scores
            return whole if visible is None else whole.masked_fill(~visible, 0.0)
        seen = torch.ones_like(logits, dtype=torch.bool) if visible is None else visible.expand_as(logits)
        scores = logits.masked_fill(~seen, torch.finfo(logits.dtype).min)
        # tau lies at most 1 below the last score that the budget could pay for whole, and near 0 there is no rounding.
        # Where a row sees fewer, that is a hidden one, which all others are far above.
        last = scores.detach().topk(self.keys, -1).values[..., -1:]
        scores = torch.where(seen, scores - last, -2.0)
        full, part = _paid(scores.detach(), self.keys)
        left, number = self.keys - full.sum(-1, keepdim=True), part.sum(-1, keepdim=True).clamp(min=1).to(scores.dtype)
        mean = scores.masked_fill(~part, 0.0).sum(-1, keepdim=True) / number
        weights = torch.where(part, (scores - mean + left / number).clamp(0, 1), full.to(scores.dtype))
        return weights.masked_fill(~seen, 0.0)


def _paid(scores: Tensor, keys: int) -> tuple[Tensor, Tensor]:
    """Which scores get a weight of 1, and which one between 0 and 1; the `keys`th largest is 0."""
    raised = scores - noted(lambda: _price(scores, keys))
    return raised >= 1, (raised > 0) & (raised < 1)


def _price(scores: Tensor, keys: int) -> Tensor:
    """(… 1): the tau of scores whose `keys`th largest is 0."""
    low, width = torch.full_like(scores[..., :1], -1.0), 1.0
    for _ in range(_turns(scores)):
        width = width / 2
        middle = low + width
        mass = (scores - middle).clamp_(0, 1).sum(-1, keepdim=True)
        low = torch.where(mass >= keys, middle, low)
    return low


def _turns(scores: Tensor) -> int:
    """Halvings that bring an interval at most 1 wide below the rounding of the dtype."""
    return 30 if scores.dtype == torch.float32 else 60


def _below_zero(logits: Tensor, visible: Tensor | None, *, reach: Tensor | float) -> Tensor:
    """Logits moved so that the largest visible one is 0; hidden ones lie below `reach`, where no weight can be."""
    if visible is None:
        return logits - logits.amax(-1, keepdim=True).detach()
    floored = logits.masked_fill(~visible, torch.finfo(logits.dtype).min)
    moved = logits - floored.amax(-1, keepdim=True).detach()
    return torch.where(visible, moved, -2 * torch.as_tensor(reach, dtype=logits.dtype, device=logits.device))


def build_sparse(normalizer: spec.Sparsemax | spec.Entmax | spec.Normmax | spec.Budget, *, heads: int) -> Normalizer:
    """The module of a normalizer that leaves keys out."""
    match normalizer:
        case spec.Sparsemax():
            return Sparsemax()
        case spec.Entmax(alpha="learned"):
            return LearnedEntmax(heads=heads)
        case spec.Entmax(alpha=alpha):
            assert not isinstance(alpha, str)
            return Entmax(alpha=alpha)
        case spec.Normmax():
            return Normmax(alpha=normalizer.alpha)
        case spec.Budget():
            return Budget(keys=normalizer.keys)
        case _:
            assert_never(normalizer)
