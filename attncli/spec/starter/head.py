"""The first rows of a file, as columns of text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KNOWN = frozenset((
    "id", "text", "label", "labels", "class", "category", "sentiment", "tags", "tokens", "words", "source", "target",
    "src", "tgt", "trg", "input", "output", "question", "answer", "sentence", "review", "title", "body", "document",
    "translation", "en", "de", "fr", "es", "zh", "ja",
))  # fmt: skip
"""Words that often head a column."""


@dataclass(frozen=True)
class Head:
    """The beginning of a file."""

    path: Path
    names: tuple[str, ...]
    """Of the columns; their numbers in a table without a header."""
    rows: tuple[tuple[str, ...], ...]
    header: bool
    """The columns have names, in a first row or as keys."""
    total: int
    """Rows of the whole file, about."""

    def column(self, name: str) -> list[str]:
        """The texts of one column."""
        place = self.names.index(name)
        return [row[place] for row in self.rows]


def has_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a table names its columns: short words that no other row has, above longer texts."""
    names = [cell.strip() for cell in first]
    if len(set(names)) < len(names) or not all(re.fullmatch(r"[^\W\d][\w .-]{0,30}", name) for name in names):
        return False
    if any(name.casefold() in KNOWN for name in names):
        return True
    seen = {cell for row in rows for cell in row}
    wordy = [place for place in range(len(names)) if _words(rows, place) > 1.5]
    return not seen & set(names) and bool(wordy) and all(len(names[place].split()) == 1 for place in wordy)


def _words(rows: Sequence[Sequence[str]], place: int) -> float:
    """Mean number of words of a column."""
    counts = [len(row[place].split()) for row in rows if place < len(row)]
    return sum(counts) / len(counts) if counts else 0.0
