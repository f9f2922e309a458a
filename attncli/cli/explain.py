"""attncli explain."""

from typing import Any

import click

from attncli.cli import options


@click.command(short_help="Say what an option is: equation, source, a worked example.")
@click.argument("words", nargs=-1, metavar="[NAME]")
@click.option("--length", type=click.IntRange(1, 4096), default=16, show_default=True,
              help="Queries and keys that a mask is drawn over.")  # fmt: skip
@click.option("--heads", type=click.IntRange(1, 1024), help="Heads of a mask that names h.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def explain(words: tuple[str, ...], length: int, heads: int | None, as_json: bool) -> None:
    """Explain NAME (a kind, a key, a name of the founding article) or `mask EXPRESSION`; alone, list all there is.

    \b
    attncli explain additive
    attncli explain 缩放点积
    attncli explain mask "causal & (window(before=3) | first(1))"
    """
    expression = _expression(words) if words else None
    if expression is None and (idle := options.given("length", "heads")):
        raise click.UsageError(f"{idle}: of the drawing of a mask, and none is given: explain mask EXPRESSION")
    if not words:
        _overview(as_json)
    elif expression:
        _mask(expression, length, heads, as_json)
    else:
        _entries("_".join(words), as_json)


def _expression(words: tuple[str, ...]) -> str | None:
    """The mask that is asked about, if one is."""
    if words[0] in ("mask", "掩码"):
        return " ".join(words[1:]) or None
    text = " ".join(words)
    return text if any(sign in text for sign in "&|~<>=()") else None


def _overview(as_json: bool) -> None:
    from attncli.spec.explain import data_of_all, overview

    _show(data_of_all() if as_json else list(overview()))


def _mask(expression: str, length: int, heads: int | None, as_json: bool) -> None:
    from attncli.spec.explain import data_of_mask, examine, told_mask

    report = examine(expression, length=length, heads=heads)
    _show(data_of_mask(report) if as_json else list(told_mask(report)))


def _entries(name: str, as_json: bool) -> None:
    from attncli.spec.explain import data_of, told
    from attncli.spec.explain import explain as find

    entries = find(name)
    if as_json:
        _show({"entries": data_of(entries)})
        return
    for index, entry in enumerate(entries):
        _show([""] * (index > 0) + list(told(entry)))


def _show(what: dict[str, Any] | list[str]) -> None:
    """Data as JSON, text line by line."""
    from attncli.cli.terminal import print_json, results

    if isinstance(what, dict):
        print_json(what)
        return
    console = results()
    for line in what:
        console.print(line)
