"""attncli check."""

from pathlib import Path

import click

from attncli.cli import options


@click.command(short_help="Prove that the model of a spec is right: its laws, tried.")
@click.argument("spec", type=click.Path(path_type=Path))
@options.overrides
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the weights and the texts.")
@click.option("--full-size", is_flag=True, help="Try the model as it is, not a small one of the same kinds.")
@options.threads
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def check(
    spec: Path, overrides: tuple[str, ...], seed: int, full_size: bool, threads: int | None, as_json: bool, quiet: bool
) -> None:
    """Build a small model of the same kinds as SPEC's, draw its weights, and hold every law against it.

    Causality, caches, padding, packing, evaluation, gradients, files and kernels, each in float64. The exit code is 3
    where a law is broken, and the certificate names the witness.
    """
    from attncli.checking.certificate import certify
    from attncli.cli.terminal import log, print_json, progress, results
    from attncli.errors import CheckError
    from attncli.spec.load import load_spec
    from attncli.training.machine import use_threads

    loaded = load_spec(spec, overrides)
    for note in loaded.notes:
        log().print(note, style="yellow")
    use_threads(threads or 1)  # what is tried is small: a second thread would only wait
    with progress("laws", quiet=quiet) as done:
        certificate = certify(loaded, seed=seed, full=full_size, progress=done)
    if as_json:
        print_json(certificate.json())
    else:
        console = results()
        for line in certificate.lines():
            console.print(line)
    if not certificate.holds:
        broken = ", ".join(verdict.law for verdict in certificate.verdicts if not verdict.holds)
        raise CheckError(f"{certificate.name}: not certified: {broken}", help="the witness above says where")
