"""Checkpoints that a crash cannot tear: written aside, made durable, renamed; checked against their manifest when read.

    checkpoints/step-00001000/   <state>.safetensors   state.json   MANIFEST.json (sizes, sha256)

Nothing is pickled. A folder appears under its name whole or not at all, since a rename is atomic; each file, the folder
and its parent are fsynced, so that what appeared survives a loss of power.
Errors: WorkError where the disk is full or refuses, RunError where what is read is damaged.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from attncli.errors import RunError, WorkError
from attncli.training.durable import sync_folder, write_durably
from attncli.training.states import Registry

MANIFEST = "MANIFEST.json"
_STATE = "state.json"
_ASIDE, _REPLACED = ".partial", ".replaced"


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint on the disk, sound or not."""

    path: Path
    step: int

    def fault(self) -> str | None:
        """What is wrong with its files by its manifest; None if nothing is."""
        try:
            listed = json.loads((self.path / MANIFEST).read_bytes())["files"].items()
            for name, entry in listed:
                file = self.path / name
                size, written = file.stat().st_size, entry["bytes"]
                if size != written:
                    return f"{name} has {size} bytes, {written} were written"
                if _sha256(file) != entry["sha256"]:
                    return f"{name} is not what was written (its sha256 differs)"
        except FileNotFoundError as error:
            return f"{Path(str(error.filename)).name} is missing"
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return f"{MANIFEST} cannot be read"
        return None

    def tensors(self, state: str) -> dict[str, Tensor]:
        """The tensors of a state, on the host; none if it has none."""
        file = self.path / f"{state}.safetensors"
        return load_file(file) if file.exists() else {}

    def values(self) -> dict[str, dict[str, Any]]:
        """The plain values of all states."""
        values: dict[str, dict[str, Any]] = json.loads((self.path / _STATE).read_bytes())["states"]
        return values

    def served(self) -> dict[str, Tensor]:
        """The weights that the model is used with: the running mean of the parameters where there is one."""
        return self.tensors("model") | self.tensors("ema")

    def restore(self, states: Registry) -> None:
        """Give every state what it was when this checkpoint was written."""
        values = self.values()
        for name, state in states.items():
            if name not in values:
                raise RunError(f"{self.path}: {_STATE} has no state '{name}'", help="start another run with --run DIR")
            state.load_state_dict(self.tensors(name) | values[name])


def step_name(step: int) -> str:
    """The name of a checkpoint's folder; names sort as steps do."""
    return f"step-{step:08d}"


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """Every checkpoint by its step, sound or not."""
    found = [Checkpoint(path, int(path.name[5:])) for path in folder.glob("step-*") if path.name[5:].isdigit()]
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def newest_sound(folder: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The last checkpoint whose files are what was written; the damaged ones after it are named."""
    for checkpoint in reversed(list_checkpoints(folder)):
        fault = checkpoint.fault()
        if fault is None:
            return checkpoint
        say(f"{checkpoint.path}: skipped, {fault}")
    return None


def write_checkpoint(folder: Path, step: int, states: Registry) -> Checkpoint:
    """Write all states of a step. If that fails nothing that was there before has changed."""
    final, aside = folder / step_name(step), folder / f".{step_name(step)}{_ASIDE}"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        _write_files(aside, step, states)
        replaced = folder / f".{step_name(step)}{_REPLACED}"
        if final.exists():  # a step is written again where its evaluation came after a stop
            final.rename(replaced)
        aside.rename(final)
        sync_folder(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise WorkError(*_not_written(folder, step, error)) from error
    return Checkpoint(final, step)


def sweep(folder: Path) -> None:
    """Clear what a killed writer left, and put back what it was about to replace."""
    for path in folder.glob(f".step-*{_REPLACED}"):
        final = folder / path.name.removeprefix(".").removesuffix(_REPLACED)
        if final.exists():
            shutil.rmtree(path)
        else:
            path.rename(final)
    for path in folder.glob(f".step-*{_ASIDE}"):
        shutil.rmtree(path)


def prune(folder: Path, *, now: int, keep_last: int, keep: set[int]) -> None:
    """Remove all up to step `now` but the last few and those of the steps to keep."""
    found = [checkpoint for checkpoint in list_checkpoints(folder) if checkpoint.step <= now]
    for checkpoint in found[:-keep_last]:
        if checkpoint.step not in keep:
            gone = folder / f".{checkpoint.path.name}{_ASIDE}"  # hidden first: half a folder must not look like a whole
            checkpoint.path.rename(gone)
            shutil.rmtree(gone)


def mean_of(checkpoints: list[Checkpoint]) -> dict[str, Tensor]:
    """The mean of the served weights, in float64, given back in their own type."""
    total: dict[str, Tensor] = {}
    for checkpoint in checkpoints:
        for name, tensor in checkpoint.served().items():
            total[name] = total[name] + tensor.double() if name in total else tensor.double()
    kinds = {name: tensor.dtype for name, tensor in checkpoints[-1].served().items()}
    return {name: (tensor / len(checkpoints)).to(kinds[name]) for name, tensor in total.items()}


def _write_files(aside: Path, step: int, states: Registry) -> None:
    plain: dict[str, dict[str, Any]] = {}
    for name, state in states.items():
        entries = state.state_dict()
        tensors = {key: value for key, value in entries.items() if isinstance(value, Tensor)}
        plain[name] = {key: value for key, value in entries.items() if key not in tensors}
        if tensors:
            _save_tensors(aside / f"{name}.safetensors", tensors)
    write_durably(aside / _STATE, json.dumps({"step": step, "states": plain}, indent=1).encode())
    files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(aside.iterdir())}
    write_durably(aside / MANIFEST, json.dumps({"format": 1, "step": step, "files": files}, indent=1).encode())
    sync_folder(aside)


def _save_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file)
    with file.open("rb") as written:
        os.fsync(written.fileno())
    file.chmod(
        file.parent.stat().st_mode & 0o666
    )  # safetensors lets only the owner read; the folder has the user's umask


def _sha256(file: Path) -> str:
    with file.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def _not_written(folder: Path, step: int, error: Exception) -> tuple[str]:
    good = [checkpoint for checkpoint in list_checkpoints(folder) if checkpoint.fault() is None]
    left = f"the last good one is {good[-1].path.name}" if good else "there is no earlier one"
    return (
        f"{folder}: the checkpoint of step {step} was not written: {error}\n{left}\n"
        "help: free some space on the disk, then run the same command with --resume",
    )
