"""How the scores of one query become weights over its keys. Mirrors attncli/spec/normalizers.py.

A normalizer takes logits (b h q k) in float32 or float64 and what is visible (broadcast to them, or None for all), and
returns weights of the same shape: 0 where nothing is visible, so a row that sees no key is all zeros, never NaN.
"""

import math
from typing import Any, ClassVar, Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.spec import normalizers as spec

RowSum = Literal["one", "one or zero", "any"]


class Normalizer(nn.Module):
    """Base of the normalizers, with what a caller may rely on.

    `row_sum`: what the weights of a row with a visible key sum to. `shifts`: whose scores may all be moved by one
    number without a difference. `exact`: the backward pass is the derivative of the forward pass, and no estimate.
    `random`: draws while training. `joins_queries`: a row depends on the other queries, so that `visible` must hide
    those that are no tokens.
    """

    row_sum: ClassVar[RowSum] = "one"
    shifts: ClassVar[Literal["query", "key", "none"]] = "query"
    exact: ClassVar[bool] = True
    random: ClassVar[bool] = False
    joins_queries: ClassVar[bool] = False

    @property
    def sums_to_one(self) -> bool:
        """Whether every row with a visible key is a distribution."""
        return self.row_sum == "one"

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        raise NotImplementedError("a kind of normalizer gives its own weights")


class Softmax(Normalizer):
    """exp(s) / sum exp(s)."""

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        if visible is None:
            return logits.softmax(-1)
        # A finite floor keeps the gradient of an empty row 0; -inf would make it NaN.
        floored = logits.masked_fill(~visible, torch.finfo(logits.dtype).min)
        return floored.softmax(-1).masked_fill(~visible, 0.0)


class Sum(Normalizer):
    """f(s) / sum f(s). A row whose sum is 0 gives zeros."""

    row_sum = "one or zero"
    shifts = "none"

    def __init__(self, *, activation: str) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        positive = _activated(logits, self.activation)
        if visible is not None:
            positive = positive.masked_fill(~visible, 0.0)
        total = positive.sum(-1, keepdim=True)
        return positive / torch.where(total > 0, total, torch.ones_like(total))


def _activated(logits: Tensor, activation: str) -> Tensor:
    match activation:
        case "relu":
            return logits.relu()
        case "relu_squared":
            return logits.relu().square()
        case "absolute":
            return logits.abs()
        case "square":
            return logits.square()
        case _:
            return F.softplus(logits)


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

    Peters et al. 2019, arXiv:1905.05702, eq. 10; tau by bisection between the bounds of their algorithm 1.
    """

    def __init__(self, *, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        return _entmax(logits, visible, torch.tensor(self.alpha, dtype=logits.dtype, device=logits.device))


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


def _entmax(logits: Tensor, visible: Tensor | None, alpha: Tensor) -> Tensor:
    scores = _below_zero(logits, visible, reach=1 / (alpha.detach() - 1))
    weights: Tensor = _Entmax.apply(scores, alpha)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return weights if visible is None else weights.masked_fill(~visible, 0.0)


class _Entmax(torch.autograd.Function):
    """Entmax of scores whose largest is 0, with an alpha that broadcasts to (… 1).

    Gradient of the scores: Peters et al. 2019, eq. 14; of alpha: Correia et al. 2019, proposition 1.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, alpha: Tensor) -> Tensor:
        power = 1 / (alpha - 1)
        scaled = scores * (alpha - 1)
        low = scaled.amax(-1, keepdim=True) - 1
        width = 1 - float(scores.shape[-1]) ** (1 - alpha)
        # Each turn halves the interval, which starts at most 1 wide: the end is below the rounding of the dtype.
        for _ in range(30 if scores.dtype == torch.float32 else 60):
            width = width / 2
            middle = low + width
            mass = (scaled - middle).clamp(min=0).pow(power).sum(-1, keepdim=True)
            low = torch.where(mass >= 1, middle, low)
        weights = (scaled - low).clamp(min=0).pow(power)
        weights = weights / weights.sum(-1, keepdim=True)
        ctx.save_for_backward(weights, alpha)
        return weights

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        weights, alpha = ctx.saved_tensors
        slope = torch.where(weights > 0, weights.pow(2 - alpha), torch.zeros_like(weights))
        total = slope.sum(-1, keepdim=True)
        mean = (grads[0] * slope).sum(-1, keepdim=True) / total
        of_alpha = None
        if ctx.needs_input_grad[1]:
            of_alpha = (grads[0] * _by_alpha(weights, slope / total, alpha)).sum_to_size(alpha.shape)
        return slope * (grads[0] - mean), of_alpha


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


def _below_zero(logits: Tensor, visible: Tensor | None, *, reach: Tensor | float) -> Tensor:
    """Logits moved so that the largest visible one is 0; hidden ones lie below `reach`, where no weight can be."""
    if visible is None:
        return logits - logits.amax(-1, keepdim=True).detach()
    floored = logits.masked_fill(~visible, torch.finfo(logits.dtype).min)
    moved = logits - floored.amax(-1, keepdim=True).detach()
    return torch.where(visible, moved, -2 * torch.as_tensor(reach, dtype=logits.dtype, device=logits.device))


class Hard(Normalizer):
    """1 at the largest score, the first of equal ones, and 0 elsewhere; backwards softmax.

    Straight-through: Bengio et al. 2013, arXiv:1308.3432, section 4.
    """

    exact = False

    def __init__(self) -> None:
        super().__init__()
        self.soft = Softmax()

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        soft: Tensor = self.soft(logits, visible)
        floored = logits if visible is None else logits.masked_fill(~visible, -torch.inf)
        chosen = torch.zeros_like(soft).scatter(-1, floored.argmax(-1, keepdim=True), 1.0)
        if visible is not None:
            chosen = chosen.masked_fill(~visible, 0.0)  # a row that sees nothing chooses nothing
        return chosen + (soft - soft.detach())


class Gumbel(Normalizer):
    """softmax((s + g) / temperature) with g = -ln(-ln u) while training, and softmax(s / temperature) otherwise.

    Jang et al. 2017, arXiv:1611.01144, eq. 2.
    """

    random = True

    def __init__(self, *, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.soft = Softmax()

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        if self.training:
            # -ln u is exponential; the smallest number instead of a 0 keeps its logarithm finite
            waits = torch.empty_like(logits).exponential_().clamp(min=torch.finfo(logits.dtype).tiny)
            logits = logits - waits.log()
        weights: Tensor = self.soft(logits / self.temperature, visible)
        return weights


class Sigmoid(Normalizer):
    """1 / (1 + exp(offset - s)); without an offset of its own, ln of the number of keys that the row sees.

    Ramapuram et al. 2024, arXiv:2409.04431, eq. 3, whose b is -offset.
    """

    row_sum = "any"
    shifts = "none"

    def __init__(self, *, offset: float | None) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        offset = _seen(logits, visible).log() if self.offset is None else self.offset
        weights = torch.sigmoid(logits - offset)
        return weights if visible is None else weights.masked_fill(~visible, 0.0)


class Pointwise(Normalizer):
    """f(s), over the number of keys that the row sees or over one.

    Wortsman et al. 2023, arXiv:2309.08586, section 3.
    """

    row_sum = "any"
    shifts = "none"

    def __init__(self, *, activation: str, divides: bool) -> None:
        super().__init__()
        self.activation, self.divides = activation, divides

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        weights = _activated(logits, self.activation)
        if self.divides:
            weights = weights / _seen(logits, visible)
        return weights if visible is None else weights.masked_fill(~visible, 0.0)


class Queries(Normalizer):
    """exp(s) over its sum over the queries, then over its sum over the keys: softmax_k(s - ln sum_q exp s).

    Locatello et al. 2020, arXiv:2006.15055, algorithm 1.
    """

    joins_queries = True
    shifts = "key"

    def __init__(self) -> None:
        super().__init__()
        self.over_keys = Softmax()

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        floored = logits if visible is None else logits.masked_fill(~visible, torch.finfo(logits.dtype).min)
        weights: Tensor = self.over_keys(floored - floored.logsumexp(-2, keepdim=True), visible)
        return weights


def _seen(logits: Tensor, visible: Tensor | None) -> Tensor:
    """(… 1): keys that each row sees, 1 where there is none."""
    if visible is None:
        return logits.new_full((1,), logits.shape[-1])
    across = visible.expand(*visible.shape[:-1], logits.shape[-1])
    return across.sum(-1, keepdim=True).clamp(min=1).to(logits.dtype)


def build_normalizer(normalizer: spec.Normalizer, *, heads: int) -> Normalizer:
    """The module of a normalizer."""
    match normalizer:
        case spec.Softmax():
            return Softmax()
        case spec.Sum():
            return Sum(activation=normalizer.activation)
        case spec.Sparsemax():
            return Sparsemax()
        case spec.Entmax(alpha="learned"):
            return LearnedEntmax(heads=heads)
        case spec.Entmax(alpha=alpha):
            assert not isinstance(alpha, str)
            return Entmax(alpha=alpha)
        case spec.Hard():
            return Hard()
        case spec.Gumbel():
            return Gumbel(temperature=normalizer.temperature)
        case spec.Sigmoid(offset=offset):
            return Sigmoid(offset=None if isinstance(offset, str) else offset)
        case spec.Pointwise():
            return Pointwise(activation=normalizer.activation, divides=normalizer.divide_by == "visible")
        case spec.Queries():
            return Queries()
        case spec.ForwardAttention() | spec.Monotonic():
            from attncli.nn.sequential import build_sequential  # which builds on this module

            return build_sequential(normalizer)
        case _:
            assert_never(normalizer)
