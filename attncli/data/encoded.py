"""A split as ids: what batches are cut from.

The ids of small splits are held in memory. Those of large ones are written to the cache folder once, under a key made
of the rows, the tokenizers and the rules, and read through memory maps; the lengths are held either way.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from attncli import __version__
from attncli.data.cache import cache_folder
from attncli.data.codec import Codec, Example, Fault
from attncli.data.ragged import Ragged, starts_of
from attncli.data.rows import Row, Rows
from attncli.errors import DataError

log = logging.getLogger("attncli.data")

CHUNK = 1000
"""Rows that are tokenised at a time, on all cores."""

FORMAT = 2
"""Changes with what is written to the disk."""

LARGE = 200_000
"""Rows from which on the ids lie on the disk."""


@dataclass(frozen=True)
class Encoded:
    """Examples as ids. Language models may have several of one row, or none where rows were left out."""

    fields: dict[str, Ragged]
    """Framed ids of each field (attncli/data/examples.py)."""
    labels: Ragged | None
    widths: NDArray[np.int64]
    """(examples fields) places that each input of a batch has."""
    rows: NDArray[np.int64]
    """Number of the row of each example."""
    bad: int = 0
    """Rows left out by `data.on_bad_row`, those of the source included."""
    long: int = 0
    """Rows left out by `data.on_long`."""

    def __len__(self) -> int:
        return len(self.rows)


def encode_split(rows: Rows, codec: Codec, *, cache: Path | None = None, large: int = LARGE) -> Encoded:
    """All rows as ids. Raises DataError with the place of a row that cannot be used, unless the spec says skip."""
    if len(rows) < large:
        return _noted(_encode(rows, codec, None), rows)
    facts = (__version__, FORMAT, rows.fingerprint, codec.fingerprint)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    folder = (cache or cache_folder()) / "tokens" / key
    if not (folder / "facts.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        torn = folder.with_name(f".{key}.{os.getpid()}")
        shutil.rmtree(torn, ignore_errors=True)
        torn.mkdir()
        try:
            _write(_encode(rows, codec, torn), torn)
            if not folder.exists():
                torn.rename(folder)
        finally:
            shutil.rmtree(torn, ignore_errors=True)
    return _noted(_read(folder), rows)


def _noted(encoded: Encoded, rows: Rows) -> Encoded:
    skipped = [(encoded.long, "on_long: skip"), (encoded.bad - rows.skipped, "on_bad_row: skip")]
    for count, rule in skipped:
        if count:
            log.warning("data.%s left out %d of %d rows", rule, count, len(rows))
    if not len(encoded):
        raise DataError("no row is left of the data", help="look at data.on_long and data.on_bad_row")
    return encoded


class _Growing:
    """Rows of ids as they come, in memory or in a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[bytes] | None = path.open("wb") if path else None
        self._values: list[NDArray[np.int32]] = []
        self._lengths: list[NDArray[np.int64]] = []

    def append(self, rows: list[list[int]]) -> None:
        ragged = Ragged.of(rows)
        self._lengths.append(ragged.lengths)
        if self._file is None:
            self._values.append(ragged.values)
        else:
            ragged.values.tofile(self._file)

    def done(self) -> Ragged:
        lengths = np.concatenate(self._lengths) if self._lengths else np.zeros(0, dtype=np.int64)
        if self._file is None or self._path is None:
            values = np.concatenate(self._values) if self._values else np.zeros(0, dtype=np.int32)
        else:
            self._file.close()
            values = _mapped(self._path)
        return Ragged(values, starts_of(lengths), lengths)


def _mapped(path: Path) -> NDArray[np.int32]:
    return np.memmap(path, dtype=np.int32, mode="r") if path.stat().st_size else np.zeros(0, dtype=np.int32)


def _encode(rows: Rows, codec: Codec, folder: Path | None) -> Encoded:
    names = (*codec.vocabularies, *codec.collator.carried.names)
    fields = {field: _Growing(folder / f"{field}.ids" if folder else None) for field in names}
    labels = _Growing(folder / "labels.ids" if folder else None)
    widths: list[NDArray[np.int64]] = []
    numbers: list[NDArray[np.int64]] = []
    counts = {"bad": rows.skipped, "long": 0}
    for start, chunk in _chunks(rows):
        examples: list[Example] = []
        places: list[int] = []
        for number, found in enumerate(codec.encode_many(chunk), start):
            if isinstance(found, Fault):
                counts[_leave_out(rows, codec, number, found)] += 1
                continue
            parts = codec.cut(found)
            examples += parts
            places += [number] * len(parts)
        framed = [codec.collator.framed(example) for example in examples]
        for field, growing in fields.items():
            growing.append([one[field] for one in framed])
        labels.append([list(example.labels) for example in examples])
        sizes = [codec.collator.widths(example) for example in examples]
        widths.append(np.array(sizes, dtype=np.int64).reshape(len(examples), len(codec.vocabularies)))
        numbers.append(np.array(places, dtype=np.int64))
    found_labels = labels.done()
    return Encoded(
        {field: growing.done() for field, growing in fields.items()},
        found_labels if found_labels.lengths.any() else None,
        np.concatenate(widths),
        np.concatenate(numbers),
        **counts,
    )


def _chunks(rows: Rows) -> Iterator[tuple[int, list[Row]]]:
    start, iterator = 0, iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield start, chunk
        start += len(chunk)


def _leave_out(rows: Rows, codec: Codec, number: int, fault: Fault) -> str:
    """Under what a row is counted that is left out; DataError where it may not be."""
    data = codec.run.data
    rule = None if data is None else data.on_long if fault.long else data.on_bad_row
    if rule != "skip":
        raise DataError(f"{rows.place(number)}: {fault.rule}", help=fault.help)
    return "long" if fault.long else "bad"


def _write(encoded: Encoded, folder: Path) -> None:
    """What is not in the folder yet. facts.json comes last, and a folder without it is none."""
    for field, ids in encoded.fields.items():
        np.save(folder / f"{field}.lengths.npy", ids.lengths)
    if encoded.labels is not None:
        np.save(folder / "labels.lengths.npy", encoded.labels.lengths)
    np.save(folder / "widths.npy", encoded.widths)
    np.save(folder / "rows.npy", encoded.rows)
    facts = {
        "fields": list(encoded.fields), "labels": encoded.labels is not None, "bad": encoded.bad, "long": encoded.long
    }  # fmt: skip
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _read(folder: Path) -> Encoded:
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))

    def ragged(name: str) -> Ragged:
        lengths = np.load(folder / f"{name}.lengths.npy")
        return Ragged(_mapped(folder / f"{name}.ids"), starts_of(lengths), lengths)

    return Encoded(
        {field: ragged(field) for field in facts["fields"]},
        ragged("labels") if facts["labels"] else None,
        np.load(folder / "widths.npy"),
        np.load(folder / "rows.npy"),
        facts["bad"],
        facts["long"],
    )
