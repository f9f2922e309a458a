"""Options that several verbs share, each written once."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

Function = TypeVar("Function", bound=Callable[..., Any])

overrides = click.option(
    "-o", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the spec; may be repeated."
)
checkpoint = click.option(
    "--checkpoint", default="best", show_default=True, metavar="best|last|average|STEP", help="Which weights."
)
device = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True,
    help="Where it is computed; auto takes a GPU where there is one.",
)  # fmt: skip
threads = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads of one operation on the CPU."
)
int8 = click.option(
    "--int8", is_flag=True, help="Compute linear maps in 8-bit integers: faster on the CPU, a little less exact."
)
beam = click.option("--beam", type=click.IntRange(min=1), metavar="N", help="Search with a beam of N; 1 is greedy.")
max_length = click.option("--max-length", type=click.IntRange(min=1), metavar="N", help="Tokens written at the most.")

_DECODING = (
    beam,
    click.option("--n-best", type=click.IntRange(min=1), metavar="N", help="The N best texts of the beam."),
    click.option("--sample", is_flag=True, help="Draw the text at random."),
    click.option("--temperature", type=click.FloatRange(min=0, min_open=True), metavar="T",
                 help="Of sampling: logits are divided by T."),
    click.option("--top-k", type=click.IntRange(min=1), metavar="K", help="Of sampling: from the K likeliest tokens."),
    click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), metavar="P",
                 help="Of sampling: from the fewest tokens of probability P together."),
    click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of sampling; the spec's by default."),
    max_length,
)  # fmt: skip


def given(*names: str) -> str:
    """The flags of these parameters that the user has written, in words; empty where none is."""
    context = click.get_current_context()
    flags = {parameter.name: parameter.opts[-1] for parameter in context.command.params}
    written = [flags[name] for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    return " and ".join(written)


def decoding(function: Function) -> Function:
    """Every option that changes how texts are written; what they leave open is the spec's (attncli.decoding.flags)."""
    for option in reversed(_DECODING):
        function = option(function)
    return function
