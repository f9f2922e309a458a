"""Normalization of a vector of features. Mirrors attncli/spec/norms.py.

float16 and bfloat16 are normalized in float32.
"""

from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.spec import norms as spec


class OnePlusRmsNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) (1 + g), g from 0."""

    def __init__(self, *, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Features (… d) to features (… d)."""
        # 1 + g is made before the cast: in bfloat16 a small g would vanish beside the 1
        return F.rms_norm(x, self.weight.shape, (1 + self.weight).to(x.dtype), self.epsilon)


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
            return nn.RMSNorm(width, eps=norm.epsilon)
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
