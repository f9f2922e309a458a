"""What a file is, and in which of its columns the fields of the task lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from attncli.data.records import Kind, columns_text, records
from attncli.errors import DataError

SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class Layout:
    """How one file is read."""

    kind: Kind
    columns: Mapping[str, str]
    """Of each field: the number of its column in a table (`"0"`), the key in JSON and Parquet (`translation.en`)."""
    header: bool = False
    width: int = 1
    """Columns of the first row of a table."""
    blank: bool = False
    """Empty lines of plain text are rows."""


def kind_of(path: Path, *, documents: bool) -> Kind:
    """The kind that the name of the file tells. Anything unknown is plain text."""
    kind = SUFFIXES.get(path.suffix.lower(), "lines")
    return "documents" if kind == "lines" and documents and _has_empty_line(path) else kind


def _has_empty_line(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return any(line == "\n" for line in file)


def find_columns(wanted: Mapping[str, str | int], names: Sequence[str], place: str) -> dict[str, str]:
    """The name of each field's column; a number counts from 0."""
    return {field: _find_column(field, column, names, place) for field, column in wanted.items()}


def _find_column(field: str, column: str | int, names: Sequence[str], place: str) -> str:
    if isinstance(column, int):
        if column < len(names):
            return names[column]
        raise DataError(
            f"{place}: there is no column {column}; the last of {len(names)} is {len(names) - 1}",
            help=f"columns count from 0: correct data.fields.{field}.column",
        )
    if column in names:
        return column
    near = get_close_matches(column, names, 1)
    raise DataError(
        f"{place}: there is no column '{column}'" + (f"; did you mean '{near[0]}'?" if near else ""),
        help=f"the columns are {', '.join(names)}; say which one with data.fields.{field}.column",
    )


def table_layout(path: Path, kind: Literal["csv", "tsv"], wanted: Mapping[str, str | int]) -> Layout:
    """The layout of a table with or without a header.

    A first row that names a field of the task (or a column that the spec names) is a header. Without one, columns
    named in the spec cannot be found, and the other fields are the columns in order.
    """
    first = _first_row(path, kind)
    names = [name.strip() for name in first]
    numbers = {str(number): name for number, name in enumerate(names)}
    if any(column in names for column in wanted.values() if isinstance(column, str)):
        found = find_columns(wanted, names, f"{path}:1")
        by_name = {name: number for number, name in reversed(numbers.items())}
        return Layout(kind, {field: by_name[name] for field, name in found.items()}, header=True, width=len(names))
    for field, column in wanted.items():
        if isinstance(column, str) and column != field:  # the spec names a column, so there has to be a header
            find_columns({field: column}, names, f"{path}:1")
        alike = [name for name in names if name.casefold() == field.casefold()]
        if alike:
            raise DataError(
                f"{path}:1: the first row has '{alike[0]}' where the field is '{field}'",
                help=f"rename it, or write data.fields.{field}.column: {alike[0]}",
            )
    if len(names) < len(wanted):
        raise DataError(
            f"{path}:1: {columns_text(len(names))} where {' and '.join(wanted)} are due",
            help="columns of a .tsv are set apart by one tab, those of a .csv by commas",
        )
    order = {field: wish if isinstance(wish, int) else place for place, (field, wish) in enumerate(wanted.items())}
    return Layout(kind, find_columns(order, list(numbers), f"{path}:1"), width=len(names))


def _first_row(path: Path, kind: Literal["csv", "tsv"]) -> list[str]:
    for record in records(path, kind):
        if record.fault:
            raise DataError(f"{path}:{record.line}: {record.fault}", help=record.help)
        return list(record.values)
    raise DataError(f"{path}: the file is empty", help="give a file with rows")
