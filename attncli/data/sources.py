"""The splits that a spec names, and single files: where rows come from."""

import glob
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from attncli.data.cache import cache_folder
from attncli.data.files import Reading, open_one
from attncli.data.generators import generate
from attncli.data.hub import open_hub
from attncli.data.parallel import open_parallel
from attncli.data.rows import Chosen, Joined, Rows, Splits
from attncli.errors import DataError
from attncli.spec.data import Data, Files, Generated, Hub, Share
from attncli.spec.fields import columns_of, part_name
from attncli.spec.run import Run
from attncli.spec.tasks import Denoising, LanguageModel, MaskedLanguageModel, SentencePair

log = logging.getLogger("attncli.data")

NAMES = ("train", "valid", "test")


def open_splits(run: Run, *, cache: Path | None = None, names: Sequence[str] = NAMES) -> Splits:
    """The splits of a spec; only those in `names` are opened.

    Raises DataError with file and line where rows are bad and `data.on_bad_row` is error; counts them in
    `Rows.skipped` where it is skip.
    """
    if run.data is None:
        raise DataError("the spec has no data", help="write a section `data`, or give a file with --data")
    wanted = _wanted(run.data, columns_of(run.task, run.data))
    cache = cache or cache_folder()
    found: dict[str, Rows | None]
    match run.data:
        case Generated() as data:
            found = {name: generate(data, run.seed, name) for name in names}
        case Files() as data:
            reading = _reading(run, wanted, cache)
            found = _open(data, names, lambda key, paths: open_paths(key, paths, reading))
        case Hub() as data:
            found = _open(data, names, lambda key, split: open_hub(data, split, wanted, cache, key))
    for name, rows in found.items():
        if rows is not None and rows.skipped:
            log.warning("data.%s: %d bad rows were left out, %d are used", name, rows.skipped, len(rows))
    return Splits(**found)


def open_file(
    run: Run, path: str | Path, *, fields: Sequence[str] | None = None, lines: bool = False, cache: Path | None = None
) -> Rows:
    """The rows of one file with the columns of the spec.

    fields: what the file must have; all fields of the task where not given (predict has no answers).
    lines: each line of a plain text is a row, an empty one too, whatever the task.
    """
    wanted = _wanted(run.data, fields or columns_of(run.task, run.data))
    reading = _reading(run, wanted, cache or cache_folder(), lines=lines)
    return open_paths("--data", (str(path),), reading)


def _wanted(data: Data | None, fields: Iterable[str]) -> dict[str, str | int]:
    written = {name: field.column for name, field in data.fields.items()} if data else {}
    found: dict[str, str | int] = {}
    for field in fields:
        match written.get(field):
            case None:
                found[field] = field
            case tuple(columns):
                found |= {part_name(field, number): column for number, column in enumerate(columns)}
            case column:
                found[field] = column
    return found


def _reading(run: Run, wanted: Mapping[str, str | int], cache: Path, *, lines: bool = False) -> Reading:
    said: set[str] = set()

    def say(note: str) -> None:
        if note not in said:
            said.add(note)
            log.info(note)

    bad = run.data.on_bad_row if run.data else "error"
    documents = isinstance(run.task, LanguageModel | MaskedLanguageModel | Denoising | SentencePair) and not lines
    return Reading(wanted, bad, cache, documents=documents, blank=lines, say=say)


def open_paths(key: str, paths: Sequence[str], reading: Reading) -> Rows:
    """The rows of files laid end to end; `key` is what names them in errors."""
    parts: list[Rows] = []
    for path in paths:
        if "{field}" in path:
            columns = {field: path.replace("{field}", str(column)) for field, column in reading.wanted.items()}
            files = {field: expand(key, one) for field, one in columns.items()}
            if len({len(found) for found in files.values()}) > 1:
                counts = ", ".join(f"{len(found)} for {field}" for field, found in files.items())
                raise DataError(f"{key}: '{path}' names unlike numbers of files: {counts}", help="give one a field")
            groups = zip(*files.values(), strict=True)
            parts += [open_parallel(dict(zip(files, group, strict=True)), reading) for group in groups]
        else:
            parts += [open_one(file, reading) for file in expand(key, path)]
    return parts[0] if len(parts) == 1 else Joined(parts)


def expand(key: str, pattern: str) -> list[Path]:
    """The files that a path with `*`, `?` and `[…]` names, by name."""
    path = Path(pattern)
    if path.is_dir():
        raise DataError(f"{key}: '{pattern}' is a folder", help=f"name its files: {pattern.rstrip('/')}/*.tsv")
    if path.exists():
        return [path]
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True)) if Path(name).is_file()]
    if not found:
        rule = "no file matches" if glob.has_magic(pattern) else "there is no file"
        raise DataError(f"{key}: {rule} '{pattern}'", help="a path in a spec counts from the spec's own folder")
    return found


def _open(data: Files | Hub, names: Sequence[str], opened: Callable[[str, Any], Rows]) -> dict[str, Rows | None]:
    written = {name: getattr(data, name) for name in NAMES}
    shares = {name: where.share for name, where in written.items() if isinstance(where, Share)}
    found: dict[str, Rows | None] = {
        name: opened(f"data.{name}", written[name])
        for name in names
        if written[name] is not None and name not in shares and not (name == "train" and shares)
    }
    if shares and (set(names) & {"train", *shares}):
        parts = divide(opened("data.train", written["train"]), shares)
        found |= {name: parts[name] for name in names if name in parts}
    return found


def divide(rows: Rows, shares: Mapping[str, float]) -> dict[str, Rows]:
    """The rows of the shares, and the rest as `train`.

    A row belongs where a hash of its input (the first field) falls, so rows with one input are all on one side,
    whatever the order of the file and the seed of the run.
    """
    first = rows.fields[0]
    places = np.empty(len(rows), dtype=np.float64)
    for index, row in enumerate(rows):
        places[index] = int.from_bytes(blake2b(row[first].encode(), digest_size=8).digest(), "big") / 2**64
    found: dict[str, Rows] = {}
    start = 0.0
    for name, share in [*sorted(shares.items()), ("train", 1.0)]:
        chosen = np.flatnonzero((places >= start) & (places < (1.0 if name == "train" else start + share)))
        start += share
        if not len(chosen):
            raise DataError(
                f"data.{name}: no row of {len(rows)} is left for {name}", help="give more rows, or other shares"
            )
        found[name] = Chosen(rows, chosen, name=f"{name}:{sorted(shares.items())}")
    for name in shares:
        found[name].skipped = 0  # they are counted once, beside train
    return found
