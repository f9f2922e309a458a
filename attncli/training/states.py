"""The named states that decide the next step. What is not in the registry is a pure function of the spec and the step.

A state is a flat mapping from names to tensors and plain values; a checkpoint keeps the tensors of the state `model`
in model.safetensors and its plain values in state.json.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from attncli.errors import RunError


class State(Protocol):
    """Whatever must survive from one step to the next."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values by name. The tensors may be the live ones."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Take over such a mapping, whose tensors may lie on another device."""
        ...


Registry = Mapping[str, State]


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters, shared ones once, and the buffers that are kept; by name, without history."""
    kept = model.state_dict().keys()
    named = dict(model.named_parameters()) | {name: b for name, b in model.named_buffers() if name in kept}
    return {name: tensor.detach() for name, tensor in named.items()}


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], *, place: str) -> None:
    """Copy tensors into a model of the same names and shapes. RunError names the first that does not fit."""
    own = weights(model)
    for name in sorted(own.keys() ^ tensors.keys()):
        where = "the file lacks it" if name in own else "the model has no such weight"
        raise RunError(f"{place}: {name}: {where}", help="the checkpoint was written by another spec")
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            given, wanted = list(tensors[name].shape), list(tensor.shape)
            raise RunError(f"{place}: {name} has the shape {given}, the model needs {wanted}")
        tensor.copy_(tensors[name])


class ModelState:
    """The weights of the model."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Any]:
        """The weights by name."""
        return dict(weights(self.model))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy weights in."""
        load_weights(self.model, state, place="model.safetensors")


class OptimizerState:
    """The optimizer's moments and counts, as `<parameter>.<what>`.

    The rate is a pure function of the step and everything else stands in the spec, so neither is kept.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        self.optimizer = optimizer
        self.names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}

    def state_dict(self) -> dict[str, Any]:
        """Every entry of every parameter that has been updated."""
        return {
            f"{self.names[parameter]}.{what}": value
            for parameter, entries in self.optimizer.state.items()
            for what, value in entries.items()
            if value is not None
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuild the entries through the optimizer's own loader, which puts each where its kernel wants it."""
        entries: dict[str, dict[str, Any]] = {}
        for key, value in state.items():
            name, _, what = key.rpartition(".")
            entries.setdefault(name, {})[what] = value.clone() if isinstance(value, Tensor) else value
        packed = self.optimizer.state_dict()
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        order = [number for group in packed["param_groups"] for number in group["params"]]
        packed["state"] = {
            number: entries[self.names[parameter]]
            for number, parameter in zip(order, parameters, strict=True)
            if self.names[parameter] in entries
        }
        self.optimizer.load_state_dict(packed)


class Ema:
    """A running mean of the parameters: e <- d e + (1 - d) w after each step, with d = min(decay, (1 + s) / (10 + s)).

    The ramp over the step s lets the mean forget the initial weights quickly, as in TensorFlow's.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = dict(model.named_parameters())
        self.mean = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.mean.values()), list(self.parameters.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the model has the mean weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.data, self.mean[name] = self.mean[name], parameter.data

    def state_dict(self) -> dict[str, Any]:
        """The means by the parameters' names."""
        return dict(self.mean)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy means in."""
        for name, mean in self.mean.items():
            mean.copy_(state[name])
