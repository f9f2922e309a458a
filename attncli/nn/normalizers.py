"""How the scores of one query become weights over its keys. Mirrors attncli/spec/normalizers.py.

A normalizer takes logits (… k) in float32 or float64 and what is visible (broadcast to them, or None for all), and
returns weights of the same shape: 0 where nothing is visible, so a row that sees no key is all zeros, never NaN.
"""

from typing import Any, ClassVar, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.spec import normalizers as spec


class Normalizer(nn.Module):
    """Base of the normalizers. `sums_to_one`: a row with a visible key sums to 1."""

    sums_to_one: ClassVar[bool] = True

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

    sums_to_one = False  # a row of zeros is a possible result

    def __init__(self, *, activation: str) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        match self.activation:
            case "relu":
                positive = logits.relu()
            case "absolute":
                positive = logits.abs()
            case "square":
                positive = logits.square()
            case _:
                positive = F.softplus(logits)
        if visible is not None:
            positive = positive.masked_fill(~visible, 0.0)
        total = positive.sum(-1, keepdim=True)
        return positive / torch.where(total > 0, total, torch.ones_like(total))


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
        scores = _below_zero(logits, visible, reach=1 / (self.alpha - 1))
        weights: Tensor = _Entmax.apply(scores, self.alpha)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return weights if visible is None else weights.masked_fill(~visible, 0.0)


class _Entmax(torch.autograd.Function):
    """Entmax of scores whose largest is 0. Gradient: Peters et al. 2019, eq. 14."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, alpha: float) -> Tensor:
        scaled = scores * (alpha - 1)
        low = scaled.amax(-1, keepdim=True) - 1
        width = 1 - float(scores.shape[-1]) ** (1 - alpha)
        # Each turn halves the interval, which starts at most 1 wide: the end is below the rounding of the dtype.
        for _ in range(30 if scores.dtype == torch.float32 else 60):
            width /= 2
            middle = low + width
            mass = (scaled - middle).clamp(min=0).pow(1 / (alpha - 1)).sum(-1, keepdim=True)
            low = torch.where(mass >= 1, middle, low)
        weights = (scaled - low).clamp(min=0).pow(1 / (alpha - 1))
        weights = weights / weights.sum(-1, keepdim=True)
        ctx.save_for_backward(weights)
        ctx.alpha = alpha
        return weights

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        slope = torch.where(weights > 0, weights.pow(2 - ctx.alpha), torch.zeros_like(weights))
        mean = (grads[0] * slope).sum(-1, keepdim=True) / slope.sum(-1, keepdim=True)
        return slope * (grads[0] - mean), None


def _below_zero(logits: Tensor, visible: Tensor | None, *, reach: float) -> Tensor:
    """Logits moved so that the largest visible one is 0; hidden ones lie below `reach`, where no weight can be."""
    if visible is None:
        return logits - logits.amax(-1, keepdim=True).detach()
    floored = logits.masked_fill(~visible, torch.finfo(logits.dtype).min)
    moved = logits - floored.amax(-1, keepdim=True).detach()
    return moved.masked_fill(~visible, -2 * reach)


def build_normalizer(normalizer: spec.Normalizer) -> Normalizer:
    """The module of a normalizer."""
    match normalizer:
        case spec.Softmax():
            return Softmax()
        case spec.Sum():
            return Sum(activation=normalizer.activation)
        case spec.Sparsemax():
            return Sparsemax()
        case spec.Entmax():
            return Entmax(alpha=normalizer.alpha)
        case _:
            assert_never(normalizer)
