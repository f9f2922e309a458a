"""The cross-entropy of logits x W' + b whose logits are not held: a chunk of places at a time is made, used and lost.

    loss = sum_t (1 - s) (-ln p_t(label_t)) + s mean_c(-ln p_t(c));  d loss / d logits = p - (1 - s) [c = label] - s / C

The gradient of a chunk is made in the place of its logits while they are there, so nothing is computed twice: what is
kept for the backward pass is the gradient of x and of W. A soft cap a tanh(z / a) of the logits multiplies the gradient
by 1 - (z / a)^2. Szegedy et al. 2016, arXiv:1512.00567, section 7, for the smoothed labels.

On the CPU all chunks are made in one piece of memory whose rows begin at multiples of ALIGNED floats: a product that
writes rows which begin anywhere, as those of 4,105 ids do, runs at half the speed. What fills a row up has logits of
-infinity.
Shapes: x (t d), W (c d), b (c), labels (t). Cost: CHUNK floats beside the gradients. One derivative only.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn.function import Function
from attncli.nn.kernels import affine
from attncli.nn.kernels.reference import wide

CHUNK = 2**23
"""Logits at a time, at the most; a chunk may have 256 places at the least, so that products stay large."""

ALIGNED = 16
"""Floats of a line of the cache, and of the widest vectors."""


class _Fixed(NamedTuple):
    """What the loss takes besides tensors."""

    smoothing: float
    soft_cap: float | None


class Sums(NamedTuple):
    """Sums over places."""

    loss: Tensor  # nats
    nll: Tensor  # -ln p(label), in nats
    correct: Tensor  # labels that are the likeliest


class _LinearLoss(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, fixed: _Fixed
    ) -> tuple[Tensor, Tensor, Tensor]:
        learns = any(ctx.needs_input_grad[:3])
        chunks = -(-len(x) // max(256, CHUNK // len(weight)))
        rows = max(1, -(-len(x) // max(1, chunks)))
        room, filled = _room(x, weight, rows)
        grads: list[Tensor] = []
        of_weight = torch.zeros_like(weight) if learns else weight
        of_bias = None if bias is None or not learns else torch.zeros_like(bias)
        parts = []
        for part, own in zip(torch.split(x, rows), torch.split(labels, rows), strict=True):
            whole = _products(part, filled, room)
            logits = whole[:, : len(weight)]
            if bias is not None:
                logits = logits.add_(bias)
            slope = None
            if fixed.soft_cap is not None:
                logits = logits.div_(fixed.soft_cap).tanh_()
                slope = 1 - logits.square() if learns else None
                logits = logits.mul_(fixed.soft_cap)
            sums = _absorbed(logits, whole, own, fixed, learns=learns)
            parts.append(sums)
            if not learns:
                continue
            grad = logits if slope is None else logits.mul_(slope)
            if of_bias is not None:
                of_bias += grad.sum(0)
            grad, whole = grad.to(part.dtype), whole.to(part.dtype)
            many = affine.serves(whole, filled)  # what fills up has no gradient
            grads.append(affine.product(whole, filled.mT) if many else torch.mm(grad, weight).to(x.dtype))
            if room is None:
                of_weight += torch.mm(grad.mT, part)
            else:
                torch.addmm(of_weight, grad.mT, part, out=of_weight)
        if learns:
            ctx.save_for_backward(torch.cat(grads) if grads else torch.zeros_like(x), of_weight, of_bias)
        loss, nll, correct = (torch.stack(column).sum(0) for column in zip(*parts, strict=True))
        ctx.mark_non_differentiable(nll, correct)
        return loss, nll, correct

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        return *(None if grad is None else grad * of_loss.to(grad.dtype) for grad in ctx.saved_tensors), None, None


def _room(x: Tensor, weight: Tensor, rows: int) -> tuple[Tensor | None, Tensor]:
    """Memory for the logits of some places, None where a product makes its own, and the weights, filled up with 0."""
    plain = x.dtype == weight.dtype and x.dtype in (torch.float32, torch.float64)
    if x.device.type != "cpu" or not plain or torch.is_autocast_enabled("cpu"):
        return None, weight
    filled = F.pad(weight, (0, 0, 0, -len(weight) % ALIGNED))
    return x.new_empty(rows, len(filled)), filled


def _products(x: Tensor, weight: Tensor, room: Tensor | None) -> Tensor:
    if room is None:
        return wide(torch.mm(x, weight.mT))
    if affine.serves(x, weight):
        return affine.product(x, weight)
    return torch.mm(x, weight.mT, out=room[: len(x)])


def _absorbed(logits: Tensor, whole: Tensor, labels: Tensor, fixed: _Fixed, *, learns: bool) -> Sums:
    """The sums of some places, whose logits then hold their own gradient, if it `learns`; `whole` is filled up."""
    places = labels.unsqueeze(1)
    most, of_label = logits.amax(1, keepdim=True), logits.gather(1, places)
    mean = logits.mean(1, keepdim=True) if fixed.smoothing else most
    whole[:, logits.shape[1] :] = -torch.inf
    probabilities = torch.softmax(whole, 1, out=whole)
    # the largest probability is 1 / C at the least, so its logarithm is exact where that of the label's is not
    log_sum = most - probabilities.amax(1, keepdim=True).log()
    nll = (log_sum - of_label).sum()
    loss = nll
    if fixed.smoothing:
        loss = (1 - fixed.smoothing) * nll + fixed.smoothing * (log_sum - mean).sum()
    if learns:
        if fixed.smoothing:
            logits.sub_(fixed.smoothing / logits.shape[1])
        logits.scatter_add_(1, places, torch.full_like(of_label, fixed.smoothing - 1))
    return Sums(loss, nll, (of_label >= most).sum())


def linear_loss(
    x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, *, smoothing: float, soft_cap: float | None
) -> Sums:
    """The sums over the places."""
    given = (x, weight, bias, labels, _Fixed(smoothing, soft_cap))
    return Sums(*_LinearLoss.apply(*given))
