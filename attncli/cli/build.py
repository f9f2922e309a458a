"""attncli build."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attncli.cli import options

if TYPE_CHECKING:
    from attncli.spec.load import Loaded


@click.command(short_help="Validate a spec and show the model that it builds.")
@click.argument("spec", type=click.Path(path_type=Path))
@options.overrides
@click.option("--validate-only", is_flag=True, help="Say whether the spec is valid, and build nothing.")
@click.option("--resolved", is_flag=True, help="Print the spec with every default, each with its reason.")
@click.option("--blame", metavar="KEY", help="Say where the value of a key comes from.")
@click.option("--mask", metavar="[ADDRESS]", is_flag=False, flag_value="",
              help="Draw the masks, or that of one attention; with --out FILE.svg as a picture.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the graph as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Write freshly initialised weights to a safetensors file.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True,
              help="The device that the kernels are chosen for.")  # fmt: skip
def build(
    spec: Path, overrides: tuple[str, ...], validate_only: bool, resolved: bool, blame: str | None, mask: str | None,
    as_json: bool, out: Path | None, device: str,
) -> None:  # fmt: skip
    """Validate SPEC, build it without taking memory, and print its graph.

    The graph shows every part with its shape and parameters, and the kernel of each attention with the reason for it.
    No data are needed: sizes that only the data can tell are the spec's own, marked "from data".
    """
    asked = {"--validate-only": validate_only, "--resolved": resolved, "--blame": blame is not None,
             "--mask": mask is not None, "--json": as_json, "--out": out is not None}  # fmt: skip
    if mask is not None and out is not None:
        asked["--out"] = False  # the picture of the masks
    if len(given := [flag for flag, is_given in asked.items() if is_given]) > 1:
        raise click.UsageError(f"{' and '.join(given)} show different things: give one of them")
    from attncli.cli.terminal import log
    from attncli.spec.load import load_spec

    loaded = load_spec(spec, overrides)
    for note in loaded.notes:
        log().print(note, style="yellow")
    if validate_only:
        click.echo(f"{spec}: {loaded.run.name} is valid")
    elif resolved:
        click.echo(loaded.explained(), nl=False)
    elif blame is not None:
        for row in loaded.blame(blame):
            click.echo(f"{row.key}: {row.value}  # {row.why}")
    elif mask is not None:
        _draw_masks(loaded, mask, out)
    elif out is not None:
        _write_weights(loaded, out)
    else:
        _print_graph(loaded, device, as_json)


def _draw_masks(loaded: "Loaded", address: str, out: Path | None) -> None:
    from attncli.cli.terminal import refuse_unwritable
    from attncli.profiling.mask_pictures import svg_of
    from attncli.profiling.masks import drawings

    if out is not None:
        if out.suffix != ".svg":
            raise click.UsageError(f"--mask --out {out}: masks are drawn as .svg")
        refuse_unwritable("--out", out)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(svg_of(loaded.run, address), encoding="utf-8")
        click.echo(f"{out}: the masks of {loaded.run.name}")
        return
    for line in drawings(loaded.run, address):
        click.echo(line)


def _print_graph(loaded: "Loaded", device: str, as_json: bool) -> None:
    from attncli.cli.terminal import print_json, results
    from attncli.nn.model import build_model, token_fields
    from attncli.profiling.count import parts_of
    from attncli.profiling.graph import graph, graph_json
    from attncli.profiling.report import kernels_of
    from attncli.spec.sizes import sizes_of
    from attncli.training.machine import choose_device

    sizes = sizes_of(loaded.run, token_fields(loaded.run))
    model = build_model(loaded.run, sizes, "meta")
    parts = parts_of(model)
    kernels = kernels_of(model, device=choose_device(device).type, dtype="float32", training=True, calls={})
    if as_json:
        print_json(graph_json(loaded.run, sizes, parts, kernels))
    else:
        console = results()
        console.print(graph(loaded.run, sizes, parts, kernels, console))


def _write_weights(loaded: "Loaded", out: Path) -> None:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from attncli.cli.terminal import log, refuse_unwritable
    from attncli.errors import InputError, WorkError
    from attncli.nn.model import build_model, token_fields
    from attncli.spec.seeds import mix
    from attncli.spec.sizes import sizes_of

    if out.exists():
        raise InputError(f"{out}: this file exists; weights are never written over a file", help="name another file")
    refuse_unwritable("--out", out)
    torch.manual_seed(mix(loaded.run.seed, "weights"))
    model = build_model(loaded.run, sizes_of(loaded.run, token_fields(loaded.run)))
    weights: dict[str, Any] = {name: parameter.detach() for name, parameter in model.named_parameters()}
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_file(weights, out)
    except SafetensorError as error:
        raise WorkError(f"{out}: the weights were not written: {error}", help="is there space on the disk?") from None
    count = sum(weight.numel() for weight in weights.values())
    log().print(f"{out}: {count:,} parameters in {len(weights)} tensors, drawn from seed {loaded.run.seed}")
