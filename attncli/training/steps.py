"""One optimizer step: the gradient of Σ loss / Σ count over all its predicted places, clipped, then the update.

The sums run over the whole step, so cutting it into micro-batches changes rounding and nothing else.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from attncli.nn.model import Model
from attncli.nn.states import States
from attncli.spec.training import Train
from attncli.streams import Batch
from attncli.training.machine import autocast, compiled, low_precision
from attncli.training.memory import memory_of
from attncli.training.optimisers import build_optimizer
from attncli.training.parts import predicted, split
from attncli.training.states import Ema, ModelState, OptimizerState, State

Sums = tuple[Tensor, Tensor, Tensor]
"""Loss, count and correct of a step, summed over its predicted places, on the device."""


class Stepper:
    """The model with all that updates it. `one_shape`: all batches have the same sizes."""

    def __init__(self, model: Model, train: Train, device: torch.device, *, one_shape: bool = False) -> None:
        self.model = model
        self.train = train
        self.device = device
        self.low_precision = low_precision(train.precision, device)
        self.optimizer = build_optimizer(train.optimizer, model, learning_rate=train.learning_rate)
        self.ema = None if train.ema is None else Ema(model, train.ema)
        scaled = self.low_precision is torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=True) if scaled else None
        self._parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self.memory = memory_of(model, device)
        self._loads: dict[str, Tensor] = {}
        self._left: list[States] = []
        self._no_norm = torch.zeros((), device=device)
        # a recorded graph writes its outputs where those of the pass before were, which micro-batches still read
        alone = one_shape and train.batch.accumulate == 1 and self.memory is None
        self._made = compiled(model.made, device, one_shape=alone) if train.compile else model.made

    def states(self) -> dict[str, State]:
        """The named states of the model and of all that updates it."""
        states: dict[str, State] = {
            "model": ModelState(self.model),
            "optimizer": OptimizerState(self.optimizer, self.model),
        }
        if self.ema is not None:
            states["ema"] = self.ema
        if self.scaler is not None:
            states["scaler"] = self.scaler
        if self.memory is not None:
            states["memory"] = self.memory
        return states

    def context(self) -> AbstractContextManager[Any]:
        """The precision in which the model runs."""
        return autocast(self.low_precision, self.device)

    def gradients(self, batch: Batch) -> Sums:
        """Compute the gradient of a batch. Nothing of the run has changed until `update`."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.memory is not None:
            batch = self.memory.given_to(batch)
        parts = split(batch, self.train.batch.accumulate)
        count = predicted(batch)
        measured = []
        self._loads, self._left = {}, []
        for part in parts:
            with self.context():
                made = self._made(part)
                losses = self.model.losses_of(made, part)
            self._left.append(made[self.model.head_stack])
            mean = losses.loss / count
            torch.autograd.backward(mean if self.scaler is None else self.scaler.scale(mean))
            measured.append((losses.loss.detach(), losses.count, losses.correct))
            for address, load in losses.loads.items():
                self._loads[address] = self._loads.get(address, 0) + load
        if len(parts) == 1:
            return measured[0]
        loss, places, correct = (torch.stack(column).sum(0) for column in zip(*measured, strict=True))
        return loss, places, correct

    def update(self, rate: float, step: int) -> Tensor:
        """Clip and apply the gradient as step `step`; returns its norm before that, 0 where nothing is clipped."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        norm = self._no_norm
        if self.train.clip is not None:
            norm = nn.utils.clip_grad_norm_(self._parameters, self.train.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.model.settle(self._loads)
        if self.memory is not None:
            self.memory.keep(self._left)
        self._left = []
        if self.ema is not None:
            self.ema.update(step)
        return norm
