"""torch's own optimizers, built from the spec. Mirrors the optimizers of attncli/spec/training.py.

Weight decay falls on matrices only (parameters of two or more axes; an embedding is a matrix), never on biases and
gains. It is decoupled in AdamW and part of the gradient in the others, as torch has them.
The rate given here is the peak; the loop sets that of each step.
Cost: where torch has a fused step for the device, one call updates all parameters.
"""

from typing import Any, assert_never

import torch
from torch import nn

from attncli.spec import training as spec

_FUSED = {"adam": ("cpu", "cuda", "mps"), "adamw": ("cpu", "cuda", "mps"), "sgd": ("cpu", "cuda"), "adagrad": ("cpu",)}


def build_optimizer(optimizer: spec.Optimizer, model: nn.Module, *, learning_rate: float) -> torch.optim.Optimizer:
    """The optimizer of all parameters of `model` that learn."""
    groups = parameter_groups(model, weight_decay=optimizer.weight_decay)
    device = groups[0]["params"][0].device.type
    shared: dict[str, Any] = {"lr": learning_rate}
    if device in _FUSED.get(optimizer.kind, ()):
        shared["fused"] = True
    elif device == "cpu":
        shared["foreach"] = True  # torch takes the slower loop on a CPU unless asked
    match optimizer:
        case spec.AdamW():
            return torch.optim.AdamW(groups, betas=optimizer.betas, eps=optimizer.epsilon, **shared)
        case spec.Adam():
            return torch.optim.Adam(groups, betas=optimizer.betas, eps=optimizer.epsilon, **shared)
        case spec.Sgd():
            return torch.optim.SGD(groups, momentum=optimizer.momentum, **shared)
        case spec.Adagrad():
            start = optimizer.accumulator
            return torch.optim.Adagrad(groups, initial_accumulator_value=start, eps=optimizer.epsilon, **shared)
        case spec.Adadelta():
            return torch.optim.Adadelta(groups, rho=optimizer.rho, eps=optimizer.epsilon, **shared)
        case spec.Adafactor():
            return torch.optim.Adafactor(groups, **shared)
        case _:
            assert_never(optimizer)


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters that learn, those that decay apart from the others; each shared one once."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not weight_decay:
        return [{"params": learned, "weight_decay": 0.0}]
    matrices = [parameter for parameter in learned if parameter.ndim >= 2]
    others = [parameter for parameter in learned if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
