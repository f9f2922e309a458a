"""The learning rate as a pure function of how far the run has come: no scheduler keeps a state, so resume needs none.

Units: a run is measured on one axis, in optimizer steps, or in minutes where its duration is written in minutes.
Errors: none; what cannot be compared was refused by the spec.
Sources: Loshchilov & Hutter 2017, arXiv:1608.03983 (cosine); Vaswani et al. 2017, arXiv:1706.03762, eq. 3
(inverse_sqrt); Smith & Topin 2019, arXiv:1708.07120 (one_cycle). torch's own schedulers count by calls and keep a
state; several popular ones give the first step a rate of 0, or the last, so that step would be computed for nothing.
"""

import math
from dataclasses import dataclass
from typing import assert_never

from attncli.spec import training as spec
from attncli.spec.base import Time


@dataclass(frozen=True)
class Pace:
    """How long a run is, and where a moment lies in it."""

    duration: Time
    per_epoch: int
    """Optimizer steps of an epoch."""

    @property
    def timed(self) -> bool:
        """Whether the axis is minutes."""
        return self.duration.unit == "minutes"

    @property
    def unit(self) -> float:
        """What the first step adds to the axis: a step is counted when it is begun, a minute when it has passed."""
        return 0.0 if self.timed else 1.0

    @property
    def end(self) -> float:
        """The length of the run on its axis."""
        return self.span(self.duration)

    def span(self, time: Time) -> float:
        """A stretch of time on the axis of this run."""
        if time.unit == "percent" and self.timed:
            return time.amount / 100 * self.end
        if time.unit == "minutes":
            return time.amount
        total = 0 if time == self.duration else int(self.end)
        return float(time.steps(total=total, per_epoch=self.per_epoch))

    def at(self, step: int, elapsed: float) -> float:
        """The place on the axis when `step` steps are done and `elapsed` seconds have passed."""
        return elapsed / 60 if self.timed else float(step)

    def share(self, step: int, elapsed: float) -> float:
        """The part of the run that is done; 1 and above at its end."""
        return self.at(step, elapsed) / self.end

    def passed(self, every: Time, step: int, elapsed: float) -> int:
        """How many stretches of `every` have passed."""
        if every.unit in ("steps", "epochs"):
            return step // every.steps(total=0, per_epoch=self.per_epoch)
        return int(self.at(step, elapsed) / max(self.span(every), self.unit))


def factor(schedule: spec.Schedule, pace: Pace, at: float) -> float:
    """The share of the peak rate at `at`, the number of the step (1 is the first) or the minutes passed."""
    match schedule:
        case spec.StepDecay():
            done = at - pace.unit - pace.span(schedule.start)
            return 1.0 if done < 0 else schedule.factor ** (1 + done // pace.span(schedule.every))
        case spec.OneCycle():
            return _one_cycle(schedule, (at - pace.unit) / pace.end)
        case _:
            warmup = pace.span(schedule.warmup)
            return at / warmup if at < warmup else _after_warmup(schedule, pace, at, warmup)


def _after_warmup(
    schedule: spec.Cosine | spec.LinearDecay | spec.InverseSqrt | spec.Constant, pace: Pace, at: float, warmup: float
) -> float:
    # The decays reach their floor one unit after the end, so that the last step is not idle.
    done = min(1.0, (at - warmup) / max(pace.end + pace.unit - warmup, 1e-12))
    match schedule:
        case spec.Cosine():
            return schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * done)) / 2
        case spec.LinearDecay():
            return schedule.floor + (1 - schedule.floor) * (1 - done)
        case spec.InverseSqrt():
            return math.sqrt(warmup / at)
        case spec.Constant():
            return 1.0
        case _:
            assert_never(schedule)


def _one_cycle(schedule: spec.OneCycle, done: float) -> float:
    if done < schedule.rise:
        return schedule.start + (1 - schedule.start) * (1 - math.cos(math.pi * done / schedule.rise)) / 2
    return (1 + math.cos(math.pi * min(1.0, (done - schedule.rise) / (1 - schedule.rise)))) / 2
