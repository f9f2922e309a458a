"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere, notes in both.

Nothing here is read by the run: what is shown follows the clock, what is written does not.
"""

import time
from typing import TYPE_CHECKING

from attncli.training.schedules import Pace

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_REFRESH = 0.25
"""Seconds between two looks at the run: reading the loss makes a GPU wait."""


class Display:
    """Progress and notes on one console. `quiet` says nothing, `verbose` adds details."""

    def __init__(self, console: "Console", *, quiet: bool = False, verbose: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._verbose = verbose
        self._waiting: list[str] = []
        self._saying = False
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._next = 0.0
        self._began = (0.0, 0.0)

    def note(self, text: str) -> None:
        """Say what a reader of the log should know."""
        if self._quiet:
            return
        self._waiting.append(text)
        if self._saying:  # a signal came amid a line: rich would lose one of the two
            return
        self._saying = True
        try:
            while self._waiting:
                self._console.print(self._waiting.pop(0))
        finally:
            self._saying = False

    def detail(self, text: str) -> None:
        """Say what only -v asks for."""
        if self._verbose:
            self.note(text)

    def begin(self, pace: Pace, at: float, limit: int | None) -> None:
        """The run goes on from `at`, this session to `limit` steps at most; a bar appears if a person looks."""
        self._began = (time.monotonic(), at)
        self._end = pace.end if limit is None or pace.timed else min(pace.end, max(at, float(limit)))
        self._unit = "min" if pace.timed else "steps"
        if self._quiet or not self._console.file.isatty() or self._console.is_dumb_terminal:
            return
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(TextColumn("{task.description}"), BarColumn(bar_width=None), console=self._console)
        self._task = self._bar.add_task(self._place(at), total=self._end)
        self._bar.update(self._task, completed=at)
        self._bar.start()

    @property
    def due(self) -> bool:
        """Whether the bar wants to be moved."""
        return self._bar is not None and time.monotonic() >= self._next

    def move(self, at: float, *, loss: float, rate: float, speed: float) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._next = time.monotonic() + _REFRESH
            self._bar.update(self._task, completed=at, description=self._line(at, loss, rate, speed))

    def report(self, at: float, *, loss: float, rate: float, speed: float) -> None:
        """A line where there is no bar."""
        if self._bar is None:
            self.note(self._line(at, loss, rate, speed))
        else:
            self.move(at, loss=loss, rate=rate, speed=speed)

    def validation(self, step: int, scores: dict[str, float], best: bool) -> None:
        """The scores of an evaluation."""
        written = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
        self.note(f"step {step}  validation: {written}{'  (best)' if best else ''}")

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _place(self, at: float) -> str:
        return f"{at:.1f}/{self._end:g} min" if self._unit == "min" else f"step {at:.0f}/{self._end:.0f}"

    def _line(self, at: float, loss: float, rate: float, speed: float) -> str:
        began, start = self._began
        left = (time.monotonic() - began) * (self._end - at) / (at - start) if at > start else 0.0
        return (
            f"{self._place(at)}  loss {loss:.4f}  {speed:,.0f} tokens/s  learning rate {rate:.2e}  {_clock(left)} left"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
