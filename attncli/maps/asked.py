"""What is asked for, against what the task can do: the rows to look at, and how their texts are written."""

from collections.abc import Sequence
from pathlib import Path

from attncli.data.carried import Carried
from attncli.data.rows import Row
from attncli.data.sources import open_file
from attncli.errors import InputError
from attncli.spec.fields import asked
from attncli.spec.run import Run
from attncli.spec.tasks import REWRITING
from attncli.spec.training import Beam, Decoding, Greedy, Sample

Place = str
"""Where a row comes from, for errors."""


def rows_of(run: Run, texts: Sequence[str], targets: Sequence[str], file: Path | None) -> list[tuple[Place, Row]]:
    """The rows of texts, each with its target where there are any, and of a file with one text a line; where masks read
    what data say, of a table that has a column for it.

    Errors: InputError where nothing is given, where a text is no UTF-8, or where targets do not fit; DataError where
    the table cannot be read.
    """
    field = asked(run.task, run.data)
    given: list[tuple[Place, Row]] = [
        (f"--text {text!r}" if len(text) < 60 else "--text", {field: text}) for text in texts
    ]
    if file is not None:
        carried = Carried(run)
        read = (*carried.integers, *carried.samples)
        given += _table(run, file, (field, *read)) if read else [
            (f"{file}:{number}", {field: line}) for number, line in enumerate(_lines(file), 1) if line.strip()
        ]  # fmt: skip
    if not given:
        raise InputError("there is no text to look at", help="give --text TEXT, or --file FILE with one text a line")
    for place, row in given:
        if any("\ud800" <= character <= "\udfff" for character in row[field]):
            raise InputError(f"{place!a}: this text is not UTF-8", help="set the terminal to UTF-8, or use --file")
    if not targets:
        return given
    if field != "source":
        raise InputError(f"--target: a {run.task.kind} model has no target", help="leave it out")
    if len(targets) != len(given):
        raise InputError(f"--target: {len(targets)} for {len(given)} texts", help="give one --target for each text")
    return [(place, {**row, "target": target}) for (place, row), target in zip(given, targets, strict=True)]


def _table(run: Run, file: Path, fields: Sequence[str]) -> list[tuple[Place, Row]]:
    if not file.is_file():
        raise InputError(f"--file {file}: there is no such file", help=f"name a table with {' and '.join(fields)}")
    rows = open_file(run, file, fields=fields)
    return [(rows.place(number), rows[number]) for number in range(len(rows))]


def _lines(file: Path) -> list[str]:
    try:
        return [line.removesuffix("\r") for line in file.read_bytes().decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is not UTF-8", help="save the file as UTF-8") from None
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file", help="name a file with one text a line") from None
    except IsADirectoryError:
        raise InputError(f"--file {file}: this is a folder", help="name a file in it") from None


def decoding_of(
    run: Run, *, decoding: str | None, n_best: int | None, generate: int | None, targets: bool
) -> Decoding | None:
    """How the texts are written; None where they are read at once.

    Errors: InputError where what is asked contradicts itself or the task.
    """
    task = run.task.kind
    if generate is not None and task != "language_model":
        raise InputError(f"--generate: a {task} model continues no text", help="leave it out")
    writes = generate is not None or (task in REWRITING and not targets)
    if writes and decoding == "forced":
        way = "leave --generate out" if generate is not None else "give --target, what it is made to write"
        raise InputError("--decoding forced: nothing is given that it should write", help=way)
    if not writes:
        flag = f"--decoding {decoding}" if decoding not in (None, "forced") else "--n-best" if n_best else None
        if flag is not None:
            ways = {"seq2seq": "leave it or --target out", "language_model": "add --generate N"}
            help = ways.get(task, "leave it out")
            raise InputError(f"{flag}: the text is read at once, nothing is written", help=help)
        return None
    chosen = _named(run, decoding)
    if n_best is not None:
        if not isinstance(chosen, Beam):
            raise InputError(f"--n-best: {chosen.kind} decoding writes one text", help="add --decoding beam")
        chosen = chosen.model_copy(update={"n_best": n_best, "size": max(n_best, chosen.size)})
    return chosen if generate is None else chosen.model_copy(update={"max_length": generate})


def _named(run: Run, decoding: str | None) -> Decoding:
    written = run.evaluate.decoding
    match decoding:
        case "greedy":
            return Greedy()
        case "sample":
            return written if isinstance(written, Sample) else Sample(max_length=written.max_length)
        case "beam":
            return written if isinstance(written, Beam) else Beam()
        case _:
            return written
