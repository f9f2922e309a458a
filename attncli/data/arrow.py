"""Rows in Arrow memory maps, read by Hugging Face datasets.

Text stays as it was written: every column of a table is read as text, `NA` is two letters and `007` three digits.
"""

import csv
import errno
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attncli.data.layout import Layout
from attncli.data.rows import Row, Rows

if TYPE_CHECKING:
    import pyarrow as pa

REST = "rest"
"""The column that holds what stands beyond the columns of the first row."""


class Unreadable(Exception):
    """datasets cannot read the file, or not as plain values; the second pass finds out why."""


class ArrowRows(Rows):
    """Rows of a table, a column a field."""

    def __init__(
        self, columns: Mapping[str, "pa.ChunkedArray"], *, place: Callable[[int], str], fingerprint: str,
        names: Mapping[str, list[str]] | None = None,
    ) -> None:  # fmt: skip
        import pyarrow as pa

        self.table = pa.table(dict(columns))
        self.fields = tuple(columns)
        self.fingerprint = fingerprint
        self._place, self._names = place, dict(names or {})

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, index: int) -> Row:
        index = range(len(self))[index]
        return {field: self._text(field, self.table.column(field)[index].as_py()) for field in self.fields}

    def __iter__(self) -> Iterator[Row]:
        for batch in self.table.to_batches(max_chunksize=1000):
            columns = [
                [self._text(field, value) for value in batch.column(place).to_pylist()]
                for place, field in enumerate(self.fields)
            ]
            for values in zip(*columns, strict=True):
                yield dict(zip(self.fields, values, strict=True))

    def place(self, index: int) -> str:
        return self._place(range(len(self))[index])

    def _text(self, field: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        if names := self._names.get(field):
            value = [names[item] for item in value] if isinstance(value, list) else names[value]
        return text_of(value) or ""


class Documents(ArrowRows):
    """Paragraphs, without the line ends around them."""

    def _text(self, field: str, value: Any) -> str:
        return str(value).strip("\n")


def text_of(value: Any) -> str | None:
    """A value as text: numbers as written in JSON, lists of them with spaces between; None where it has no text."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            parts = [text_of(item) for item in value if not isinstance(item, list)]
            known = [part for part in parts if part is not None]
            return " ".join(known) if len(known) == len(value) else None
        case _:
            return None


def blank_rows(rows: ArrowRows) -> NDArray[np.bool_]:
    """Which rows lack the text of some field. Raises Unreadable for text that is not UTF-8."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = []
    for batch in rows.table.to_batches(max_chunksize=65536):
        blank = np.zeros(batch.num_rows, dtype=bool)
        for column in batch.columns:
            blank |= column.is_null().to_numpy(zero_copy_only=False)
            if is_text(column.type):
                try:
                    empty = pc.equal(pc.utf8_trim_whitespace(column), "").fill_null(True)
                except pa.ArrowInvalid as error:  # datasets does not look into what JSON and Parquet hold
                    raise Unreadable(str(error)) from error
                blank |= empty.to_numpy(zero_copy_only=False)
        found.append(blank)
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)


def is_text(kind: "pa.DataType") -> bool:
    """Whether a column of this type holds text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_plain(kind: "pa.DataType") -> bool:
    """Whether values of this type have a text: text, numbers, truths, and lists of these."""
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return not pa.types.is_list(kind.value_type) and is_plain(kind.value_type)
    return is_text(kind) or bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def keys_of(schema: "pa.Schema") -> list[str]:
    """The names of the columns, those inside mappings as `translation.en`."""
    import pyarrow as pa

    def below(name: str, kind: "pa.DataType") -> Iterator[str]:
        if pa.types.is_struct(kind):
            for inner in kind:
                yield from below(f"{name}.{inner.name}", inner.type)
        else:
            yield name

    return [key for field in schema for key in below(field.name, field.type)]


def pick(table: "pa.Table", columns: Mapping[str, str]) -> dict[str, "pa.ChunkedArray"]:
    """The columns of the fields; `translation.en` is looked up inside `translation`."""
    return {field: _pick(table, key) for field, key in columns.items()}


def _pick(table: "pa.Table", key: str) -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    if key in table.column_names:
        return table.column(key)
    first, *rest = key.split(".")
    column = table.column(first)
    for name in rest:
        column = pc.struct_field(column, name)
    return column


@contextmanager
def quiet_datasets(*, online: bool = False) -> Iterator[Any]:
    """The datasets library, without its progress bars and logs, and without the network unless `online`."""
    wanted = {"HF_HUB_OFFLINE": "0" if online else "1", "HF_DATASETS_OFFLINE": "0" if online else "1"}
    before = {name: os.environ.get(name) for name in wanted}
    if not online:
        os.environ.update(wanted)
    try:
        import datasets

        offline, bars = datasets.config.HF_HUB_OFFLINE, datasets.is_progress_bar_enabled()
        level = datasets.logging.get_verbosity()
        datasets.config.HF_HUB_OFFLINE = offline or not online
        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", category=_parser_warning())  # pandas drops values with no more than this
                yield datasets
        finally:
            datasets.config.HF_HUB_OFFLINE = offline
            datasets.logging.set_verbosity(level)
            if bars:
                datasets.enable_progress_bars()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _parser_warning() -> type[Warning]:
    from pandas.errors import ParserWarning  # type: ignore[import-untyped]  # pandas ships no types

    found: type[Warning] = ParserWarning
    return found


def read_table(path: Path, layout: Layout, cache: Path) -> "pa.Table":
    """The whole file as a memory-mapped table. Raises Unreadable where datasets fails."""
    with quiet_datasets() as datasets:
        options: dict[str, Any] = {}
        match layout.kind:
            case "csv" | "tsv":
                names = [str(number) for number in range(layout.width)] + [REST]
                text = datasets.Features({name: datasets.Value("string") for name in names})
                sep, quoting = (",", csv.QUOTE_MINIMAL) if layout.kind == "csv" else ("\t", csv.QUOTE_NONE)
                header = 0 if layout.header else None
                options = {"sep": sep, "quoting": quoting, "names": names, "header": header, "index_col": False,
                           "encoding": "utf-8-sig", "na_filter": False, "features": text}  # fmt: skip
            case "lines" | "documents":
                options = {"sample_by": "line" if layout.kind == "lines" else "paragraph", "encoding": "utf-8-sig"}
            case "json" | "parquet":
                pass
        builder = {"tsv": "csv", "lines": "text", "documents": "text"}.get(layout.kind, layout.kind)
        return _load(datasets, builder, {"data_files": [str(path)], "split": "train", **options}, cache)


def _load(datasets: Any, builder: str, options: dict[str, Any], cache: Path) -> "pa.Table":
    try:
        loaded = datasets.load_dataset(builder, cache_dir=str(cache / "datasets"), **options)
    except Exception as error:  # its readers raise whatever pandas, pyarrow and the codecs raise
        raise_if_disk(error)
        raise Unreadable(str(error)) from error
    return loaded.data.table


def raise_if_disk(error: BaseException | None) -> None:
    """Raise the fault of the disk that lies behind an error of datasets, if one does."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise error
        error = error.__cause__ or error.__context__


def write_table(rows: Callable[..., Iterator[Row]], arguments: dict[str, Any], cache: Path) -> "pa.Table":
    """Rows of text that a generator yields, as a memory-mapped table."""
    with quiet_datasets() as datasets:
        try:
            made = datasets.Dataset.from_generator(rows, gen_kwargs=arguments, cache_dir=str(cache / "datasets"))
        except Exception as error:
            raise_if_disk(error)
            raise
        return made.data.table
