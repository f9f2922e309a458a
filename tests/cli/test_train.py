"""`attncli train`: what it says and leaves, how it goes on, and how it refuses."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attncli.cli import commands

SPEC = """\
name: tiny
task: seq2seq
model: {d_model: 12, max_length: 16, attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 1}}
tokenizer: characters
data: {train: pairs.tsv, valid: pairs.tsv}
train: {duration: 4, batch: {kind: sequences, size: 2}, checkpoints: {every: 1, keep_last: 9}}
evaluate: {every: 2, metrics: [exact_match, token_accuracy]}
"""
PAIRS = "source\ttarget\nabc\t你好\ncab\t好你\nab\t你\nba\t好\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.tsv").write_text(PAIRS, "utf-8")
    (tmp_path / "tiny.yaml").write_text(SPEC)
    return tmp_path


def train(*words: str) -> Result:
    arguments = ["train", *(words or ()), "--device", "cpu"]
    return CliRunner().invoke(commands, arguments, env={"COLUMNS": "80"}, prog_name="attncli")


def test_a_run_says_how_it_goes_on_stderr_and_what_came_of_it_on_stdout(folder: Path) -> None:
    done = train("tiny.yaml")
    assert done.exit_code == 0, done.output
    log = done.stderr.splitlines()
    assert re.fullmatch(r"step 1/4  loss \d\.\d{4}  [\d,]+ tokens/s  learning rate \S+  0:\d\d left", log[0])
    assert sum(line.startswith("step ") and "  validation: loss " in line for line in log) == 2
    said = done.stdout.splitlines()
    assert said[0] == "runs/tiny: step 4: trained to the end"
    assert re.fullmatch(r"best checkpoint: step [24]", said[1])
    assert re.fullmatch(r"validation: loss \S+, perplexity \S+, token_accuracy \S+, exact_match \S+", said[2])
    assert said[3:] == [
        "next:", "  attncli evaluate runs/tiny", "  attncli predict runs/tiny --text '…'",
        "  attncli inspect runs/tiny --text '…' --out maps",
    ]  # fmt: skip
    assert (folder / "runs/tiny/spec.yaml").read_text() == SPEC


def test_without_validation_data_the_last_checkpoint_is_the_best(folder: Path) -> None:
    (folder / "tiny.yaml").write_text(SPEC.replace(", valid: pairs.tsv", ""))
    done = train("tiny.yaml", "--run", "one run")
    assert done.exit_code == 0, done.output
    assert "best checkpoint: the last, since there are no validation data" in done.stdout
    assert "  attncli evaluate 'one run'" in done.stdout


def test_quiet_says_nothing_and_verbose_more(folder: Path) -> None:
    done = train("tiny.yaml", "-q")
    assert (done.exit_code, done.output) == (0, "")
    done = train("tiny.yaml", "-v", "--force")
    assert done.exit_code == 0
    assert re.search(r"^source: \d+ ids$", done.stderr, re.M)
    assert re.search(r"^step 4  checkpoint written in \d+\.\d\d s$", done.stderr, re.M)


def test_steps_stop_the_run_and_the_command_that_continues_it_is_printed(folder: Path) -> None:
    done = train("tiny.yaml", "--steps", "1", "-o", "train.learning_rate=1e-2", "--run", "here")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:2] == [
        "here: step 1: stopped as --steps says; the whole run is 4 steps", "best checkpoint: none yet",
    ]  # fmt: skip
    assert "\n  attncli train tiny.yaml -o train.learning_rate=1e-2 --run here --resume\n" in done.stdout
    done = train("tiny.yaml", "-o", "train.learning_rate=1e-2", "--run", "here", "--resume")
    assert done.exit_code == 0
    assert done.stderr.startswith("here: resumed at step 1\nstep 2/4  ")
    done = train("tiny.yaml", "-o", "train.learning_rate=1e-2", "--run", "here", "--resume")
    assert done.exit_code == 0
    assert done.stdout.startswith("here: step 4: nothing left to do: trained to the end\n")


def test_resume_without_a_run_starts_at_step_0_and_says_so(folder: Path) -> None:
    done = train("tiny.yaml", "--resume", "--steps", "1")
    assert done.exit_code == 0
    assert done.stderr.startswith("runs/tiny: there is no run to resume; starting at step 0\nstep 1/1  ")


def test_a_run_is_neither_overwritten_nor_continued_as_another(folder: Path) -> None:
    assert train("tiny.yaml", "--steps", "1", "-q").exit_code == 0
    taken = train("tiny.yaml")
    assert taken.exit_code == 2
    assert taken.stderr == (
        "runs/tiny: there is a run here already (at step 1)\n"
        "help: --resume continues it, --force replaces it, --run DIR trains elsewhere\n"
    )
    changed = train("tiny.yaml", "--resume", "-o", "train.learning_rate=1")
    assert changed.exit_code == 2
    assert (
        "runs/tiny: the spec is not the one that this run was started with\n  train.learning_rate: " in changed.stderr
    )
    assert changed.stderr.endswith("train it as a run of its own with --run DIR, or replace this one with --force\n")
    longer = train("tiny.yaml", "--resume", "-o", "train.duration=5")
    assert longer.exit_code == 0
    assert longer.stderr.startswith("the spec has changed: train.duration: 4 -> 5\nruns/tiny: resumed at step 1\n")
    assert longer.stdout.startswith("runs/tiny: step 5: trained to the end\n")


def test_metrics_that_take_writing_are_measured_amid_training(folder: Path) -> None:
    assert train("tiny.yaml", "-q").exit_code == 0
    lines = [json.loads(line) for line in (folder / "runs/tiny/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "exact_match" in line] == [2, 4]


@pytest.mark.parametrize(("words", "message"), [
    (["tiny.yaml", "--resume", "--force"], "--resume continues a run and --force replaces it: give one of them"),
    (["tiny.yaml", "-q", "-v"], "--quiet says less and --verbose more: give one of them"),
    (["tiny.yaml", "--steps", "0"], "Invalid value for '--steps': 0 is not in the range x>=1."),
    (["tiny.yaml", "--device", "mps"], "--device mps: torch "),
    (["tiny.yaml", "-o", "model.d_modle=4"], "model: there is no key 'd_modle' here"),
    (["tiny.yaml", "-o", "model.d_model"], "-o model.d_model: this is not key=value"),
    (["tiny.yaml", "-o", "data.train=nowhere.tsv"], "data.train: there is no file '"),
    (["tiny.yaml", "-o", "data.train=bad.tsv"], "bad.tsv:3: 1 column where the first row has 2 help: correct the row"),
    (["tiny.yaml", "--run", "pairs.tsv"], "pairs.tsv: this is a file, not a run folder help: name another folder"),
    (["tiny.yaml", "--run", "pairs.tsv/run"], "pairs.tsv is a file, not a folder help: name another place with --run"),
    (["tiny.yaml", "--run", "."], ".: this folder is no run and not empty (it holds 'bad.tsv') help: name a new"),
    (["nowhere.yaml"], "nowhere.yaml: there is no such file help: "),
    (["."], ".: this is a folder help: name the spec file in it"),
    (["empty.yaml"], "empty.yaml:1:1: there is nothing here"),
    (["latin.yaml"], "latin.yaml:1: this line is not UTF-8 help: save the file as UTF-8"),
    (["dataless.yaml"], "tiny: the spec has no data help: write a `data` section, such as `data: {train: FILE}`"),
])  # fmt: skip
def test_wrong_input_is_exit_two_with_its_way_out(folder: Path, words: list[str], message: str) -> None:
    (folder / "bad.tsv").write_text("source\ttarget\nabc\td\nab\n")
    (folder / "empty.yaml").write_text("")
    (folder / "latin.yaml").write_bytes(b"name: \xe9\n")
    (folder / "dataless.yaml").write_text(SPEC.replace("data: {train: pairs.tsv, valid: pairs.tsv}\n", ""))
    before = sorted(path.name for path in folder.iterdir())
    done = CliRunner().invoke(commands, ["train", *words], env={"COLUMNS": "80"})
    assert done.exit_code == 2
    assert message in done.stderr.replace("\n", " ")
    assert done.stdout == ""
    assert sorted(path.name for path in folder.iterdir()) == before, "nothing is left behind"


def test_a_folder_that_cannot_be_written_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may write everywhere
    done = train("tiny.yaml")
    assert done.exit_code == 2
    assert done.stderr.startswith(
        f"--run runs/tiny: {folder} cannot be written to\nhelp: name another place with --run"
    )


def test_a_run_that_diverges_is_exit_one_and_names_the_last_good_checkpoint(folder: Path) -> None:
    done = train("tiny.yaml", "-o", "train.learning_rate=1e30")
    assert done.exit_code == 1
    found = re.search(r"^step (\d): training has diverged: the (loss|gradient's norm) is nan$", done.stderr, re.M)
    assert found
    assert f"\nthe last good checkpoint is runs/tiny/checkpoints/step-{int(found[1]) - 1:08d}\n" in done.stderr
    assert "\nhelp: start again (--force, or another --run) with a lower train.learning_rate" in done.stderr
    assert done.stdout == ""


def test_a_damaged_checkpoint_is_named_and_passed_over(folder: Path) -> None:
    assert train("tiny.yaml", "-q").exit_code == 0
    newest = Path("runs/tiny/checkpoints/step-00000004")
    os.truncate(newest / "optimizer.safetensors", 7)
    done = train("tiny.yaml", "--resume")
    assert done.exit_code == 0
    assert f"{newest}: skipped, optimizer.safetensors has 7 bytes, " in done.stderr
    assert "runs/tiny: resumed at step 3\n" in done.stderr
    for checkpoint in Path("runs/tiny/checkpoints").iterdir():
        (checkpoint / "state.json").unlink()
    done = train("tiny.yaml", "--resume")
    assert done.exit_code == 0
    assert f"{newest}: skipped, state.json is missing\n" in done.stderr
    assert "runs/tiny: there is no sound checkpoint; starting at step 0\n" in done.stderr


def test_a_journal_that_was_spoilt_is_named(folder: Path) -> None:
    assert train("tiny.yaml", "-q", "--steps", "2").exit_code == 0
    journal = Path("runs/tiny/metrics.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"{\n" + b"".join(lines[1:]))
    done = train("tiny.yaml", "--resume")
    assert done.exit_code == 2
    assert done.stderr.endswith(
        f"{journal}:1: this line is not what the run has written\n"
        "help: put the file back, or delete this line and all behind it\n"
    )
    journal.write_bytes(b"".join(lines)[:-5])
    assert train("tiny.yaml", "--resume", "-q").exit_code == 0, "a line that was torn is cut off"
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_where_a_person_looks_there_is_a_bar_and_commands_are_not_broken(folder: Path) -> None:
    main = "import sys; from attncli.cli import main; main()"
    words = [sys.executable, "-c", main, "train", "tiny.yaml", "--device", "cpu", "--run", "a_folder_with_a_long_name"]
    ours, theirs = pty.openpty()
    seen = {"COLUMNS": "40", "TERM": "xterm-256color", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, env=os.environ | seen) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 1 << 12)
            except OSError:  # how Linux says that the other end is closed
                break
        os.close(ours)
    assert process.returncode == 0, said.decode()
    text = said.decode().replace("\r\n", "\n")
    assert "step 0/4" in text
    assert not re.search(r"\x1b\[[0-9;]*3\dm", text), "NO_COLOR"
    assert "\n  attncli predict a_folder_with_a_long_name --text '…'\n" in text
