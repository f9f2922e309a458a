"""attncli prune."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attncli.cli import options

if TYPE_CHECKING:
    from rich.table import Table

    from attncli.analysis.pruning import Pruned
    from attncli.api import LoadedRun
    from attncli.evaluation import Report


@click.command(short_help="Write a smaller run without some heads, which gives what the masked model gives.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--heads", "heads", multiple=True, required=True, metavar="ADDRESS:LIST",
              help="Heads to leave out: decoder.0.attention:1,3; several with commas, or repeated.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="RUN2", help="The new run folder.")
@click.option("--force", is_flag=True, help="Replace the run that is there.")
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE",
              help="Score both runs on this file.")  # fmt: skip
@click.option("--split", type=click.Choice(["train", "valid", "test"]),
              help="Score both on this split; test, else valid, by default.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Score the first N rows alone.")
@options.checkpoint
@options.threads
@click.option("--json", "as_json", is_flag=True, help="Print what changed as JSON.")
def prune(
    run: Path, heads: tuple[str, ...], out: Path, force: bool, data: Path | None, split: str | None, limit: int | None,
    checkpoint: str, threads: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Write the run RUN without some of its heads into the folder RUN2.

    The smaller model gives what RUN gives with those heads masked, to rounding: this is checked before anything is
    written. Where no smaller model does the same, the reason is given. `train RUN2/spec.yaml --run RUN2 --resume`
    trains it on. Both are scored where there are data.
    """
    if data is not None and split is not None:
        raise click.UsageError("--data and --split name different rows: give one of them")
    from attncli.analysis.heads import read_heads
    from attncli.analysis.masking import headed
    from attncli.analysis.pruning import prune as work
    from attncli.api import load_run
    from attncli.cli.terminal import hear_warnings, log, print_json, refuse_missing, refuse_unwritable, results
    from attncli.errors import InputError
    from attncli.training.folder import RunFolder
    from attncli.training.machine import use_threads

    refuse_missing("--data", data)
    refuse_unwritable("--out", out)
    if out.resolve() == run.resolve():
        raise InputError(f"--out {out}: this is the run itself", help="name another folder")
    use_threads(threads)
    hear_warnings()
    folder = RunFolder(run, say=log().print)
    before = load_run(run, checkpoint=checkpoint, say=log().print)
    there = {address: attention.heads for address, attention in headed(before.model).items()}
    gone = read_heads(heads, there)
    first = _scored(before, data, split, limit)  # a bad row is found before anything is written
    done = work(folder, gone, out, checkpoint=checkpoint, force=force)
    reports = [first, _scored(load_run(out), data, split, limit)]
    if as_json:
        print_json({"run": str(out), **done.json(), "quality": _quality(reports)})
        return
    results().print(_table(done, reports))
    results().print(f"max|logits - masked| {done.error:.1e} in float64; written: {out}")


def _scored(loaded: "LoadedRun", data: Path | None, split: str | None, limit: int | None) -> "Report | None":
    """The metrics of a run; None where its spec names no rows to score."""
    spec = loaded.spec
    if data is None and split is None and (spec.data is None or not any(
        getattr(spec.data, name, None) is not None for name in ("valid", "test")
    )):  # fmt: skip
        return None
    return loaded.evaluate(data=data, split=split, limit=limit)


def _quality(reports: "list[Report | None]") -> dict[str, Any] | None:
    before, after = reports
    if before is None or after is None:
        return None
    return {"split": before.split, "rows": before.counts["rows"], "before": before.metrics, "after": after.metrics}


def _table(done: "Pruned", reports: "list[Report | None]") -> "Table":
    from rich import box
    from rich.table import Table

    from attncli.evaluation.report import shown

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "before", "after", "after / before"):
        table.add_column(name, justify="right" if name else "left")
    for name in ("heads", "parameters", "flops"):
        before, after = getattr(done.before, name), getattr(done.after, name)
        table.add_row(name, f"{before:,}", f"{after:,}", f"{after / before:.3f}")
    seconds = [f"{1000 * cost.seconds:.2f}" for cost in (done.before, done.after)]
    table.add_row("milliseconds", *seconds, f"{1 / done.faster:.3f}")
    first, second = reports
    if first is not None and second is not None:
        for name, value in first.metrics.items():
            table.add_row(f"{name} ({first.split})", shown(name, value), shown(name, second.metrics[name]), "")
    return table
