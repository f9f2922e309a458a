"""Where words go: results to stdout, everything else to stderr; colour and bars only where a person looks.

NO_COLOR, FORCE_COLOR, TERM=dumb and COLUMNS are honoured, by rich.
"""

import errno
import sys
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def _console(file: IO[str]) -> "Console":
    from rich.console import Console

    return Console(file=file, highlight=False, soft_wrap=not file.isatty(), emoji=False, markup=False)


def results() -> "Console":
    """The console of results. Off a terminal nothing is wrapped or cut."""
    return _console(sys.stdout)


def log() -> "Console":
    """The console of progress, notes and errors."""
    return _console(sys.stderr)


def print_json(value: Any) -> None:
    """One JSON document on stdout, the characters as they are. A number that is none (NaN) becomes null."""
    import json

    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def fail(message: str) -> None:
    """Say what went wrong. The first line is red where colour is."""
    first, _, rest = message.partition("\n")
    console = log()
    console.print(first, style="bold red")
    if rest:
        console.print(rest)


def os_fault(error: OSError) -> str:
    """A fault of the machine in one sentence with its way out."""
    place = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{place}no space is left on the disk\nhelp: free some space and run the same command again"
    return f"{place}{error.strerror or error}"
