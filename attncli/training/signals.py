"""Ctrl-C and SIGTERM ask the run to stop; where it stops is decided by the loop, so the checkpoint is always clean.

The first signal ends the run after the step that is being computed, and breaks off a validation. A second one drops the
step that is being computed: until its update begins, the weights are those of the last step.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Stopped(Exception):
    """Raised where work may be dropped, because a signal came."""


class Signals:
    """Catches SIGINT and SIGTERM while it is entered; outside the main thread it catches nothing."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.received: signal.Signals | None = None
        self._count = 0
        self._drop_at: int | None = None
        self._say = say
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        self.received = self.received or signal.Signals(number)
        if self._drop_at is not None and self._count >= self._drop_at:
            raise Stopped
        if self._count == 1:
            self._say(f"{self.received.name}: finishing the step, then writing a checkpoint; again drops the step")

    @contextmanager
    def droppable(self, at: int) -> Iterator[None]:
        """Within, the signal number `at` and later ones raise Stopped at once."""
        self._drop_at = at
        try:
            if self._count >= at:
                raise Stopped
            yield
        finally:
            self._drop_at = None
