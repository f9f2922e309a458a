"""A folder for one trainer: made, reused, or refused; never shared, never overwritten unasked."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attncli.errors import RunError
from attncli.training.checkpoint import list_checkpoints
from attncli.training.journal import EVENTS, HEADS, METRICS, TIMINGS
from attncli.training.keeper import BEST, CHECKPOINTS, LAST

SEAL = "resolved.yaml"
"""Written after all that precedes step 1, so a folder that has it is a run."""

SPEC, ENVIRONMENT, PLAN, PICTURE, LOCK = "spec.yaml", "environment.json", "plan.json", "loss.png", ".lock"
START = "start.json"
_OWN = (SPEC, START, SEAL, ENVIRONMENT, PLAN, PICTURE, METRICS, TIMINGS, HEADS, LAST, BEST, "labels.json")
_OWN_FOLDERS = (CHECKPOINTS, EVENTS)
WAYS = {
    "--run DIR": "--resume continues it, --force replaces it, --run DIR trains elsewhere",
    "--out RUN2": "--force replaces it, --out RUN2 writes elsewhere",
}
"""Out of a folder that holds a run, by the flag that names it."""


@contextmanager
def claim(folder: Path, *, resume: bool, force: bool, flag: str = "--run DIR") -> Iterator[bool]:
    """Hold a run folder while training; gives whether it holds a run to be continued. `flag` names it to the user.

    RunError if it is somebody's run and neither flag was given, if it is something else, or if another trainer has it.
    """
    _refuse_foreign(folder, flag)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = (folder / LOCK).read_text(errors="replace").strip() or "unknown"
            rule = f"{folder}: another attncli is training here (process {holder})"
            raise RunError(rule, help=f"wait for it, stop it, or train elsewhere with {flag}") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n".encode())
        lock.flush()
        there = (folder / SEAL).exists()
        if there and not (resume or force):
            raise RunError(_taken(folder), help=WAYS[flag])
        if force or not there:
            _clear(folder)
        yield there and not force


def _refuse_foreign(folder: Path, flag: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: this is a file, not a run folder", help=f"name another folder with {flag}")
    if not folder.exists() or (folder / SEAL).exists():
        return
    foreign = [path.name for path in folder.iterdir() if not _is_own(path)]
    if foreign:
        rule = f"{folder}: this folder is no run and not empty (it holds '{sorted(foreign)[0]}')"
        raise RunError(rule, help=f"name a new folder with {flag}")


def _is_own(path: Path) -> bool:
    """Whether a run would have made this."""
    name = path.name
    if path.is_dir() and not path.is_symlink():
        return name in _OWN_FOLDERS
    tokenizer = name.startswith("tokenizer") and name.endswith(".json")
    return name in _OWN or tokenizer or name == LOCK or name.endswith(".partial")


def _taken(folder: Path) -> str:
    steps = [checkpoint.step for checkpoint in list_checkpoints(folder / CHECKPOINTS)]
    return f"{folder}: there is a run here already ({f'at step {steps[-1]}' if steps else 'without a checkpoint'})"


def _clear(folder: Path) -> None:
    """Remove what a run made; the seal goes first, so that half a run is none. What others put there stays."""
    (folder / SEAL).unlink(missing_ok=True)
    for path in list(folder.iterdir()):
        if path.name == LOCK or not _is_own(path):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
