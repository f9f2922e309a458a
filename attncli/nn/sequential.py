"""Normalizers that read the weights of earlier steps, so that their decoder must run step by step.

Their kinds are those of attncli/spec/normalizers.py; scores of this sort are in attncli/nn/trailed.py.
Shapes: trail (b h k), the last weights; logits and weights (b h 1 k) of the one query of a step.
"""

from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn.normalizers import Normalizer, Softmax
from attncli.spec import normalizers as spec


class SequentialNormalizer(Normalizer):
    """Base of the normalizers that read the last step's weights."""

    def first(self, real: Tensor, heads: int) -> Tensor:
        """All weight on the first real key."""
        start = real * (real.cumsum(1) == 1)
        return start.unsqueeze(1).expand(-1, heads, -1)

    def next(self, trail: Tensor, weights: Tensor) -> Tensor:
        """The last weights."""
        return weights

    def step(self, logits: Tensor, visible: Tensor | None, trail: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weights (b h 1 k) of one step, and what each row of them sums to (b h 1) where that is not 1."""
        raise NotImplementedError("a kind gives its own weights")


class ForwardAttention(SequentialNormalizer):
    """a_k ~ (a'_k + a'_{k-1}) softmax(s)_k, where a' is the last step's: a key stays, or the next one takes over.

    Zhang et al. 2018, arXiv:1807.06736, eq. 8 and 9. The products are clamped before they are divided by their sum, so
    that a row whose scores lie all elsewhere still is a distribution.
    """

    FLOOR = 1e-10

    def __init__(self) -> None:
        super().__init__()
        self.soft = Softmax()

    def step(self, logits: Tensor, visible: Tensor | None, trail: Tensor) -> tuple[Tensor, Tensor | None]:
        reached = trail + F.pad(trail, (1, -1))
        made = (reached.unsqueeze(2).to(logits.dtype) * self.soft(logits, visible)).clamp(min=self.FLOOR)
        if visible is not None:
            made = made.masked_fill(~visible, 0.0)
        total = made.sum(-1, keepdim=True)
        return made / torch.where(total > 0, total, torch.ones_like(total)), None


class MovingWindow(SequentialNormalizer):
    """softmax(s), outside of training over `keys` keys from the heaviest of the last step on.

    Ping et al. 2018, arXiv:1710.07654, section 3.5; the heaviest of several is the first. A mask that hides the whole
    window leaves zeros, and the window where it was.
    """

    row_sum = "any"
    by_design = "a mask may hide the whole window"

    def __init__(self, *, keys: int) -> None:
        super().__init__()
        self.keys = keys
        self.soft = Softmax()

    def step(self, logits: Tensor, visible: Tensor | None, trail: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.training:
            return self.soft(logits, visible), None
        place = torch.arange(trail.shape[2], device=trail.device)
        ahead = (place - trail.argmax(2, keepdim=True)).unsqueeze(2)
        window = (ahead >= 0) & (ahead < self.keys)
        window = window if visible is None else window & visible
        return self.soft(logits, window), window.any(-1).to(logits.dtype)

    def next(self, trail: Tensor, weights: Tensor) -> Tensor:
        """The last weights of a step that saw a key."""
        return torch.where(weights.sum(-1, keepdim=True) > 0, weights, trail.to(weights.dtype))


class Monotonic(SequentialNormalizer):
    """p = sigmoid(s); a_k = p_k (q_k), q_k = (1 - p_{k-1}) q_{k-1} + a'_k: the chance to stop at k when keys are tried
    one by one from the last one on.

    Raffel et al. 2017, arXiv:1704.00784, eq. 8 to 11. With C the running sum of ln(1 - p) of earlier keys,
    q_k = sum_{j <= k} a'_j exp(C_k - C_j), which divides by nothing. While training, noise N(0, noise^2) on the scores
    drives p to 0 and 1. In evaluation `hard` takes the first key from the last one on with p >= 1/2,
    with the gradient of the expectation.
    """

    row_sum = "any"
    shifts = "none"
    exact = False  # of what evaluation takes where it is hard
    random = True

    def __init__(self, *, noise: float, hard: bool) -> None:
        super().__init__()
        self.noise, self.hard = noise, hard

    def step(self, logits: Tensor, visible: Tensor | None, trail: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.training:
            logits = logits + self.noise * torch.randn_like(logits)
        expected, total = self._expected(logits, visible, trail)
        if self.training or not self.hard:
            return expected, total
        taken = self._first_stop(logits, visible, trail)
        return taken + (expected - expected.detach()), taken.any(-1).to(taken.dtype)

    def _first_stop(self, logits: Tensor, visible: Tensor | None, trail: Tensor) -> Tensor:
        stops = (logits >= 0) & ((trail.unsqueeze(2) > 0).cumsum(-1) > 0)
        if visible is not None:
            stops = stops & visible
        return (stops & (stops.cumsum(-1) == 1)).to(logits.dtype)

    def _expected(self, logits: Tensor, visible: Tensor | None, trail: Tensor) -> tuple[Tensor, Tensor]:
        log_go = F.logsigmoid(-logits)
        if visible is not None:
            log_go = log_go.masked_fill(~visible, 0.0)  # what is hidden is passed by
        sums, trail = log_go.cumsum(-1).squeeze(2), trail.to(logits.dtype)
        passed = F.pad(sums, (1, -1))
        size = passed.shape[-1]
        earlier = torch.ones(size, size, dtype=torch.bool, device=logits.device).tril()
        between = (passed.unsqueeze(3) - passed.unsqueeze(2)).masked_fill(~earlier, -torch.inf).exp()
        weights = logits.sigmoid() * torch.einsum("bhkj,bhj->bhk", between, trail).unsqueeze(2)
        if visible is not None:
            weights = weights.masked_fill(~visible, 0.0)
        stopped = -torch.expm1(sums[..., -1:] - passed)  # the chance that one of the keys from j on is taken
        return weights, (trail * stopped).sum(-1, keepdim=True)


def build_sequential(normalizer: spec.ForwardAttention | spec.MovingWindow | spec.Monotonic) -> SequentialNormalizer:
    """The module of a normalizer that goes step by step."""
    match normalizer:
        case spec.ForwardAttention():
            return ForwardAttention()
        case spec.MovingWindow():
            return MovingWindow(keys=normalizer.keys)
        case spec.Monotonic():
            return Monotonic(noise=normalizer.noise, hard=normalizer.evaluation == "hard")
        case _:
            assert_never(normalizer)
