"""Data sets of the Hugging Face hub: the only source that may use the network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attncli.data.arrow import ArrowRows, blank_rows, is_plain, keys_of, pick, quiet_datasets, raise_if_disk
from attncli.data.layout import find_columns
from attncli.data.records import SKIP
from attncli.data.rows import Chosen, Rows
from attncli.errors import DataError
from attncli.spec.data import Hub


def open_hub(data: Hub, split: str, wanted: Mapping[str, str | int], cache: Path, key: str) -> Rows:
    """The rows of one split of a data set. Labels that the set keeps as numbers get their names."""
    with quiet_datasets(online=True) as datasets:
        try:
            loaded = datasets.load_dataset(data.name, data.subset, split=split, cache_dir=str(cache / "datasets"))
        except Exception as error:  # the hub, its client and the readers raise whatever they like
            raise_if_disk(error)
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DataError(
                f"{key}: '{split}' of the data set '{data.name}' cannot be opened: {reason}",
                help="look at its page for subsets and splits, and at the network; `none` leaves a split out",
            ) from error
    table = loaded.data.table
    columns = find_columns(wanted, keys_of(table.schema), f"{data.name} {split}")
    picked = pick(table, columns)
    for field, column in picked.items():
        if not is_plain(column.type):
            fault = f"{data.name} {split}: '{columns[field]}' holds no text but {column.type}"
            raise DataError(fault, help=f"name another column with data.fields.{field}.column")
    names = {field: _class_names(loaded.features.get(column)) for field, column in columns.items()}
    rows = ArrowRows(
        picked,
        place=lambda index: f"{data.name} {split}: row {index + 1}",
        fingerprint=loaded._fingerprint,
        names=names,
    )
    wrong = blank_rows(rows)
    if not wrong.any():
        return rows
    if data.on_bad_row == "error":
        raise DataError(f"{rows.place(int(np.flatnonzero(wrong)[0]))}: a field is missing", help=SKIP)
    return Chosen(rows, np.flatnonzero(~wrong), name="good", skipped=int(wrong.sum()))


def _class_names(feature: object) -> list[str]:
    """The names of a ClassLabel, or of a list of them; labels on the hub are numbers."""
    inner = getattr(feature, "feature", feature)
    return list(getattr(inner, "names", None) or [])
