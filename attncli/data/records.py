"""The second pass: the rows of a file as they stand, with their lines and what is wrong with them.

`datasets` reads fast but cannot say which line is at fault; this reads slowly and can.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["csv", "tsv", "json", "parquet", "lines", "documents"]

SKIP = "correct the row, or leave such rows out with data.on_bad_row: skip"


@dataclass(frozen=True)
class Record:
    """One row as it stands in its file: its values, or what is wrong with it."""

    line: int
    values: Sequence[Any] = ()
    fault: str = ""
    help: str = SKIP


UTF8 = "save the file as UTF-8, or leave such rows out with data.on_bad_row: skip"


def records(path: Path, kind: Kind) -> Iterator[Record]:
    """The rows of a file, with the line on which each begins. Slow and exact; Parquet rows count from 1."""
    match kind:
        case "csv":
            return _csv_records(path)
        case "tsv":
            return _tsv_records(path)
        case "json":
            return _json_records(path)
        case "parquet":
            return _parquet_records(path)
        case "lines":
            return (_checked(line, text, (text,)) for line, text in _lines(path))
        case "documents":
            return _document_records(path)


def _lines(path: Path, newline: str | None = None) -> Iterator[tuple[int, str]]:
    """Numbered lines. Bytes that are no UTF-8 become lone surrogates, which `_checked` finds."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline) as file:
        for number, line in enumerate(file, 1):
            yield number, line.rstrip("\n") if newline is None else line


def _checked(line: int, text: str, values: Sequence[Any]) -> Record:
    wrong = None if text.isascii() else re.search("[\udc80-\udcff]", text)
    if wrong is None:
        return Record(line, values)
    return Record(line, fault=f"not UTF-8 (byte 0x{ord(wrong[0]) - 0xDC00:02x})", help=UTF8)


def _tsv_records(path: Path) -> Iterator[Record]:
    for number, line in _lines(path):
        if line.strip(" "):
            yield _checked(number, line, line.split("\t"))


def _csv_records(path: Path) -> Iterator[Record]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader((line for _, line in _lines(path, newline="")), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            yield Record(line, fault=f"not valid CSV: {error}")
            if reader.line_num < line or "unexpected end" in str(error):
                return
            continue
        if values is None:
            return
        if values and (len(values) > 1 or values[0].strip(" ")):
            yield _checked(line, "".join(values), values)


def _json_records(path: Path) -> Iterator[Record]:
    """Objects, one a line, or all in one list."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        whole = file.read(1) == "["
    if whole:
        yield from _json_list(path)
        return
    for number, line in _lines(path):
        if not line.strip():
            continue
        record = _checked(number, line, (line,))
        if not record.fault:
            try:
                value = json.loads(line)
                record = Record(number, (value,)) if isinstance(value, dict) else Record(number, fault="no JSON object")
            except ValueError as error:
                record = Record(number, fault=f"not valid JSON: {error}")
        yield record


def _json_list(path: Path) -> Iterator[Record]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        yield Record(line, fault=f"not UTF-8 (byte 0x{error.object[error.start]:02x})", help="save the file as UTF-8")
        return
    except json.JSONDecodeError as error:
        yield Record(error.lineno, fault=f"not valid JSON: {error.msg}", help="correct the file")
        return
    for number, value in enumerate(values, 1):
        yield Record(number, (value,)) if isinstance(value, dict) else Record(number, fault="no JSON object")


def _parquet_records(path: Path) -> Iterator[Record]:
    import pyarrow.parquet

    number = 0
    for batch in pyarrow.parquet.ParquetFile(path).iter_batches(1000):
        for value in batch.to_pylist():
            number += 1
            yield Record(number, (value,))


def _document_records(path: Path) -> Iterator[Record]:
    """Lines between empty lines, as datasets' paragraphs are."""
    start, lines = 1, list[str]()
    for number, line in _lines(path):
        if line:
            start = start if lines else number
            lines.append(line)
        elif lines:
            yield _checked(start, "\n".join(lines), ("\n".join(lines),))
            lines = []
    if lines:
        yield _checked(start, "\n".join(lines), ("\n".join(lines),))


def columns_text(count: int) -> str:
    """`1 column`, `2 columns`."""
    return "1 column" if count == 1 else f"{count} columns"
