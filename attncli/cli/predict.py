"""attncli predict."""

import sys
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from attncli.cli import options

if TYPE_CHECKING:
    from attncli.api import LoadedRun
    from attncli.evaluation.answers import Answer

TOGETHER = 256
"""Texts of a file that are answered together."""
Place = Callable[[int], str]


@click.command(short_help="Translate, continue, classify, tag or fill in texts.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="What the model reads; may be repeated.")
@click.option("--file", type=click.Path(path_type=Path), help="Texts, one a line, or a table with the spec's column.")
@options.decoding
@click.option("--on-long", type=click.Choice(["error", "truncate"]), default="error", show_default=True,
              help="What happens to a text that is longer than the model's positions.")  # fmt: skip
@options.checkpoint
@options.device
@options.threads
@options.int8
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a text, each on a line, with all scores.")
def predict(
    run: Path, texts: tuple[str, ...], file: Path | None, on_long: str, checkpoint: str, device: str,
    threads: int | None, int8: bool, as_json: bool, **decoding: Any,
) -> None:  # fmt: skip
    """Answer texts with the model in the run folder RUN.

    Without --text and --file the texts are the lines of standard input; each is answered as soon as it is there, in
    one line, so the command serves in a pipe.
    """
    if texts and file is not None:
        raise click.UsageError("--text and --file both say what is read: give one of them")
    from attncli.api import load_run
    from attncli.cli.terminal import hear_warnings, log
    from attncli.decoding.flags import Flags
    from attncli.training.machine import use_threads

    use_threads(threads)
    hear_warnings()
    loaded = load_run(run, checkpoint=checkpoint, device=device, int8=int8, say=log().print)
    answering = loaded.answering(flags=Flags(**decoding), on_long=on_long)
    groups, place = _read(loaded, texts, file)
    first, several = 0, False
    for group in groups:
        answers = answering.answer(group, first=first, place=place)
        first += len(group)
        for answer in answers:
            if several and not as_json:
                click.echo()  # between the n-best lists
            several = _say(answer, as_json, whole=bool(texts))
        sys.stdout.flush()


def _say(answer: "Answer", as_json: bool, *, whole: bool) -> bool:
    """Print an answer; whether it has several lines. Line by line, an answer's own line ends are written as `\\n`."""
    if as_json:
        import json

        from attncli.cli.terminal import plain

        click.echo(json.dumps(plain(answer.json()), ensure_ascii=False))
        return False
    for line in answer.lines:
        click.echo(line if whole and len(answer.lines) == 1 else line.replace("\n", "\\n"))
    return len(answer.lines) > 1


def _read(loaded: "LoadedRun", texts: tuple[str, ...], file: Path | None) -> tuple[Iterable[list[str]], Place]:
    """The texts in groups that are answered together, and what names a text in an error."""
    from attncli.data.sources import open_file
    from attncli.errors import InputError
    from attncli.spec.fields import asked

    field = asked(loaded.spec.task, loaded.spec.data)
    if texts:
        for text in texts:
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise InputError(f"--text {text!a}: this text is not UTF-8", help="set the terminal to UTF-8")
        return [list(texts)], lambda number: f"--text {texts[number]!r}"
    if file is not None:
        if not file.exists():
            raise InputError(f"--file {file}: there is no such file", help="name a file with one text a line")
        if file.is_dir():
            raise InputError(f"--file {file}: this is a folder", help="name a file in it")
        rows = open_file(loaded.spec, file, fields=[field], lines=True)
        starts = range(0, len(rows), TOGETHER)
        groups = ([rows[i][field] for i in range(start, min(start + TOGETHER, len(rows)))] for start in starts)
        return groups, rows.place
    if sys.stdin.isatty():
        click.echo("type a text and Enter; Ctrl-D ends", err=True)
    return _lines(), lambda number: f"standard input:{number + 1}"


def _lines() -> Iterator[list[str]]:
    """The lines of standard input, as many at a time as have arrived."""
    from attncli.errors import InputError

    stream = cast(BufferedReader, sys.stdin.buffer)
    rest, number = b"", 0
    while True:
        chunk = stream.read1(1 << 16)
        *lines, rest = (rest + chunk).split(b"\n")
        if not chunk and rest:
            lines, rest = [*lines, rest], b""
        found = []
        for line in lines:
            number += 1
            try:
                found.append(line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                rule = f"standard input:{number}: byte {error.start + 1} of the line is not UTF-8"
                raise InputError(rule, help="convert the text to UTF-8 first, with iconv for instance") from None
        if found:
            yield found
        if not chunk:
            return
