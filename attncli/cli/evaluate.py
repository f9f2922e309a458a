"""attncli evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from attncli.cli import options

if TYPE_CHECKING:
    from attncli.evaluation import Report

FILES = ("report.txt", "report.json", "predictions.jsonl", "confusion.png")


@click.command(short_help="Score a trained run on its test split or on a file.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE",
              help="Score the rows of this file, with the columns that the spec names.")  # fmt: skip
@click.option("--split", type=click.Choice(["train", "valid", "test"]),
              help="Score this split of the spec; test, else valid, by default.")  # fmt: skip
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N rows.")
@options.beam
@options.max_length
@options.checkpoint
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Write report, predictions and confusion matrix into this folder.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the files of an earlier --out.")
@options.device
@options.threads
@options.int8
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def evaluate(
    run: Path, data: Path | None, split: str | None, metrics: tuple[str, ...], limit: int | None,
    beam: int | None, max_length: int | None, checkpoint: str, out: Path | None, force: bool, device: str,
    threads: int | None, int8: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Score the model in the run folder RUN with the metrics of its task.

    The rows are those of the test split, or of --data. Texts are written as the spec's evaluate.decoding says, unless
    the options say otherwise.
    """
    if data is not None and split is not None:
        raise click.UsageError("--data and --split name different rows: give one of them")
    from attncli.api import load_run
    from attncli.cli.terminal import hear_warnings, log, print_json, progress, results
    from attncli.decoding.flags import Flags
    from attncli.training.machine import use_threads

    _refuse(data, out, force)
    use_threads(threads)
    hear_warnings()
    loaded = load_run(run, checkpoint=checkpoint, device=device, int8=int8, say=log().print)
    with progress("rows", quiet=quiet) as done:
        report = loaded.evaluate(data=data, split=split, metrics=metrics or None, limit=limit,
                                 flags=Flags(beam=beam, max_length=max_length), progress=done)  # fmt: skip
    written = [] if out is None else _write(report, out)
    if as_json:
        print_json(report.json())
        return
    console = results()
    console.print(report.text(console.width), end="")
    if written:
        console.print(f"written: {', '.join(str(path) for path in written)}")


def _refuse(data: Path | None, out: Path | None, force: bool) -> None:
    """Before anything is computed."""
    from attncli.cli.terminal import refuse_missing, refuse_unwritable
    from attncli.errors import InputError

    refuse_missing("--data", data)
    if out is None:
        if force:
            raise click.UsageError("--force replaces the files of --out, which is not given")
        return
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: this is a file", help="name a folder with --out")
    there = [name for name in FILES if (out / name).exists()]
    if there and not force:
        raise InputError(f"{out}: {there[0]} is there already", help="add --force to replace it, or name another --out")
    refuse_unwritable("--out", out)


def _write(report: "Report", out: Path) -> list[Path]:
    import json

    from attncli.cli.terminal import plain
    from attncli.evaluation.picture import draw_confusion

    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    text, data, predictions, picture = (out / name for name in FILES)
    text.write_text(report.text(), encoding="utf-8")
    data.write_text(json.dumps(plain(report.json()), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    written = [text, data]
    if report.predictions:
        lines = (json.dumps(plain(row), ensure_ascii=False) + "\n" for row in report.predictions)
        predictions.write_text("".join(lines), encoding="utf-8")
        written.append(predictions)
    if report.confusion:
        draw_confusion(report.confusion, report.labels, picture)
        written.append(picture)
    return written
