"""Tables of numbers for a terminal: which columns fit, and how a number is said."""

import os
from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from attncli.profiling.outline import Line

LEAST_TEXT = 16
"""Columns below which a text is folded so small that it is left out."""


def fit(console: Console) -> None:
    """Off a terminal nothing is cut or folded, unless COLUMNS says how wide the reader's window is."""
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 1000


def count_of(number: float) -> str:
    """`44,140,544`."""
    return f"{number:,.0f}"


def scaled(number: float, unit: str = "", *, step: int = 1000) -> str:
    """`44.1 M`, with three digits."""
    signs = ("", "k", "M", "G", "T", "P", "E")
    power = 0
    while abs(number) >= step and power < len(signs) - 1:
        number /= step
        power += 1
    sign = f"{signs[power]}{'i' if step == 1024 and power else ''}{unit}"
    digits = f"{number:.3g}" if abs(number) < 1000 else f"{number:.0f}"
    return f"{digits} {sign}".rstrip()


def kibi(number: float) -> str:
    """`12.3 MiB`."""
    return scaled(number, "B", step=1024)


def duration(seconds: float) -> str:
    """`1.23 ms`."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs" if seconds else ""


class Column(NamedTuple):
    """A column of a table. Where the window is narrow, those of the highest `rank` are left out first."""

    name: str
    rank: int = 0
    text: bool = False
    folds: bool = False
    """A long text, which may take several lines."""


def table_of(columns: Sequence[Column], rows: Sequence[Sequence[Text]], console: Console) -> Table:
    """The columns that fit, numbers to the right."""
    fit(console)
    kept = list(range(len(columns)))
    least = [_least_width(column, [row[i] for row in rows]) for i, column in enumerate(columns)]
    while sum(least[i] + 2 for i in kept) - 2 > console.width and any(columns[i].rank for i in kept):
        kept.remove(max(kept, key=lambda i: columns[i].rank))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), collapse_padding=True)
    for i in kept:
        column = columns[i]
        justify: Literal["left", "right"] = "left" if column.text or column.folds else "right"
        table.add_column(column.name, justify=justify, no_wrap=not column.folds, overflow="fold")
    for row in rows:
        table.add_row(*(row[i] for i in kept))
    return table


def _least_width(column: Column, cells: Sequence[Text]) -> int:
    width = max([cell_len(column.name), *(cell_len(cell.plain) for cell in cells)])
    return min(width, LEAST_TEXT) if column.folds else width


def label_of(line: Line) -> Text:
    """The name of a line, as far to the right as it lies deep."""
    return Text("  " * line.depth + line.label, style="bold" if line.depth == 0 else "")
