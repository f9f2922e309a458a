"""Weights carried from somebody else's model into ours, name by name, with none left over on our side."""

import re

import torch
from torch import Tensor, nn

from attncli.nn.model import Model, build_model, token_fields
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
"""Of logits in float32: rounding, and nothing else."""


def built(text: str) -> Model:
    """The model of a spec, in evaluation."""
    run = load_text(text).run
    return build_model(run, sizes_of(run, token_fields(run))).eval()


def shaken(module: nn.Module, size: float = 0.25) -> nn.Module:
    """Somebody else's module with every parameter drawn anew, so that no gain is 1 and no bias 0."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=size)
    return module.eval()


@torch.no_grad()
def copy(weights: dict[str, Tensor], into: nn.Module) -> None:
    """Every parameter of `into` from `weights`; a name that either side lacks is an error."""
    own = dict(into.named_parameters())
    assert weights.keys() == own.keys(), weights.keys() ^ own.keys()
    for name, parameter in own.items():
        assert parameter.shape == weights[name].shape, name
        parameter.copy_(weights[name])


def linear(theirs: nn.Module, ours: str) -> dict[str, Tensor]:
    """A linear map or a norm: weight, and bias where there is one."""
    return {f"{ours}.{name}": parameter for name, parameter in theirs.named_parameters()}


def split(weight: Tensor, bias: Tensor, ours: str) -> dict[str, Tensor]:
    """Query, key and value maps that lie below each other in one matrix."""
    found = {}
    for name, part, added in zip(("query", "key", "value"), weight.chunk(3), bias.chunk(3), strict=True):
        found |= {f"{ours}.{name}.weight": part, f"{ours}.{name}.bias": added}
    return found


def renamed(theirs: nn.Module, rules: dict[str, str]) -> dict[str, Tensor]:
    """Their parameters under our names, by patterns of theirs; one that no pattern knows is an error."""
    found = {}
    for name, parameter in theirs.named_parameters():
        matches = [(pattern, ours) for pattern, ours in rules.items() if re.fullmatch(pattern, name)]
        assert len(matches) == 1, f"{name}: {matches}"
        found[re.sub(*matches[0], name)] = parameter
    return found
