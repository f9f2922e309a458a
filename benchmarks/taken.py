"""What a piece of work takes in a process of its own: seconds, and the most memory beyond what the process held.

Processes come from a server that has imported torch and never computed, so none inherits another's memory, and they
take turns.
"""

import ctypes
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from attncli.training.machine import use_threads

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["benchmarks.taken"])


class Taken(NamedTuple):
    """Of one piece of work."""

    seconds: float
    bytes: int
    found: Any


class Apart:
    """A process in which `build(*words)` has made a piece of work, which is done whenever this is called."""

    def __init__(self, build: Callable[..., Callable[[], Any]], *words: object) -> None:
        self._pipe, theirs = SERVER.Pipe()
        self._process = SERVER.Process(target=_serve, args=(theirs, build, words), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self) -> Taken:
        self._pipe.send(True)
        taken: Taken = self._pipe.recv()
        return taken

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection, build: Callable[..., Callable[[], Any]], words: tuple[object, ...]) -> None:
    use_threads(None)
    work = build(*words)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        before, began = _fresh(), time.perf_counter()
        found = work()
        pipe.send(Taken(time.perf_counter() - began, _status("VmHWM") - before, found))


def _fresh() -> int:
    """Bytes that the process holds after what was freed is given back, from where its most is counted anew."""
    if sys.platform != "linux":
        return _status("VmHWM")
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    """Bytes of a line of /proc/self/status; where there is none, the most that the process held so far.

    Not ru_maxrss where it can be helped: a process begins with that of the one which started it.
    """
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))
