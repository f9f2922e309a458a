"""Scores on the validation data: the loss over all its predicted places, and the task's own metrics."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from attncli.data.batches import Batches
from attncli.nn.model import Model
from attncli.spec.run import Run
from attncli.spec.tasks import Pooled, Tagging
from attncli.training.machine import seed_random
from attncli.training.memory import memory_of
from attncli.training.parts import split
from attncli.training.steps import Stepper

Scores = dict[str, float]
Metrics = Callable[[Model], Scores]
"""The task's own metrics of a model on the validation data."""


def accuracy_name(run: Run) -> str:
    """What the share of right predictions is called in this task."""
    return "accuracy" if isinstance(run.task, (Pooled, Tagging)) else "token_accuracy"


class Validation:
    """Loss (as in training: smoothed, with what attentions add), perplexity (of the likelihood) and accuracy, then
    what `metrics` adds. What an attention adds to the loss is told by its address: `decoder.cross_attention.loss`."""

    def __init__(self, run: Run, model: Model, stepper: Stepper, batches: Batches, metrics: Metrics | None) -> None:
        self.run, self.model, self.stepper, self.batches, self.metrics = run, model, stepper, batches, metrics
        early = run.train.early_stopping
        self.metric = early.metric if early else "loss"
        """What decides which checkpoint is best."""

    def scores(self, droppable: AbstractContextManager[None]) -> Scores:
        """Score the weights that will be used: the running mean where there is one.

        Only the scoring is `droppable`: a signal amid the exchange of the weights would leave a mixture.
        """
        ema = self.stepper.ema
        self.model.eval()
        try:
            with nullcontext() if ema is None else ema.applied(), droppable:
                return self._scores()
        finally:
            self.model.train()

    @torch.no_grad()
    def _scores(self) -> Scores:
        sums: list[torch.Tensor] = []
        costs: dict[str, float] = {}
        memory = memory_of(self.model, self.stepper.device)  # of its own, empty at the first batch
        for _, given in self.batches.in_order():  # the tokens hidden are the same each time
            batch = {name: stream.to(self.stepper.device) for name, stream in given.items()}
            batch, left = batch if memory is None else memory.given_to(batch), []
            for part in split(batch, self.run.train.batch.accumulate):
                with self.stepper.context():
                    made = self.model.made(part)
                    losses = self.model.losses_of(made, part)
                left.append(made[self.model.head_stack])
                columns = (losses.loss, losses.nll, losses.count, losses.correct)
                sums.append(torch.stack([column.float() for column in columns]))
                for address, cost in losses.costs.items():
                    costs[address] = costs.get(address, 0.0) + float(cost)
            if memory is not None:
                memory.keep(left)
        loss, nll, count, correct = (math.fsum(column) for column in zip(*torch.stack(sums).tolist(), strict=True))
        count = max(count, 1)
        scores = {"loss": loss / count} | {f"{address}.loss": cost / count for address, cost in costs.items()}
        if accuracy_name(self.run) == "token_accuracy":
            scores["perplexity"] = math.exp(min(nll / count, 700.0))
        scores[accuracy_name(self.run)] = correct / count
        if self.metrics is not None:
            seed_random(self.run.seed, "validation")
            scores |= self.metrics(self.model)
        return scores
