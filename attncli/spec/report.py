"""How faults are shown: place, excerpt, caret, help; all of a spec at once."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from attncli.errors import SpecError
from attncli.spec.nodes import Place

_WIDTH = 110


@dataclass(frozen=True)
class Found:
    """A fault with its place."""

    place: Place
    says: str
    help: str = ""

    def __str__(self) -> str:
        head = f"{self.place}: {self.says}\n{_excerpt(self.place)}"
        return f"{head}\nhelp: {self.help}" if self.help else head


class Stop(Exception):
    """A fault that ends the reading of a source at once."""

    def __init__(self, found: Found) -> None:
        super().__init__(found.says)
        self.found = found


def refusal(faults: Iterable[Found]) -> SpecError:
    """One error with every fault once, in the order of their places."""
    ordered = sorted(dict.fromkeys(faults), key=lambda f: (f.place.source.rank, f.place.line, f.place.column, f.says))
    assert ordered
    parts = [str(found) for found in ordered]
    if len(parts) > 1:
        names = dict.fromkeys("-o" if found.place.source.flag else found.place.source.name for found in ordered)
        parts.append(f"{len(parts)} faults in {' and '.join(names)}")
    return SpecError("\n\n".join(parts))


def _excerpt(place: Place) -> str:
    lines = place.source.lines
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    line, column = _shortened(line, min(place.column - 1, len(line)))
    number = "" if place.source.flag else str(place.line)
    margin = " " * len(number)
    return f"{margin} |\n{number} | {line}\n{margin} | {_blank(line[:column])}^"


def _shortened(line: str, column: int) -> tuple[str, int]:
    """The line, or the part of a long one around `column`, and the column in it."""
    line = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "\ufffd", line)
    if len(line) <= _WIDTH:
        return line, column
    start = min(max(0, column - _WIDTH // 2), len(line) - _WIDTH)
    stop = start + _WIDTH
    head, tail = "…" if start else "", "…" if stop < len(line) else ""
    return head + line[start:stop] + tail, column - start + len(head)


def _blank(text: str) -> str:
    """Blanks as wide as `text` is on a terminal, where Chinese characters take two columns."""
    return "".join(
        "\t"
        if char == "\t"
        else ""
        if unicodedata.combining(char)
        else "  "
        if unicodedata.east_asian_width(char) in "WF"
        else " "
        for char in text
    )
