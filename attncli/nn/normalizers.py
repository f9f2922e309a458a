"""How the scores of one query become weights over its keys. Mirrors attncli/spec/normalizers.py.

A normalizer takes logits (b h q k) in float32 or float64 and what is visible (broadcast to them, or None for all), and
returns weights of the same shape: 0 where nothing is visible, so a row that sees no key is all zeros, never NaN.
"""

from typing import ClassVar, Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.spec import normalizers as spec

RowSum = Literal["one", "one or zero", "any"]


class Normalizer(nn.Module):
    """Base of the normalizers, with what a caller may rely on.

    `row_sum`: what the weights of a row with a visible key sum to; `by_design`: why, where that is "any". `shifts`:
    whose scores may all be moved by one number without a difference. `exact`: the backward pass is the derivative of
    the forward pass, and no estimate. `random`: draws while training. `joins_queries`: a row depends on the other
    queries, so that `visible` must hide those that are no tokens.
    """

    row_sum: ClassVar[RowSum] = "one"
    shifts: ClassVar[Literal["query", "key", "none"]] = "query"
    exact: ClassVar[bool] = True
    random: ClassVar[bool] = False
    by_design: ClassVar[str] = "its normalizer weighs each key alone"
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


class Signed(Normalizer):
    """sign(s) exp|s| / sum exp|s|. Lv et al. 2024, arXiv:2411.07176."""

    row_sum = "any"
    shifts = "none"
    by_design = "its weights have signs, and their sizes sum to 1"

    def __init__(self) -> None:
        super().__init__()
        self.sizes = Softmax()

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        sizes: Tensor = self.sizes(logits.abs(), visible)
        return sizes * logits.sign()


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
        case spec.Sparsemax() | spec.Entmax() | spec.Normmax() | spec.Budget():
            from attncli.nn.sparse import build_sparse  # which builds on this module

            return build_sparse(normalizer, heads=heads)
        case spec.Hard():
            return Hard()
        case spec.Gumbel():
            return Gumbel(temperature=normalizer.temperature)
        case spec.Sigmoid(offset=offset):
            return Sigmoid(offset=None if isinstance(offset, str) else offset)
        case spec.Pointwise():
            return Pointwise(activation=normalizer.activation, divides=normalizer.divide_by == "visible")
        case spec.Signed():
            return Signed()
        case spec.Queries():
            return Queries()
        case spec.ForwardAttention() | spec.MovingWindow() | spec.Monotonic():
            from attncli.nn.sequential import build_sequential  # which builds on this module

            return build_sequential(normalizer)
        case _:
            assert_never(normalizer)
