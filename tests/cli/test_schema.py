"""`attncli schema`: the JSON Schema of the language, to stdout or a file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attncli.cli import commands


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def schema(*words: str) -> Result:
    return CliRunner().invoke(commands, ["schema", *words], env={"COLUMNS": "80"}, prog_name="attncli")


def test_it_is_one_json_schema_that_describes_its_keys() -> None:
    done = schema()
    assert done.exit_code == 0
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert {"name", "task", "model", "data", "train"} <= found["properties"].keys()


def test_a_file_gets_the_same_and_the_line_that_names_it_is_said(folder: Path) -> None:
    done = schema("--out", "attncli.json")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr == ("attncli.json: begin a spec with the line `# yaml-language-server: $schema=attncli.json`\n")
    assert (folder / "attncli.json").read_text("utf-8") == schema().stdout
    assert schema("--out", "attncli.json").exit_code == 0, "what is generated may be generated again"


def test_the_schema_in_docs_is_this_one() -> None:
    docs = Path(__file__).parents[2] / "docs" / "schema.json"
    assert json.loads(docs.read_text("utf-8")) == json.loads(schema().stdout), (
        "write it: attncli schema --out docs/schema.json"
    )


@pytest.mark.parametrize(("words", "message"), [
    (["--out", "."], "Invalid value for '--out': File '.' is a directory."),
    (["--out", "nowhere/s.json"], "nowhere/s.json: No such file or directory\nhelp: name a place that can be read"),
    (["more"], "Got unexpected extra argument (more)"),
])  # fmt: skip
def test_wrong_input_is_exit_two(words: list[str], message: str) -> None:
    done = schema(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_it_never_imports_torch() -> None:
    program = (
        "import sys; from attncli.cli import commands; commands(['schema'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
