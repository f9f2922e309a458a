"""The records of a run beside its checkpoints: written before step 1, compared when it goes on.

spec.yaml         the file that the user named, byte for byte
resolved.yaml     the spec with every default, paths made absolute; written last, as the seal of a whole folder
environment.json  versions, machine, device, threads, commit, fingerprints of the data
plan.json         the kernel of each attention in training and in use, and why
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from attncli.errors import RunError
from attncli.nn.model import Model
from attncli.spec.load import Loaded, load_spec
from attncli.spec.run import Run
from attncli.training.claim import SEAL, SPEC
from attncli.training.durable import write_durably

MAY_CHANGE = ("train.duration", "train.checkpoints", "train.early_stopping", "train.watch", "evaluate")
"""What a run may be continued with another value of."""

Record = dict[str, Any]


def write_spec(folder: Path, loaded: Loaded, source: bytes) -> None:
    """Keep the user's text and what it means."""
    write_durably(folder / SPEC, source)
    write_durably(folder / SEAL, loaded.resolved().encode())


def compare_spec(folder: Path, run: Run) -> list[str]:
    """The keys whose value is not the run's; RunError if one of them would make it another run."""
    before = dict(_leaves(load_spec(folder / SEAL).run.model_dump(mode="json")))
    now = dict(_leaves(run.model_dump(mode="json")))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    barred = [key for key in changed if not key.startswith(MAY_CHANGE)]
    if barred:
        lines = "\n".join(f"  {key}: {_say(before.get(key))} in the run, {_say(now.get(key))} now" for key in barred)
        rule = f"{folder}: the spec is not the one that this run was started with\n{lines}"
        raise RunError(rule, help="train it as a run of its own with --run DIR, or replace this one with --force")
    return [f"{key}: {_say(before.get(key))} -> {_say(now.get(key))}" for key in changed]


def plan_of(model: Model, *, device: str, dtype: str) -> Record:
    """The kernel of each attention in training and in use, and why.

    Batches differ in size, so it is told of no size: the reasons name the size from which on another kernel serves.
    """
    return {
        address: {
            phase: asdict(attention.plan(device=device, dtype=dtype, training=phase == "train", size=None))
            for phase in ("train", "eval")
        }
        for address, attention in model.attentions().items()
    }


def write_record(folder: Path, name: str, record: Record) -> None:
    """Keep a record as JSON."""
    write_durably(folder / name, (json.dumps(record, ensure_ascii=False, indent=2) + "\n").encode())


def compare_record(folder: Path, name: str, now: Record) -> list[str]:
    """What differs from the record that the run began with."""
    try:
        before = dict(_leaves(json.loads((folder / name).read_bytes())))
    except (OSError, ValueError):
        return [f"{name} cannot be read, so nothing could be compared with it"]
    new = dict(_leaves(json.loads(json.dumps(now))))
    return [
        f"{key}: {_say(before.get(key))} when the run began, {_say(new.get(key))} now"
        for key in sorted(before.keys() | new.keys())
        if before.get(key) != new.get(key)
    ]


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below, under its dotted key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if items:
        for key, item in items:
            yield from _leaves(item, f"{place}.{key}" if place else str(key))
    else:
        yield place, value


def _say(value: Any) -> str:
    return "none" if value is None else str(value)
