"""What a run says of itself: lines of metrics and timings, the display, and its end when the numbers are nonsense."""

import math
import time

from attncli.errors import WorkError
from attncli.spec.run import Run
from attncli.training.checkpoint import list_checkpoints
from attncli.training.display import Display
from attncli.training.film import Film
from attncli.training.journal import Journals
from attncli.training.keeper import Keeper
from attncli.training.machine import peak_memory
from attncli.training.progress import Clock, Progress, Window
from attncli.training.schedules import Pace
from attncli.training.steps import Stepper
from attncli.training.validation import Scores, accuracy_name

EXPLOSION = 10.0
"""A report whose loss is this many times the first report's (or, if that was below 1, above this) ends the run."""


class Reporter:
    """Speaks for one session."""

    def __init__(self, run: Run, stepper: Stepper, keeper: Keeper, journals: Journals, display: Display) -> None:
        self.run, self.keeper, self.journals, self.display = run, keeper, journals, display
        self.device = stepper.device
        self.forgiving = stepper.scaler is not None  # fp16 overflows now and then, and the scaler skips that step

    def begin(self, pace: Pace, progress: Progress, clock: Clock, *, limit: int | None) -> None:
        """Start to measure."""
        self.pace, self.progress, self.clock = pace, progress, clock
        self._restart()
        self.display.begin(pace, self._at(), limit)

    def look(self, window: Window) -> None:
        """After every step: cheap, and nothing that makes a GPU wait."""
        if self.device.type == "cpu":
            self.refuse_nonsense(window, last=1)
        if self.display.due:
            loss, count, *_ = window.values()[-1]
            self.display.move(self._at(), loss=loss / max(count, 1), rate=self.progress.rate, speed=self._speed())

    def report(self, window: Window) -> None:
        """The lines of the steps since the last report."""
        self.refuse_nonsense(window)
        progress = self.progress
        rows = [row for row in window.values() if all(map(math.isfinite, row))]
        loss, count, correct, norm = (math.fsum(column) for column in zip(*rows, strict=True))
        scores = {"loss": loss / max(count, 1), accuracy_name(self.run): correct / max(count, 1)}
        if progress.start_loss is None:
            progress.start_loss = scores["loss"]
        if scores["loss"] > EXPLOSION * max(progress.start_loss, 1.0):
            raise self._diverged(f"the loss has risen from {progress.start_loss:.4g} to {scores['loss']:.4g}")
        line = {
            "step": progress.step,
            "split": "train",
            "epoch": progress.epoch,
            **scores,
            "learning_rate": progress.rate,
        }
        if self.run.train.clip is not None:
            line["gradient_norm"] = norm / len(rows)
        self.journals.metrics({**line, "tokens": progress.tokens})
        self._report_speed(scores["loss"])
        window.clear()

    def _report_speed(self, loss: float) -> None:
        step, _, _ = self._before
        milliseconds = 1000 * self._trained() / max(self.progress.step - step, 1)
        self.journals.timings(
            {
                "step": self.progress.step,
                "elapsed": round(self.clock.elapsed, 3),
                "tokens_per_second": round(self._speed(), 1),
                "step_milliseconds": round(milliseconds, 3),
                "memory_megabytes": round(peak_memory(self.device), 1),
            }
        )
        self.display.report(self._at(), loss=loss, rate=self.progress.rate, speed=self._speed())
        self._restart()

    def validation(self, scores: Scores, *, seconds: float, best: bool) -> None:
        """The lines of an evaluation."""
        step = self.progress.step
        if not math.isfinite(scores["loss"]):
            raise self._diverged(f"the validation loss is {scores['loss']}")
        scores = {name: value for name, value in scores.items() if math.isfinite(value)}
        self.journals.metrics({"step": step, "split": "valid", **scores})
        self.journals.timings({"step": step, "validation_seconds": round(seconds, 3)})
        self.display.validation(step, scores, best)
        self._paused += seconds

    def film(self, film: Film) -> None:
        """A look at the heads, and what has become an alert."""
        began = time.monotonic()
        self.journals.heads(film.look(self.progress.step))
        for sign in film.news():
            self.display.note(f"step {self.progress.step}  {sign}")
        seconds = time.monotonic() - began
        self.journals.timings({"step": self.progress.step, "film_seconds": round(seconds, 4)})
        self._paused += seconds

    def saved(self, *, seconds: float) -> None:
        """The line of a checkpoint."""
        self.journals.timings({"step": self.progress.step, "checkpoint_seconds": round(seconds, 3)})
        self.display.detail(f"step {self.progress.step}  checkpoint written in {seconds:.2f} s")
        self._paused += seconds

    def refuse_nonsense(self, window: Window, *, last: int | None = None) -> None:
        """WorkError if a loss or a gradient (of all steps since the last report, or the last few) is no number."""
        rows = window.values() if last is None else window.values(last)
        bad = [place for place, row in enumerate(rows) if not all(map(math.isfinite, row))]
        if not bad or (self.forgiving and (len(bad) < len(rows) or not window.full)):
            return
        loss, count, _, norm = rows[bad[0]]
        step = self.progress.step - len(rows) + 1 + bad[0]
        what = f"the gradient's norm is {norm}" if math.isfinite(loss) else f"the loss is {loss / max(count, 1)}"
        raise self._diverged(what, step)

    def _diverged(self, what: str, step: int | None = None) -> WorkError:
        good = [checkpoint for checkpoint in list_checkpoints(self.keeper.folder) if checkpoint.fault() is None]
        left = f"the last good checkpoint is {good[-1].path}" if good else "no checkpoint had been written"
        return WorkError(
            f"step {self.progress.step if step is None else step}: training has diverged: {what}\n{left}",
            help="start again (--force, or another --run) with a lower train.learning_rate, a longer "
            "train.schedule.warmup, a smaller train.clip" + (", or precision: float32" if self.forgiving else ""),
        )

    def _restart(self) -> None:
        self._before = (self.progress.step, self.progress.tokens, time.monotonic())
        self._paused = 0.0

    def _trained(self) -> float:
        return max(time.monotonic() - self._before[2] - self._paused, 1e-9)

    def _speed(self) -> float:
        """Real tokens a second of training since the last report."""
        return (self.progress.tokens - self._before[1]) / self._trained()

    def _at(self) -> float:
        return self.pace.at(self.progress.step, self.clock.elapsed)
