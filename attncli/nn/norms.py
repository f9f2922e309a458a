"""Normalization of a vector of features. Mirrors attncli/spec/norms.py; the modules are torch's own."""

from typing import assert_never

from torch import nn

from attncli.spec import norms as spec


def build_norm(norm: spec.Norm, *, width: int) -> nn.Module:
    """The module of a norm over the last axis."""
    match norm:
        case spec.RmsNorm():
            return nn.RMSNorm(width, eps=norm.epsilon)
        case spec.LayerNorm():
            return nn.LayerNorm(width, eps=norm.epsilon, bias=norm.bias)
        case spec.NoNorm():
            return nn.Identity()
        case _:
            assert_never(norm)
