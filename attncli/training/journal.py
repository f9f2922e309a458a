"""The journals of a run, and TensorBoard's copy of them.

    metrics.jsonl   what a clock and the machine do not decide: equal, byte for byte, in a run that was stopped
    timings.jsonl   speed, times, memory
    heads.jsonl     what heads do, where train.watch asks (attncli/training/film.py, which writes it)

A checkpoint remembers how long the first two were. Resume cuts them there, so that nothing is said twice, and writes
TensorBoard's events anew from them.
"""

import json
import os
import socket
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attncli.errors import RunError

METRICS, TIMINGS, HEADS, EVENTS = "metrics.jsonl", "timings.jsonl", "heads.jsonl", "tensorboard"

Line = dict[str, Any]


class Journal:
    """A file of JSON lines that can be cut back."""

    def __init__(self, path: Path, keep: int) -> None:
        """Open for writing behind the first `keep` bytes."""
        kept = path.read_bytes()[:keep] if path.exists() else b""
        self._file = path.open("ab")
        self._file.truncate(kept.rfind(b"\n") + 1)  # a line that somebody tore would spoil the next one

    def write(self, line: Line) -> None:
        """Add a line; it outlives the process from here on."""
        self._file.write(written(line))
        self._file.flush()

    def sync(self) -> int:
        """Make all lines durable; returns the length in bytes."""
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def written(line: Line) -> bytes:
    """A line as it stands in the file."""
    return json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def read_lines(path: Path) -> list[Line]:
    """The lines of a journal; a torn last one is left out. RunError names a line that no run has written."""
    if not path.exists():
        return []
    lines: list[Line] = []
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or "step" not in line:
            rule = f"{path}:{number}: this line is not what the run has written"
            raise RunError(rule, help="put the file back, or delete this line and all behind it")
        lines.append(line)
    return lines


class Journals:
    """metrics.jsonl, timings.jsonl and TensorBoard's events, written together."""

    def __init__(self, folder: Path, *, metrics_bytes: int, timings_bytes: int) -> None:
        self._metrics = Journal(folder / METRICS, metrics_bytes)
        self._timings = Journal(folder / TIMINGS, timings_bytes)
        self._events = Events(folder / EVENTS)
        times = {line["step"]: line["time"] for line in read_lines(folder / TIMINGS)}
        for line in read_lines(folder / METRICS) + read_lines(folder / TIMINGS):
            self._events.write(line, times.get(line["step"], 0.0))
        for line in read_lines(folder / HEADS):
            self._events.write(_scalars(line), times.get(line["step"], 0.0))

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

    def heads(self, line: Line) -> None:
        """Show TensorBoard a line of heads.jsonl."""
        self._events.write(_scalars(line), time.time())

    def sync(self) -> tuple[int, int]:
        """Make both journals durable; returns their lengths."""
        return self._metrics.sync(), self._timings.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for part in (self._metrics, self._timings, self._events):
            with nullcontext() if error is None else suppress(OSError):  # a full disk must not hide what ended the run
                part.close()


def _scalars(line: Line) -> Line:
    """A line of heads.jsonl as one number a head and statistic."""
    return {"step": line["step"], "split": "heads", "alerts": len(line["alerts"])} | {
        f"{address}/{name}/{head}": value
        for address, statistics in line["heads"].items()
        for name, values in statistics.items()
        for head, value in enumerate(values)
    }


class Events:
    """TensorBoard's event file: a scalar for every number of a line, named `<split>/<number>`.

    TensorBoard's own EventFileWriter writes in a thread, whose traceback is all that a full disk leaves.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        file = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._writer = RecordWriter(file.open("wb"))
        self._writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())

    def write(self, line: Line, when: float) -> None:
        """Add the numbers of a line."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        split = line.get("split", "timings")
        numbers = {name: value for name, value in line.items() if name not in ("step", "split", "time")}
        summary = Summary(value=[Summary.Value(tag=f"{split}/{name}", simple_value=v) for name, v in numbers.items()])
        self._writer.write(Event(wall_time=when, step=line["step"], summary=summary).SerializeToString())
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()
