"""How a branch joins the residual stream. Mirrors attncli/spec/residuals.py."""

from typing import assert_never

import torch
from torch import Tensor, nn

from attncli.spec import residuals as spec


class Residual(nn.Module):
    """alpha x + by f, both fixed numbers. 1 and 1 is the plain sum; DeepNorm has its own alpha."""

    def __init__(self, *, alpha: float, by: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.by = by

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        """The stream x (b n d) with what a branch gives f (b n d)."""
        if self.alpha != 1:
            return torch.add(f, x, alpha=self.alpha)
        return torch.add(x, f, alpha=self.by)


class LearnedResidual(nn.Module):
    """x + g f, with a learned number for all features or for each; x + tanh(g) f where it is a gate."""

    def __init__(self, *, shape: tuple[int, ...], start: float, gate: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(shape, start))
        self.gate = gate

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        """The stream x (b n d) with what a branch gives f (b n d)."""
        return torch.addcmul(x, f, torch.tanh(self.weight) if self.gate else self.weight)


def build_residual(residual: spec.Residual, *, width: int, alpha: float) -> nn.Module:
    """The module of a residual; `alpha` is that of DeepNorm in this stack."""
    match residual:
        case spec.Add():
            return Residual(alpha=1.0, by=1.0)
        case spec.Scaled():
            return Residual(alpha=1.0, by=residual.by)
        case spec.DeepNorm():
            return Residual(alpha=alpha, by=1.0)
        case spec.ReZero():
            return LearnedResidual(shape=(), start=0.0, gate=False)
        case spec.LayerScale():
            return LearnedResidual(shape=(width,), start=residual.start, gate=False)
        case spec.Gated():
            return LearnedResidual(shape=(), start=residual.start, gate=True)
        case _:
            assert_never(residual)
