"""Parallel files: one file a field, line by line."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attncli.data.arrow import ArrowRows, Unreadable, blank_rows, read_table
from attncli.data.files import Reading, stamp_of
from attncli.data.layout import Layout
from attncli.data.records import SKIP, records
from attncli.data.rows import Chosen, Rows
from attncli.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def open_parallel(paths: Mapping[str, Path], reading: Reading) -> Rows:
    """The rows of files of one length. Raises DataError where they are not, or a line is empty or not UTF-8."""
    columns: dict[str, pa.ChunkedArray] = {}
    layout = Layout("lines", dict.fromkeys(paths, "text"))
    for field, path in paths.items():
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty", help="give a file with rows")
        try:
            columns[field] = read_table(path, layout, reading.cache).column("text")
        except Unreadable as error:
            for record in records(path, "lines"):
                if record.fault:
                    raise DataError(f"{path}:{record.line}: {record.fault}", help="save the file as UTF-8") from None
            raise DataError(f"{path}: cannot be read: {error}", help="look at the file") from error
    (first, length), *others = [(field, len(column)) for field, column in columns.items()]
    for field, count in others:
        if count != length:
            raise DataError(
                f"{paths[field]} has {count} lines and {paths[first]} has {length}",
                help="parallel files have one line a row each",
            )
    stamp = "|".join(stamp_of(path, layout) for path in paths.values())
    rows = ArrowRows(columns, place=lambda index: f"{paths[first]}:{index + 1}", fingerprint=stamp)
    wrong = blank_rows(rows)
    if not wrong.any():
        return rows
    if reading.bad == "error":
        index = int(np.flatnonzero(wrong)[0])
        empty = next(field for field, text in rows[index].items() if not text.strip())
        others_text = f" ({int(wrong.sum()) - 1} more rows are at fault)" if wrong.sum() > 1 else ""
        raise DataError(f"{paths[empty]}:{index + 1}: '{empty}' is missing{others_text}", help=SKIP)
    return Chosen(rows, np.flatnonzero(~wrong), name="good", skipped=int(wrong.sum()))
