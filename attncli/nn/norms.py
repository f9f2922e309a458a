"""Normalization of a vector of features. Mirrors attncli/spec/norms.py.

float16 and bfloat16 are normalized in float32.
"""

from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.function import Function
from attncli.spec import norms as spec


class _Rms(Function):
    """x r w with r = 1 / sqrt(mean(x^2) + epsilon), in few passes over memory: torch has no kernel of it on the CPU.

    The gradient is that of a layer norm whose mean is 0 and whose scale is r, but for what flows through a mean that
    is not here: r mean(w g) at every feature, which is added again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, r)
        y: Tensor = (x * r).mul_(weight)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight, r = ctx.saved_tensors
        grad, x, wanted = grad.contiguous(), x.contiguous(), [*ctx.needs_input_grad[:2], False]
        of_x, of_weight, _ = torch.ops.aten.native_layer_norm_backward(
            grad, x, weight.shape, torch.zeros_like(r), r, weight, None, wanted
        )
        if wanted[0]:
            of_x = of_x.add_((grad @ weight).div_(x.shape[-1]).unsqueeze(-1).mul_(r))
        return of_x, of_weight, None


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) w of features (… d)."""
    plain = x.dtype == weight.dtype and x.dtype in (torch.float32, torch.float64)
    if plain and x.device.type == "cpu" and not torch.compiler.is_compiling():
        out: Tensor = _Rms.apply(x, weight, epsilon)
        return out
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), epsilon)


class RmsNorm(nn.RMSNorm):
    """x / sqrt(mean(x^2) + epsilon) g, g from 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (… d) to features (… d)."""
        assert self.eps is not None
        return rms_norm(x, self.weight, self.eps)


class OnePlusRmsNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) (1 + g), g from 0."""

    def __init__(self, *, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Features (… d) to features (… d)."""
        # 1 + g is made before the cast: in bfloat16 a small g would vanish beside the 1
        return rms_norm(x, 1 + self.weight, self.epsilon)


class ScaleNorm(nn.Module):
    """x / max(|x|, epsilon) g with one number g, from sqrt(d)."""

    def __init__(self, *, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((), float(width) ** 0.5))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Features (… d) to features (… d)."""
        return (F.normalize(_wide(x), dim=-1, eps=self.epsilon) * self.weight).to(x.dtype)


class DynamicTanh(nn.Module):
    """tanh(alpha x) g + b with one number alpha."""

    def __init__(self, *, width: int, alpha: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((), alpha))
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Features (… d) to features (… d)."""
        return torch.addcmul(self.bias, torch.tanh(self.alpha * _wide(x)), self.weight).to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def build_norm(norm: spec.Norm, *, width: int) -> nn.Module:
    """The module of a norm over the last axis."""
    match norm:
        case spec.RmsNorm(gain="one_plus"):
            return OnePlusRmsNorm(width=width, epsilon=norm.epsilon)
        case spec.RmsNorm():
            return RmsNorm(width, eps=norm.epsilon)
        case spec.LayerNorm():
            return nn.LayerNorm(width, eps=norm.epsilon, bias=norm.bias)
        case spec.ScaleNorm():
            return ScaleNorm(width=width, epsilon=norm.epsilon)
        case spec.DynamicTanh():
            return DynamicTanh(width=width, alpha=norm.alpha)
        case spec.NoNorm():
            return nn.Identity()
        case _:
            assert_never(norm)
