"""The most memory that a piece of work takes, in a process of its own."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def most_memory(script: str, *words: object) -> int:
    """Bytes that `python -m script --memory words` tells of itself."""
    asked = [sys.executable, "-m", script, "--memory", *map(str, words)]
    said = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return int(said.split()[-1])


def tell(work: Callable[[], object]) -> None:
    """Print how far the most that the process held lies above what it held before the work."""
    before = _now()
    work()
    print(_most() - before)


def _now() -> int:
    """Bytes that the process holds, where the system tells it; else the most that it held."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return _most()
    return pages * resource.getpagesize()


def _most() -> int:
    """The most bytes that the process held so far; Linux counts in kibibytes, macOS in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
