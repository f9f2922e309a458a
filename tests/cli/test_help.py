"""The help of every verb: every option is explained, and what is unknown is answered with what may be meant."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from attncli.cli import VERBS, commands


def verb(name: str) -> click.Command:
    command = getattr(importlib.import_module(f"attncli.cli.{name}"), name)
    assert isinstance(command, click.Command)
    return command


def run(*arguments: str):
    return CliRunner().invoke(commands, arguments, prog_name="attncli")


def test_help_lists_every_verb():
    said = run("--help")
    assert said.exit_code == 0
    for name in VERBS:
        line = next(line for line in said.stdout.splitlines() if line.split()[:1] == [name])
        assert len(line.split()) > 3, f"{name} has no sentence"
        assert not line.rstrip().endswith("..."), f"{name}: give it a short_help that fits"


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_a_verb(name, flag):
    said = run(name, flag)
    assert said.exit_code == 0
    assert said.stdout.startswith(f"Usage: attncli {name}")


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_explained(name):
    said = re.sub(r"\s+", " ", run(name, "--help").stdout)
    for parameter in verb(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[-1]} has no help"
            assert parameter.help.endswith("."), f"{name} {parameter.opts[-1]}: a sentence ends with a full stop"
            assert all(opt in said for opt in parameter.opts)
        else:
            assert parameter.make_metavar(click.Context(verb(name))).strip("[]. ") in verb(name).help, (
                f"{name}: say in its docstring what {parameter.name} is"
            )


@pytest.mark.parametrize("name", VERBS)
def test_no_verb_opens_a_prompt_or_hides_an_option(name):
    for parameter in verb(name).params:
        if isinstance(parameter, click.Option):
            assert not parameter.prompt
            assert not parameter.hidden


@pytest.mark.parametrize("name", VERBS)
def test_an_unknown_flag_ends_with_2(name):
    said = run(name, "--nonsense")
    assert said.exit_code == 2
    assert "No such option" in said.stderr
    assert "Traceback" not in said.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tarin"], "No such command 'tarin'.\nhelp: did you mean 'train'?"),
        (["evalute", "runs/x"], "did you mean 'evaluate'?"),
        (["nonsense"], "No such command 'nonsense'."),
        (["build", "x.yaml", "--validate-onyl"], "--validate-only"),
    ],
)
def test_what_is_unknown_is_answered_with_what_may_be_meant(arguments, says):
    said = run(*arguments)
    assert said.exit_code == 2
    assert says in said.stderr


def test_version():
    from attncli import __version__

    said = run("--version")
    assert (said.exit_code, said.stdout) == (0, f"attncli, version {__version__}\n")


def test_no_arguments_is_help():
    said = run()
    assert "Usage: attncli" in said.output
    assert "build" in said.output


def test_ctrl_c_while_the_command_loads_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-m", "attncli", "--help"], env=env, capture_output=True, text=True)
    assert done.stderr == "stopped\n"
    assert done.returncode in (-2, 130)
