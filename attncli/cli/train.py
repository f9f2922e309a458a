"""attncli train."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attncli.cli import options

if TYPE_CHECKING:
    from attncli.data.codec import Codec
    from attncli.data.rows import Rows
    from attncli.nn.model import Model
    from attncli.spec.run import Run
    from attncli.training.loop import Evaluate, Outcome

SCORED_ROWS = 256
"""Validation rows that are written out at each evaluation; the loss is that of all."""
_ALWAYS = ("loss", "perplexity", "token_accuracy", "accuracy")


@click.command(short_help="Train a spec into a run folder, or resume it.")
@click.argument("spec", type=click.Path(path_type=Path))
@options.overrides
@click.option("--run", "folder", type=click.Path(path_type=Path), help="The run folder; runs/<name> by default.")
@click.option("--resume", is_flag=True, help="Continue the run from its newest sound checkpoint.")
@click.option("--force", is_flag=True, help="Replace a run that is there.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop when the run has done N steps; the schedule keeps the spec's length, so --resume can go on.",
)
@options.device
@options.threads
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say more.")
def train(
    spec: Path,
    overrides: tuple[str, ...],
    folder: Path | None,
    resume: bool,
    force: bool,
    steps: int | None,
    device: str,
    threads: int | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Train SPEC into a run folder, or continue the run there.

    Ctrl-C and SIGTERM finish the step and leave a checkpoint that --resume continues from, bit for bit.
    """
    if resume and force:
        raise click.UsageError("--resume continues a run and --force replaces it: give one of them")
    if quiet and verbose:
        raise click.UsageError("--quiet says less and --verbose more: give one of them")
    from attncli.cli.terminal import hear_warnings, log, refuse_unwritable
    from attncli.spec.load import load_spec

    loaded = load_spec(spec, overrides)
    from attncli.training.display import Display
    from attncli.training.loop import Settings
    from attncli.training.loop import train as run_training

    place = folder or Path("runs") / loaded.run.name
    refuse_unwritable("--run", place)
    display = Display(log(), quiet=quiet, verbose=verbose)
    for note in loaded.notes:
        display.note(note)
    hear_warnings(display.note)
    outcome = run_training(
        loaded,
        spec.read_bytes(),
        place,
        Settings(device=device, threads=threads, resume=resume, force=force, steps=steps),
        display,
        _metrics(loaded.run),
    )
    if not quiet:
        _tell(outcome, _continuation(spec, overrides, folder))
    if outcome.signal is not None:
        click.get_current_context().exit(128 + outcome.signal)


def _metrics(run: "Run") -> "Evaluate | None":
    """What an evaluation amid training adds to loss, perplexity and accuracy; None where there is nothing more.

    Writing texts out takes long, so these are those of the first rows, written greedily. Where early stopping goes by
    one of them, all rows are written, as the spec's decoding says.
    """
    from attncli.spec.tasks import LanguageModel, Rewriting
    from attncli.spec.training import Greedy

    early = run.train.early_stopping
    decisive = early is not None and early.metric not in _ALWAYS
    wanted = [name for name in run.evaluate.metrics if name not in _ALWAYS]
    if not wanted or (isinstance(run.task, LanguageModel) and not decisive):
        return None
    sampled = isinstance(run.task, Rewriting) and not decisive

    def scores(model: "Model", codec: "Codec", rows: "Rows") -> dict[str, float]:
        from attncli.decoding import decoder
        from attncli.evaluation import evaluate

        limit = min(SCORED_ROWS, len(rows)) if sampled else len(rows)
        decode = decoder(model, codec, run, Greedy(max_length=_longest(codec, rows, limit)) if sampled else None)
        return evaluate(model, codec, rows, run, decode=decode, metrics=wanted, limit=limit).metrics

    return scores


def _longest(codec: "Codec", rows: "Rows", count: int) -> int:
    """Where writing is cut off amid training: a model that has not learnt to end yet would go on to max_length."""
    encode = codec.vocabularies["target"].encode
    return 2 * max(len(encode(rows[index]["target"])) for index in range(count)) + 1


def _continuation(spec: Path, overrides: tuple[str, ...], folder: Path | None) -> str:
    """The command that continues this run."""
    words = ["attncli", "train", str(spec), *(word for key in overrides for word in ("-o", key))]
    return shlex.join([*words, *(["--run", str(folder)] if folder else []), "--resume"])


def _tell(outcome: "Outcome", again: str) -> None:
    """How it ended and what can be done now."""
    from attncli.cli.terminal import results

    ends = {
        "duration": "trained to the end",
        "patience": "stopped early, since validation no longer improved",
        "steps": f"stopped as --steps says; the whole run is {outcome.length}",
        "signal": f"stopped by a signal, after a clean checkpoint; the whole run is {outcome.length}",
    }
    console = results()
    done = "" if outcome.trained else "nothing left to do: "
    console.print(f"{outcome.folder}: step {outcome.step}: {done}{ends[outcome.reason]}")
    if outcome.scores:
        of = "validation" if outcome.best is not None else "training"
        written = ", ".join(f"{name} {value:.4g}" for name, value in outcome.scores.items())
        none = "none yet" if outcome.reason in ("steps", "signal") else "the last, since there are no validation data"
        console.print(f"best checkpoint: {none if outcome.best is None else f'step {outcome.best}'}")
        console.print(f"{of}: {written}")
    console.print("next:")
    if outcome.reason in ("steps", "signal"):
        console.print(f"  {again}", soft_wrap=True)  # a command is copied whole
    place = shlex.quote(str(outcome.folder))
    for rest in (f"evaluate {place}", f"predict {place} --text '…'", f"inspect {place} --text '…' --out maps"):
        console.print(f"  attncli {rest}", soft_wrap=True)
