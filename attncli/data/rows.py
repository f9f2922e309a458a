"""Rows: the examples of one split, as text.

A row is a mapping from field to text. Rows are read, never held: they lie in Arrow memory maps or are computed when
they are asked for, so a split may be larger than memory.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = dict[str, str]


class Rows(ABC):
    """The rows of one split, in the order of their source."""

    fields: tuple[str, ...]
    fingerprint: str
    """Changes whenever a row may have changed: what is computed from rows is stored under it."""
    skipped: int = 0
    """Bad rows that were left out (`data.on_bad_row: skip`)."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Row: ...

    @abstractmethod
    def place(self, index: int) -> str:
        """Where a row stands, for errors: `train.tsv:7`. May read the file again."""

    def __iter__(self) -> Iterator[Row]:
        for index in range(len(self)):
            yield self[index]


@dataclass(frozen=True)
class Splits:
    """The rows of each split; None where the spec names none."""

    train: Rows | None = None
    valid: Rows | None = None
    test: Rows | None = None


class Joined(Rows):
    """Files laid end to end."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.parts = tuple(parts)
        self.fields = self.parts[0].fields
        self.fingerprint = "|".join(part.fingerprint for part in self.parts)
        self.skipped = sum(part.skipped for part in self.parts)
        self._ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _find(self, index: int) -> tuple[Rows, int]:
        which = int(np.searchsorted(self._ends, index, side="right"))
        return self.parts[which], index - (int(self._ends[which - 1]) if which else 0)

    def __getitem__(self, index: int) -> Row:
        part, inner = self._find(range(len(self))[index])
        return part[inner]

    def place(self, index: int) -> str:
        part, inner = self._find(index)
        return part.place(inner)

    def __iter__(self) -> Iterator[Row]:
        for part in self.parts:
            yield from part


class Chosen(Rows):
    """Some rows of others, by ascending number: a share of them, or those that are not bad."""

    def __init__(self, rows: Rows, chosen: NDArray[np.int64], *, name: str, skipped: int = 0) -> None:
        self.rows, self.chosen = rows, chosen
        self.fields, self.skipped = rows.fields, rows.skipped + skipped
        self.fingerprint = f"{rows.fingerprint}/{name}"

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Row:
        return self.rows[int(self.chosen[index])]

    def place(self, index: int) -> str:
        return self.rows.place(int(self.chosen[index]))

    def __iter__(self) -> Iterator[Row]:
        wanted = iter(self.chosen)
        due = next(wanted, None)
        for index, row in enumerate(self.rows):
            if due is None:
                return
            if index == due:
                yield row
                due = next(wanted, None)
