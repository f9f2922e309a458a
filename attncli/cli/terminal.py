"""Where words go: results to stdout, everything else to stderr; colour and bars only where a person looks.

NO_COLOR, FORCE_COLOR, TERM=dumb and COLUMNS are honoured, by rich.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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

    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The value as JSON can say it: a number that is none becomes null, a tuple a list."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def hear_warnings(say: Callable[[str], None] | None = None) -> None:
    """What the data package notices (rows left out, a table without a header) joins the log."""
    told = log().print if say is None else say

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told(record.getMessage())

    logger = logging.getLogger("attncli")
    logger.handlers = [Heard()]
    logger.setLevel(logging.INFO)
    logger.propagate = False


@contextmanager
def progress(unit: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told (done, total), where a person looks; nothing elsewhere."""
    console = log()
    if quiet or not console.file.isatty() or console.is_dumb_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        MofNCompleteColumn(), TextColumn(unit), BarColumn(bar_width=None), TimeRemainingColumn(), console=console,
        transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task(unit, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def fail(message: str) -> None:
    """Say what went wrong. The first line is red where colour is."""
    first, _, rest = message.partition("\n")
    console = log()
    console.print(first, style="bold red")
    if rest:
        console.print(rest)


_ILL_NAMED = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENAMETOOLONG,
    )
)


def os_fault(error: OSError) -> tuple[str, int]:
    """A fault of the machine in one sentence with its way out, and its exit code: 2 where another name would do."""
    place = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{place}no space is left on the disk\nhelp: free some space and run the same command again", 1
    rule = f"{place}{error.strerror or error}"
    if error.errno in _ILL_NAMED:
        return f"{rule}\nhelp: name a place that can be read and written", 2
    return rule, 1


def refuse_missing(flag: str, path: Path | None) -> None:
    """Before anything is computed: a file of rows that a flag names must be there; a pattern names several."""
    from glob import has_magic

    from attncli.errors import InputError

    if path is not None and not (path.exists() or "{" in str(path) or has_magic(str(path))):
        raise InputError(f"{flag} {path}: there is no such file", help="name a file with the columns of the spec")


def refuse_unwritable(flag: str, path: Path) -> None:
    """Before anything is computed for it: the folder that is there, of those above a path, must take new files."""
    from attncli.errors import InputError

    above = next(folder for folder in (path.absolute(), *path.absolute().parents) if os.path.lexists(folder))
    if above == path.absolute() and not path.is_dir():
        above = above.parent
    if not above.is_dir():
        raise InputError(f"{flag} {path}: {above} is a file, not a folder", help=f"name another place with {flag}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{flag} {path}: {above} cannot be written to", help=f"name another place with {flag}")
