"""The two journals of a run, and TensorBoard's copy of them.

    metrics.jsonl   what a clock and the machine do not decide: equal, byte for byte, in a run that was stopped
    timings.jsonl   speed, times, memory

A checkpoint remembers how long both were. Resume cuts them there, so that nothing is said twice, and writes
TensorBoard's events anew from them.
"""

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

METRICS, TIMINGS, EVENTS = "metrics.jsonl", "timings.jsonl", "tensorboard"

Line = dict[str, Any]


class Journal:
    """A file of JSON lines that can be cut back."""

    def __init__(self, path: Path, keep: int) -> None:
        """Open for writing behind the first `keep` bytes."""
        self._file = path.open("ab")
        self._file.truncate(min(keep, self._file.seek(0, os.SEEK_END)))

    def write(self, line: Line) -> None:
        """Add a line; it outlives the process from here on."""
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def sync(self) -> int:
        """Make all lines durable; returns the length in bytes."""
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_lines(path: Path) -> list[Line]:
    """The lines of a journal; a torn last one is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


class Journals:
    """metrics.jsonl, timings.jsonl and TensorBoard's events, written together."""

    def __init__(self, folder: Path, *, metrics_bytes: int, timings_bytes: int) -> None:
        self._metrics = Journal(folder / METRICS, metrics_bytes)
        self._timings = Journal(folder / TIMINGS, timings_bytes)
        self._events = Events(folder / EVENTS)
        times = {line["step"]: line["time"] for line in read_lines(folder / TIMINGS)}
        for line in read_lines(folder / METRICS) + read_lines(folder / TIMINGS):
            self._events.write(line, times.get(line["step"], 0.0))

    def metrics(self, line: Line) -> None:
        """Add a line of metrics."""
        self._metrics.write(line)
        self._events.write(line, time.time())

    def timings(self, line: Line) -> None:
        """Add a line of timings, with the time of day."""
        now = time.time()
        line = {**line, "time": round(now, 3)}
        self._timings.write(line)
        self._events.write(line, now)

    def sync(self) -> tuple[int, int]:
        """Make both journals durable; returns their lengths."""
        return self._metrics.sync(), self._timings.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for part in (self._metrics, self._timings, self._events):
            part.close()


class Events:
    """TensorBoard's event file: a scalar for every number of a line, named `<split>/<number>`."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = EventFileWriter(str(folder))

    def write(self, line: Line, when: float) -> None:
        """Add the numbers of a line."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        split = line.get("split", "timings")
        numbers = {name: value for name, value in line.items() if name not in ("step", "split", "time")}
        summary = Summary(value=[Summary.Value(tag=f"{split}/{name}", simple_value=v) for name, v in numbers.items()])
        self._writer.add_event(Event(wall_time=when, step=line["step"], summary=summary))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()
