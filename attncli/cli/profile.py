"""attncli profile."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from attncli.cli import options

if TYPE_CHECKING:
    from attncli.profiling.report import Setting
    from attncli.spec.run import Run
    from attncli.spec.sizes import Sizes


@click.command(short_help="Count and measure what a model costs on this machine.")
@click.argument("target", metavar="SPEC|RUN", type=click.Path(path_type=Path))
@options.overrides
@click.option("--phase", type=click.Choice(["train", "forward", "decode"]), default="train", show_default=True,
              help="A training step, a forward pass, or one token more with a cache.")  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="Rows, by default those of a training step.")
@click.option("--length", "lengths", type=click.IntRange(min=1), multiple=True, metavar="N",
              help="Tokens of a row, 128 by default; repeated, a table over the lengths.")  # fmt: skip
@click.option("--no-measure", is_flag=True, help="Count only: build nothing, take no memory.")
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), help="Write a timeline as a Chrome trace.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON, in seconds, bytes and FLOPs.")
@options.device
@options.threads
@click.option("-v", "--verbose", is_flag=True, help="Show each layer, those that are alike too.")
def profile(
    target: Path, overrides: tuple[str, ...], phase: Literal["train", "forward", "decode"], batch: int | None,
    lengths: tuple[int, ...], no_measure: bool, trace: Path | None, as_json: bool, device: str, threads: int | None,
    verbose: bool,
) -> None:  # fmt: skip
    """Show what the model of SPEC|RUN, a spec or a run folder, costs: parameters, FLOPs, memory and time of each part.

    FLOPs are counted from the spec by the pairs that each mask shows, and with every pair. Time, memory and the
    machine's fastest matrix product are measured here, on random tokens and fresh weights.
    """
    if trace is not None and (no_measure or len(lengths) > 1):
        raise click.UsageError("--trace shows one measured step: leave out --no-measure and all but one --length")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler else says on stderr that it starts and stops
    import torch

    from attncli.cli.terminal import print_json, refuse_unwritable, results
    from attncli.profiling import report, tables
    from attncli.profiling.synthetic import scene_of
    from attncli.spec.seeds import mix

    if trace is not None:
        refuse_unwritable("--trace", trace)  # torch only mutters where it cannot write
    run, sizes = _read(target, overrides)
    scenes = [scene_of(run, batch=batch, length=length, phase=phase) for length in lengths or (None,)]
    setting = _setting(run, device, threads)
    torch.manual_seed(mix(run.seed, "weights"))
    make = report.count if no_measure else partial(report.profile, trace=trace)
    profiles = [make(run, sizes, scene, setting) for scene in scenes]
    if as_json:
        found = [tables.profile_json(each) for each in profiles]
        print_json(found[0] if len(found) == 1 else {"name": run.name, "sweep": found})
        return
    console = results()
    if len(profiles) > 1:
        console.print(tables.sweep_table(profiles, console))
    else:
        console.print(tables.profile_table(profiles[0], sizes, console, every_layer=verbose))


def _read(target: Path, overrides: tuple[str, ...]) -> "tuple[Run, Sizes]":
    """The spec with the sizes that it gives, or a run's spec with the sizes that its data gave."""
    from attncli.nn.model import token_fields
    from attncli.spec.sizes import sizes_of

    if target.is_dir():
        from attncli.training.folder import RunFolder

        if overrides:
            raise click.UsageError("-o changes a spec; a run is what it was trained as")
        folder = RunFolder(target)
        return folder.run(), folder.codec().sizes
    from attncli.cli.terminal import log
    from attncli.spec.load import load_spec

    loaded = load_spec(target, overrides)
    for note in loaded.notes:
        log().print(note, style="yellow")
    return loaded.run, sizes_of(loaded.run, token_fields(loaded.run))


def _setting(run: "Run", device: str, threads: int | None) -> "Setting":
    from attncli.profiling.report import Setting
    from attncli.training.machine import choose_device, low_precision, use_threads
    from attncli.training.optimisers import build_optimizer

    use_threads(threads)
    chosen = choose_device(device)
    return Setting(
        device=chosen,
        low_precision=low_precision(run.train.precision, chosen),
        optimizer=lambda model: build_optimizer(run.train.optimizer, model, learning_rate=run.train.learning_rate),
    )
