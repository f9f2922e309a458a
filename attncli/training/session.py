"""The loop: settle what the last step owes (report, evaluation, checkpoint), then take the next step.

A step is a pure function of the named states: its batch of (seed, epoch, index), its dropout of (seed, step), its rate
of the step (or of the minutes passed, where the duration is written in minutes). What a step owes is decided from the
states too, so a run that was killed anywhere and resumed from its last checkpoint says and does the same again.
"""

import time
from typing import Literal

from attncli.data.batches import Batches
from attncli.spec.run import Run
from attncli.spec.tasks import Scheduled
from attncli.streams import Batch
from attncli.training.ahead import Ahead
from attncli.training.checkpoint import Checkpoint
from attncli.training.film import Film
from attncli.training.forcing import chance, with_own_tokens
from attncli.training.keeper import Keeper
from attncli.training.machine import seed_random
from attncli.training.parts import tokens_of
from attncli.training.progress import Clock, Progress, Window
from attncli.training.reports import Reporter
from attncli.training.schedules import Pace, factor
from attncli.training.signals import Signals, Stopped
from attncli.training.states import State
from attncli.training.steps import Stepper
from attncli.training.validation import Validation

Reason = Literal["duration", "patience", "steps", "signal"]
"""Why a session ends: the duration is over, patience is out, --steps are done, or a signal came."""


class Session:
    """A run from its newest checkpoint to where it ends or is stopped."""

    def __init__(self, run: Run, stepper: Stepper, batches: Batches, keeper: Keeper, *, limit: int | None) -> None:
        self.run, self.train = run, run.train
        self.stepper, self.batches, self.keeper = stepper, batches, keeper
        self.limit = limit
        self.pace = Pace(self.train.duration, batches.per_epoch)
        self.progress = Progress(report_every=_report_every(self.pace))
        self.clock = Clock()
        self.window = Window(self.progress.report_every, stepper.device)
        self.film: Film | None = None
        self._epoch, self._groups = -1, 0
        self._ahead = Ahead(lambda epoch, index: self.batches.batch(epoch, index), stepper.device)

    def states(self) -> dict[str, State]:
        """The registry: all that affects the next step."""
        own: dict[str, State] = {"progress": self.progress, "window": self.window, "clock": self.clock}
        return self.stepper.states() | own

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint."""
        self.progress.load_state_dict(checkpoint.values()["progress"])
        self.window = Window(self.progress.report_every, self.stepper.device)
        checkpoint.restore(self.states())
        self.keeper.saved = self.progress.step

    def go(self, reporter: Reporter, validation: Validation | None, signals: Signals) -> Reason:
        """Train until the run, the session or the patience ends; the state is saved then."""
        self.reporter, self.validation, self.signals = reporter, validation, signals
        self._began = time.monotonic() - self.clock.elapsed
        reporter.begin(self.pace, self.progress, self.clock, limit=self.limit)
        self.stepper.model.train()
        try:
            reason = self._until_over()
        except Stopped:
            reason = "signal"
        finally:
            self._ahead.close()
        if self.keeper.saved != self.progress.step:
            self._save()
        if self.window.used:  # for the reader of a run that is not over; resume cuts it off again
            reporter.report(self.window)
        return reason

    def _until_over(self) -> Reason:
        while True:
            self._settle()
            if self._finished():
                return "duration" if self._out_of_time() else "patience"
            if self.signals.received:
                return "signal"
            if self.limit is not None and self.progress.step >= self.limit:
                return "steps"
            self._step()

    def _settle(self) -> None:
        """Report, evaluate and save, as far as this step owes it and has not done it."""
        progress = self.progress
        if self.window.full or (self.window.used and self._finished()):
            self.reporter.report(self.window)
        chosen = self._evaluate() if self._evaluation_due() else False
        if self.window.used and self._finished():  # patience may have run out just now
            self.reporter.report(self.window)
        due = chosen or self._finished() or (progress.step > 0 and progress.step % self.train.checkpoints.every == 0)
        if due and self.keeper.saved != progress.step:
            self._save()

    def _step(self) -> None:
        progress, step = self.progress, self.progress.step + 1
        batch = self._batch()
        seed_random(self.run.seed, "dropout", step)
        forcing = getattr(self.run.task, "teacher_forcing", "always")
        if isinstance(forcing, Scheduled):
            own = chance(forcing, self.pace, self.pace.at(step - 1, self._seconds()))
            with self.stepper.context():
                batch = with_own_tokens(self.stepper.model, batch, own) if own else batch
        with self.signals.droppable(at=2):
            sums = self.stepper.gradients(batch)
        share = factor(self.train.schedule, self.pace, self.pace.at(step, self._seconds()))
        norm = self.stepper.update(self.train.learning_rate * share, step)
        progress.step, progress.index, progress.rate = step, progress.index + 1, self.train.learning_rate * share
        progress.tokens += tokens_of(batch)
        self.window.record(*sums, norm)
        self.clock.elapsed = self._seconds()
        self.reporter.look(self.window)
        if self.film is not None and self.train.watch is not None and step % self.train.watch.every == 0:
            self.reporter.film(self.film)

    def _batch(self) -> Batch:
        """The next batch: its place is (epoch, index), and nothing is remembered of those before."""
        progress = self.progress
        while progress.index >= self._batches_of(progress.epoch):
            progress.epoch, progress.index = progress.epoch + 1, 0
        if progress.index == 0 and self.stepper.memory is not None:
            self.stepper.memory.clear()
        place, last = (progress.epoch, progress.index), progress.index + 1 >= self._batches_of(progress.epoch)
        return self._ahead.batch(place, None if last else (place[0], place[1] + 1))

    def _batches_of(self, epoch: int) -> int:
        if self._epoch != epoch:
            self._epoch, self._groups = epoch, len(self.batches.epoch(epoch))
        return self._groups

    def _evaluation_due(self) -> bool:
        if self.validation is None or self.progress.step == 0:
            return False
        pending = self._stretches() != self.progress.evaluations
        return pending or (self._finished() and self.progress.evaluated != self.progress.step)

    def _evaluate(self) -> bool:
        """Score the validation data; true if this step is now among the best. A signal breaks it off, undone."""
        assert self.validation is not None
        began = time.monotonic()
        scores = self.validation.scores(self.signals.droppable(at=1))
        chosen = self.progress.score(self.validation.metric, scores[self.validation.metric], self.train.checkpoints)
        self.progress.evaluations, self.progress.evaluated = self._stretches(), self.progress.step
        self.reporter.validation(scores, seconds=time.monotonic() - began, best=self.progress.stale == 0)
        return chosen

    def _save(self) -> None:
        began = time.monotonic()
        self.reporter.refuse_nonsense(self.window)
        self.clock.elapsed = self._seconds()
        self.progress.metrics_bytes, self.progress.timings_bytes = self.reporter.journals.sync()
        self.keeper.save(self.states(), self.progress)
        self.reporter.saved(seconds=time.monotonic() - began)

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _stretches(self) -> int:
        return self.pace.passed(self.run.evaluate.every, self.progress.step, self.clock.elapsed)

    def _out_of_time(self) -> bool:
        return self.pace.share(self.progress.step, self.clock.elapsed) >= 1

    def _finished(self) -> bool:
        return self._out_of_time() or self.progress.out_of_patience(self.train.early_stopping)


def _report_every(pace: Pace) -> int:
    """Steps of a report: about a hundred reports a run, at least every fifty steps."""
    return 10 if pace.timed else min(50, max(1, int(pace.end) // 100))
