"""One file as rows.

datasets reads; where it fails, or where a row lacks something, a second pass finds the file and the line, and
`data.on_bad_row` decides between an error and leaving the row out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attncli.data.arrow import (
    REST,
    ArrowRows,
    Documents,
    Unreadable,
    blank_rows,
    is_plain,
    keys_of,
    pick,
    read_table,
    text_of,
    write_table,
)
from attncli.data.layout import Layout, find_columns, kind_of, table_layout
from attncli.data.records import SKIP, Record, columns_text, records
from attncli.data.rows import Chosen, Row, Rows
from attncli.errors import DataError


@dataclass(frozen=True)
class Reading:
    """How files are read: where each field lies, and what happens to bad rows."""

    wanted: Mapping[str, str | int]
    """Name or number of the column of each field."""
    bad: Literal["error", "skip"]
    cache: Path
    documents: bool = False
    """Plain text is a document a paragraph where the file has any, not one a line."""
    blank: bool = False
    """Empty lines of plain text are rows too, so that answers come line by line."""
    say: Callable[[str], None] = lambda note: None


def open_one(path: Path, reading: Reading) -> Rows:
    """The rows of one file."""
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty", help="give a file with rows")
    kind = kind_of(path, documents=reading.documents)
    match kind:
        case "csv" | "tsv":
            layout = table_layout(path, kind, reading.wanted)
            if not layout.header:
                reading.say(f"tables without a header: their columns are {', '.join(reading.wanted)}, in this order")
        case "lines" | "documents":
            layout = _text_layout(path, kind, reading)
        case "json" | "parquet":
            layout = Layout(kind, {})
    rows = _fast(path, layout, reading)
    if rows is None:
        rows = _slow(path, layout, reading)
    if not len(rows):
        raise DataError(f"{path}: the file has no rows", help="give a file with rows")
    return rows


def _text_layout(path: Path, kind: Literal["lines", "documents"], reading: Reading) -> Layout:
    if len(reading.wanted) > 1:
        fields = " and ".join(reading.wanted)
        raise DataError(
            f"{path}: plain text has one column where {fields} are due",
            help="write a .tsv, .csv or .jsonl, or parallel files: corpus.{field}",
        )
    return Layout(kind, dict.fromkeys(reading.wanted, "text"), blank=reading.blank and kind == "lines")


def _fast(path: Path, layout: Layout, reading: Reading) -> Rows | None:
    """The rows as datasets reads them; None where the second pass has to."""
    try:
        table = read_table(path, layout, reading.cache)
    except Unreadable:
        return None
    if not layout.columns:
        keys = keys_of(table.schema)
        if not set(reading.wanted.values()) <= set(keys) and not all(is_plain(field.type) for field in table.schema):
            return None  # a column of mixed types hides its keys
        layout = replace(layout, columns=find_columns(reading.wanted, keys, str(path)))
    columns = pick(table, layout.columns)
    if not all(is_plain(column.type) for column in columns.values()):
        return None
    make = Documents if layout.kind == "documents" else ArrowRows
    rows = make(columns, place=_placer(path, layout), fingerprint=stamp_of(path, layout))
    try:
        wrong = blank_rows(rows)
    except Unreadable:
        return None
    if layout.kind == "documents":
        return Chosen(rows, np.flatnonzero(~wrong), name="text") if wrong.any() else rows
    if layout.blank:
        return rows
    if REST in table.column_names:
        wrong |= ~blank_rows(ArrowRows({REST: table.column(REST)}, place=str, fingerprint=""))
    if not wrong.any():
        return rows
    if reading.bad == "error":
        _refuse(path, layout)
        raise DataError(f"{rows.place(int(np.flatnonzero(wrong)[0]))}: the row is not complete", help=SKIP)
    return Chosen(rows, np.flatnonzero(~wrong), name="good", skipped=int(wrong.sum()))


def _refuse(path: Path, layout: Layout) -> None:
    """Raise the first fault of the file, with the number of others."""
    faults = [(record, fault) for record, fault in _judged(path, layout) if isinstance(fault, str)]
    if not faults:
        return
    record, fault = faults[0]
    others = f" ({len(faults) - 1} more rows are at fault)" if len(faults) > 1 else ""
    raise DataError(f"{_at(path, layout, record.line)}: {fault}{others}", help=record.help)


def _slow(path: Path, layout: Layout, reading: Reading) -> Rows:
    """The good rows of the second pass, written to the cache as text."""
    if not layout.columns:
        layout = replace(layout, columns=find_columns(reading.wanted, _seen_keys(path, layout), str(path)))
    if reading.bad == "error":
        _refuse(path, layout)
    good = [isinstance(row, dict) for _, row in _judged(path, layout)]
    if not any(good):
        fault = "the file has no good row" if good else "the file has no rows"
        raise DataError(f"{path}: {fault}", help="give a file with rows; data.on_bad_row: error names what is wrong")
    stamp = stamp_of(path, layout)
    table = write_table(good_rows, {"path": str(path), "layout": _plain(layout), "stamp": stamp}, reading.cache)
    columns = pick(table, {field: field for field in layout.columns})
    rows = ArrowRows(columns, place=_placer(path, layout, good=True), fingerprint=f"{stamp}/good")
    rows.skipped = len(good) - sum(good)
    return rows


def _plain(layout: Layout) -> dict[str, Any]:
    return asdict(layout) | {"columns": dict(layout.columns)}


def good_rows(path: str, layout: dict[str, Any], stamp: str) -> Iterator[Row]:
    """Rows without fault; datasets keys its cache by the arguments, `stamp` among them."""
    for _, row in _judged(Path(path), Layout(**layout)):
        if isinstance(row, dict):
            yield row


def _seen_keys(path: Path, layout: Layout) -> list[str]:
    """The keys of the first thousand objects, or the reason why there are none."""
    keys: dict[str, None] = {}
    try:
        first = list(islice(records(path, layout.kind), 1000))
    except Exception as error:  # pyarrow raises what it likes on a file that is no Parquet
        raise DataError(f"{path}: cannot be read as {layout.kind}: {error}", help="look at the file") from error
    for record in first:
        if not record.fault:
            keys |= dict.fromkeys(_keys_below(record.values[0]))
    if not keys and first:
        raise DataError(f"{_at(path, layout, first[0].line)}: {first[0].fault}", help=first[0].help)
    return list(keys)


def _keys_below(value: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _keys_below(inner, f"{above}{key}.")
        else:
            yield above + key


def _judged(path: Path, layout: Layout) -> Iterator[tuple[Record, Row | str]]:
    """Every record with its row, or with what is wrong with it."""
    for record in islice(records(path, layout.kind), 1 if layout.header else 0, None):
        yield record, record.fault or _row(record, layout)


def _row(record: Record, layout: Layout) -> Row | str:
    row = {}
    if layout.kind in ("csv", "tsv") and any(value.strip() for value in record.values[layout.width :]):
        return f"{columns_text(len(record.values))} where the first row has {layout.width}"
    for field, key in layout.columns.items():
        match layout.kind:
            case "csv" | "tsv":
                if int(key) >= len(record.values):
                    return f"{columns_text(len(record.values))} where the first row has {layout.width}"
                value = record.values[int(key)]
            case "json" | "parquet":
                value = _value(record.values[0], key)
                if value is not None and text_of(value) is None:
                    return f"'{key}' has no text: {value!r:.60}"
            case _:
                value = record.values[0]
        text = text_of(value)
        if text is None or not (text.strip() or layout.blank):
            return f"'{field}' is missing"
        row[field] = text
    return row


def _value(value: Any, key: str) -> Any:
    if isinstance(value, dict) and key in value:
        return value[key]
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _at(path: Path, layout: Layout, line: int) -> str:
    return f"{path}: row {line}" if layout.kind == "parquet" else f"{path}:{line}"


def _placer(path: Path, layout: Layout, *, good: bool = False) -> Callable[[int], str]:
    """Finds the line of a row by reading the file up to it; `good` where the table has the good rows only."""

    def place(index: int) -> str:
        judged = (record for record, row in _judged(path, layout) if not good or isinstance(row, dict))
        record = next(islice(judged, index, None), None)
        return _at(path, layout, record.line) if record else f"{path}: row {index + 1}"

    return place


def stamp_of(path: Path, layout: Layout) -> str:
    facts = path.stat()
    return f"{path.absolute()}:{facts.st_size}:{facts.st_mtime_ns}:{sorted(layout.columns.items())}:{layout.kind}"
