"""The attncli command: one file a verb, which imports click and the standard library at its top, the rest inside."""

import importlib
import os
import signal
import sys
from types import TracebackType
from typing import Any


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while the command is still loading ends it as quietly as later on."""
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _uncaught  # before what takes time to import

import click  # noqa: E402 (behind the hook)

from attncli import __version__  # noqa: E402 (behind the hook)
from attncli.errors import AttncliError  # noqa: E402 (behind the hook)

VERBS = (
    "build", "train", "evaluate", "predict", "inspect", "profile", "prune", "check", "explain", "init", "schema",
)  # fmt: skip


class _Verbs(click.Group):
    """The verbs, each imported when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command = getattr(importlib.import_module(f"attncli.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, 1)
            raise click.UsageError(
                f"{error.format_message()}\nhelp: did you mean '{near[0]}'?" if near else error.format_message(), ctx
            ) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AttncliError as error:
            from attncli.cli.terminal import fail

            fail(str(error))
            ctx.exit(error.exit_code)
        except OSError as error:
            from attncli.cli.terminal import fail, os_fault

            if isinstance(error, BrokenPipeError):
                raise
            message, code = os_fault(error)
            fail(message)
            ctx.exit(code)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(130)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="attncli")
def commands() -> None:
    """Describe an attention model in YAML; build, train, score, profile and inspect it.

    Exit codes: 0 ok, 1 the work failed, 2 the input is wrong, 3 a check said no, 130 and 143 stopped by a signal.
    """


def main() -> None:
    """Run the command line; a reader that closes the pipe early ends it quietly, as it ends other filters."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _open_streams()
    sys.exit(commands(prog_name="attncli"))


def _open_streams() -> None:
    """A stream that the caller has closed leads nowhere; what an encoding cannot say is written as escapes."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for as long as we run
        elif mode == "w":
            stream.reconfigure(errors="backslashreplace")
