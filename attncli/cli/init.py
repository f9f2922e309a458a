"""attncli init."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from attncli.spec.starter import Head

_SEEN = 2000
"""Rows that are looked at."""


@click.command(short_help="Write a first spec for a file of data.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("spec.yaml"), show_default=True, help="The spec.")
def init(data: Path, out: Path) -> None:
    """Look at the first rows of DATA and write a spec to start from.

    DATA is CSV, TSV, JSONL, Parquet or plain text. Two texts a row become a translation, a text with a label a
    classification, words with tags a tagging, a single text a language model.
    """
    from attncli.cli.terminal import refuse_unwritable
    from attncli.errors import InputError
    from attncli.spec.load import load_text
    from attncli.spec.starter import choose, starter

    if out.exists():
        raise InputError(f"{out}: this file exists, and is not written over", help="name another one with --out")
    refuse_unwritable("--out", out)
    head = _head(data)
    choice = choose(head)
    text = starter(head, choice, out)
    load_text(text, name=str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    click.echo(f"{out}: {choice.task}, since {choice.why.split(', so ')[0]}")
    click.echo(f"next: attncli build {out}, then attncli train {out}")
    click.echo("for your editor: attncli schema --out " + str(out.parent / "schema.json"))


def _head(path: Path) -> "Head":
    """The first rows of a file. Raises InputError where there are none, DataError where they cannot be read."""
    from attncli.data.layout import kind_of
    from attncli.data.records import records
    from attncli.errors import DataError, InputError
    from attncli.spec.starter import Head, has_header

    if path.is_dir():
        raise InputError(f"{path}: this is a folder", help="name a file in it")
    if not path.exists():
        raise InputError(f"{path}: there is no such file", help="name a CSV, TSV, JSONL, Parquet or text file")
    kind = kind_of(path, documents=False)
    try:
        found = list(islice(records(path, kind), _SEEN))
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be read as {kind}: {error}", help="look at the file") from None
    if not found:
        raise InputError(f"{path}: the file is empty", help="give a file with rows")
    for record in found:
        if record.fault:
            raise DataError(f"{path}:{record.line}: {record.fault}", help="correct the row")
    if kind in ("json", "parquet"):
        names, rows, header = *_keyed([record.values[0] for record in found]), True
    else:
        cells = [tuple(str(value) for value in record.values) for record in found]
        header = kind in ("csv", "tsv") and len(cells) > 1 and has_header(cells[0], cells[1:])
        names = tuple(name.strip() for name in cells[0]) if header else tuple(map(str, range(len(cells[0]))))
        rows = tuple(row for row in cells[1 if header else 0 :] if len(row) >= len(names))
    shown = sum(len("\t".join(row).encode()) + 1 for row in rows) / max(1, len(rows))
    total = len(rows) if len(found) < _SEEN else max(len(rows), int(path.stat().st_size / shown))
    return Head(path, names, rows, header, total)


def _keyed(values: list[dict[str, Any]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Objects as columns, those inside others by names like `translation.en`."""
    flat = [_flat(value) for value in values]
    names = tuple(dict.fromkeys(name for row in flat for name in row))
    return names, tuple(tuple(row.get(name, "") for name in names) for row in flat)


def _flat(value: dict[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found |= _flat(inner, f"{above}{key}.")
        elif isinstance(inner, list):
            found[above + key] = " ".join(str(item) for item in inner)
        else:
            found[above + key] = "" if inner is None else str(inner)
    return found
