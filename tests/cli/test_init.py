"""`attncli init`: a spec for the user's own file that builds and trains, and how it refuses."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attncli.cli import commands
from attncli.spec.load import load_spec

ROWS = range(40)
DATA = {
    "pairs.tsv": ("seq2seq", "source\ttarget\n" + "".join(f"a text {i}\tein Satz {i}\n" for i in ROWS)),
    "pairs.jsonl": ("seq2seq", "".join(json.dumps({"en": f"a text {i}", "de": f"ein Satz {i}"}) + "\n" for i in ROWS)),
    "labels.csv": ("classification", "text,label\n" + "".join(f"a text {i},{'yn'[i % 2]}\n" for i in ROWS)),
    "tags.tsv": ("tagging", "text\ttags\n" + "".join(f"see text {i}\tV N M\n" for i in ROWS)),
    "prose.txt": ("language_model", "".join(f"This is line {i}.\n" for i in ROWS)),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, (_, text) in DATA.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def attncli(*words: str) -> Result:
    return CliRunner().invoke(commands, list(words), env={"COLUMNS": "80"}, prog_name="attncli")


@pytest.mark.parametrize("name", DATA)
def test_the_task_is_seen_in_the_data_and_the_spec_builds(name: str) -> None:
    task = DATA[name][0]
    done = attncli("init", name, "--out", "new/first.yaml")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"new/first.yaml: {task}, since ")
    assert lines[1:] == [
        "next: attncli build new/first.yaml, then attncli train new/first.yaml",
        "for your editor: attncli schema --out new/schema.json",
    ]
    assert load_spec(Path("new/first.yaml")).run.task.kind == task
    built = attncli("build", "new/first.yaml", "--json")
    assert built.exit_code == 0, built.output
    assert json.loads(built.stdout)["parameters"] > 0


def test_the_spec_trains_as_it_is() -> None:
    assert attncli("init", "labels.csv").exit_code == 0
    done = attncli("train", "spec.yaml", "--steps", "1", "--device", "cpu", "-o", "model.d_model=8")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("runs/labels: step 1: stopped as --steps says")


def test_a_file_that_is_there_is_not_written_over(folder: Path) -> None:
    (folder / "spec.yaml").write_text("mine")
    done = attncli("init", "pairs.tsv")
    assert done.exit_code == 2
    assert done.stderr == "spec.yaml: this file exists, and is not written over\nhelp: name another one with --out\n"
    assert (folder / "spec.yaml").read_text() == "mine"


@pytest.mark.parametrize(("words", "message"), [
    (["nowhere.tsv"], "nowhere.tsv: there is no such file\nhelp: name a CSV, TSV, JSONL, Parquet or text file\n"),
    (["."], ".: this is a folder\nhelp: name a file in it\n"),
    (["empty.tsv"], "empty.tsv: the file is empty\nhelp: give a file with rows\n"),
    (["latin.txt"], "latin.txt:2: not UTF-8 (byte 0xff)\nhelp: correct the row\n"),
    (["broken.jsonl"], "broken.jsonl:2: not valid JSON"),
    (["pairs.tsv", "--out", "pairs.tsv/spec.yaml"], "pairs.tsv is a file, not a folder\nhelp: name another place with"),
])  # fmt: skip
def test_wrong_input_is_exit_two_with_its_way_out(folder: Path, words: list[str], message: str) -> None:
    (folder / "empty.tsv").write_text("")
    (folder / "latin.txt").write_bytes(b"good\n\xff\n")
    (folder / "broken.jsonl").write_text('{"text": "a"}\n{"text": \n')
    done = attncli("init", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "\nhelp: " in done.stderr
    assert done.stdout == ""
    assert not (folder / "spec.yaml").exists()
