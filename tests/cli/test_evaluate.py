"""`attncli evaluate` on runs that were trained: which rows it scores, what it prints and writes, and how it refuses."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attncli.cli import commands, main

TRANSLATOR = """
name: tiny
task: seq2seq
model: {d_model: 12, max_length: 16, attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 1}}
tokenizer: characters
data: {train: pairs.tsv, valid: valid.tsv, test: test.tsv}
train: {duration: 4, batch: {kind: sequences, size: 2}, checkpoints: {every: 2, keep_last: 9}}
evaluate: {every: 2, metrics: [exact_match]}
"""
CLASSIFIER = """
name: labels
task: classification
model: {d_model: 12, max_length: 16, encoder: {layers: 1}}
tokenizer: characters
data: {train: labels.tsv, valid: labels.tsv}
train: {duration: 2, batch: {kind: sequences, size: 2}}
"""
FILES = {
    "pairs.tsv": "source\ttarget\nabc\t你好\ncab\t好你\nab\t你\nba\t好\n",
    "valid.tsv": "source\ttarget\nac\t你\n",
    "test.tsv": "source\ttarget\nbc\t好\ncb\t你你\n",
    "labels.tsv": "text\tlabel\nabc\tx\ncab\ty\nab\tx\nba\ty\n",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator with checkpoints of the steps 2 and 4, and a classifier without a test split."""
    folder = tmp_path_factory.mktemp("evaluate")
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    for name, spec in (("s2s", TRANSLATOR), ("cls", CLASSIFIER)):
        (folder / f"{name}.yaml").write_text(spec)
        words = ["train", str(folder / f"{name}.yaml"), "--run", str(folder / name), "--device", "cpu", "-q"]
        trained = CliRunner().invoke(commands, words)
        assert trained.exit_code == 0, trained.output
    return folder


def evaluate(run: Path, *words: str, columns: int = 80) -> Result:
    arguments = ["evaluate", str(run), "--device", "cpu", *words]
    return CliRunner().invoke(commands, arguments, env={"COLUMNS": str(columns)})


def report(run: Path, *words: str) -> dict:
    done = evaluate(run, *words, "--json")
    assert done.exit_code == 0, done.output
    found: dict = json.loads(done.stdout)
    return found


def test_int8_is_said_and_computes_otherwise(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attncli.nn.quantized.LEAST", 1)
    plain, int8 = (report(runs / "s2s", "--metric", "perplexity", *more) for more in ([], ["--int8"]))
    assert int8["checkpoint"] == plain["checkpoint"] + ", int8"
    assert int8["metrics"] != plain["metrics"]
    refused = CliRunner().invoke(commands, ["evaluate", str(runs / "s2s"), "--int8", "--device", "cuda"])
    assert refused.exit_code == 2


def test_the_test_split_is_scored_else_the_valid_one(runs: Path) -> None:
    found = report(runs / "s2s")
    assert (found["split"], found["counts"]["rows"]) == ("test", 2)
    found = report(runs / "cls")
    assert (found["split"], found["counts"]["rows"]) == ("valid", 4)


@pytest.mark.parametrize(("split", "rows"), [("train", 4), ("valid", 1), ("test", 2)])
def test_a_split_by_its_name(runs: Path, split: str, rows: int) -> None:
    found = report(runs / "s2s", "--split", split)
    assert (found["split"], found["counts"]["rows"]) == (split, rows)


def test_a_file_of_one_s_own_and_only_its_first_rows(runs: Path) -> None:
    file = str(runs / "pairs.tsv")
    found = report(runs / "s2s", "--data", file)
    assert (found["split"], found["counts"]["rows"]) == (file, 4)
    assert report(runs / "s2s", "--data", file, "--limit", "3")["counts"]["rows"] == 3
    assert report(runs / "s2s", "--data", file, "--limit", "99")["counts"]["rows"] == 4


def test_metrics_are_those_of_the_spec_or_those_asked_for(runs: Path) -> None:
    assert list(report(runs / "s2s")["metrics"]) == ["exact_match"]
    asked = report(runs / "s2s", "--metric", "bleu", "--metric", "perplexity")
    assert list(asked["metrics"]) == ["bleu", "perplexity"]
    assert "nrefs:1" in asked["signatures"]["bleu"]
    accuracy = report(runs / "cls", "--metric", "accuracy")
    assert list(accuracy["metrics"]) == ["accuracy"]
    counts = accuracy["confusion"]["counts"]
    assert accuracy["metrics"]["accuracy"] == (counts[0][0] + counts[1][1]) / 4


def test_a_beam_of_one_is_greedy_and_max_length_is_kept(runs: Path) -> None:
    written = [example["written"] for example in report(runs / "s2s", "--beam", "3", "--max-length", "2")["examples"]]
    assert written
    assert all(len(text) <= 2 for text in written)
    assert report(runs / "s2s", "--beam", "1")["metrics"].keys() == {"exact_match"}


@pytest.mark.parametrize(("checkpoint", "said"), [
    ("last", "last (step 4)"), ("2", "2 (step 2)"), ("4", "4 (step 4)"), ("average", "average"),
])  # fmt: skip
def test_the_checkpoint_is_named_in_the_report(runs: Path, checkpoint: str, said: str) -> None:
    assert report(runs / "s2s", "--checkpoint", checkpoint)["checkpoint"] == said


def test_the_best_checkpoint_is_taken_by_default(runs: Path) -> None:
    best = int((runs / "s2s" / "best").resolve().name[5:])
    assert report(runs / "s2s")["checkpoint"] == f"best (step {best})"
    perplexity = [report(runs / "s2s", "--checkpoint", step, "--metric", "perplexity") for step in ("2", "4")]
    assert perplexity[0]["metrics"] != perplexity[1]["metrics"]


def test_the_report_is_read_by_people(runs: Path) -> None:
    done = evaluate(runs / "cls")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("valid · best (step 2) · 4 rows · ")
    assert any(line.split()[:1] == ["accuracy"] and line.endswith(" %") for line in lines)
    assert "\x1b" not in done.stdout


def test_what_an_encoding_cannot_say_is_escaped(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # SIGPIPE stays as the tests need it
    monkeypatch.setattr(sys, "argv", ["attncli", "evaluate", str(runs / "s2s")])
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
    assert (tmp_path / "out").read_text("ascii").startswith("test \\xb7 best (step ")


def test_a_narrow_terminal_loses_nothing(runs: Path) -> None:
    wide, narrow = (evaluate(runs / "cls", columns=columns).stdout for columns in (100, 40))
    assert set(wide.split()) - set(narrow.split()) <= {word for word in wide.split() if "." in word}  # the seconds
    assert max(len(line) for line in narrow.splitlines() if line.endswith(" %")) <= 40


def test_out_gets_report_predictions_and_picture_and_is_not_overwritten(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "scores"
    done = evaluate(runs / "cls", "--out", str(out))
    assert done.exit_code == 0, done.output
    files = ["report.txt", "report.json", "predictions.jsonl", "confusion.png"]
    assert done.stdout.splitlines()[-1] == f"written: {', '.join(str(out / name) for name in files)}"
    assert sorted(path.name for path in out.iterdir()) == sorted(files)
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((out / "report.json").read_text("utf-8"))
    assert (written["split"], written["checkpoint"]) == ("valid", "best (step 2)")
    rows = [json.loads(line) for line in (out / "predictions.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 4
    assert sum(row["predicted"] == row["reference"] for row in rows) / 4 == written["metrics"]["accuracy"]
    assert (out / "report.txt").read_text("utf-8").startswith("valid · best (step 2) · 4 rows")

    refused = evaluate(runs / "nowhere", "--out", str(out))
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"{out}: report.txt is there already\nhelp: add --force to replace it, or name another --out\n"
    )
    again = evaluate(runs / "s2s", "--out", str(out), "--force", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["split"] == "test"
    assert not (out / "confusion.png").exists(), "a picture of the other model would lie"


@pytest.mark.parametrize(("run", "words", "message"), [
    ("s2s", ["--data", "x", "--split", "test"], "--data and --split name different rows: give one of them"),
    ("s2s", ["--force"], "--force replaces the files of --out, which is not given"),
    ("s2s", ["--data", "nowhere.tsv"], "--data nowhere.tsv: there is no such file help: name a file with the columns"),
    ("s2s", ["--data", "."], "--data: '.' is a folder help: name its files"),
    ("s2s", ["--split", "dev"], "Invalid value for '--split': 'dev' is not one of 'train', 'valid', 'test'."),
    ("cls", ["--split", "test"], "labels: the spec names no data.test help: give a file with --data"),
    ("s2s", ["--metric", "blue"], "--metric: seq2seq has no metric 'blue'; did you mean 'bleu'? help: its metrics are"),
    ("s2s", ["--limit", "0"], "Invalid value for '--limit': 0 is not in the range x>=1."),
    ("cls", ["--beam", "2"], "--beam: nothing is written here, since the task is classification help: leave it out"),
    ("s2s", ["--checkpoint", "3"], "there is no checkpoint '3' (steps there: 2, 4) help: best, last, average, or one"),
    ("s2s", ["--device", "mps"], "sees no such device here help: use --device auto"),
    ("gone", [], "this is no run folder (resolved.yaml is missing) help: name a folder that `attncli train` has"),
])  # fmt: skip
def test_wrong_input_is_exit_two_with_its_way_out(runs: Path, run: str, words: list[str], message: str) -> None:
    done = CliRunner().invoke(commands, ["evaluate", str(runs / run), *words], env={"COLUMNS": "80"})
    assert done.exit_code == 2
    assert message in done.stderr.replace("\n", " ")
    assert done.stdout == ""


@pytest.mark.parametrize(("run", "text", "message"), [
    ("s2s", b"source\ttarget\nab\t\xe4\xbd\xa0\nb\n", "3: 1 column where the first row has 2\nhelp: correct the row"),
    ("s2s", b"source\ttarget\nab\t\xff\n", "2: not UTF-8 (byte 0xff)\nhelp: save the file as UTF-8"),
    ("s2s", b"source\ttarget\na\tb\n" + b"abc" * 7 + b"\tb\n", "3: 'source' has 22 tokens, BOS and EOS counted, where "
                                                              "model.encoder.max_length is 16\nhelp: write a larger"),
    ("cls", b"text\tlabel\nab\tx\nab\tz\n", "3: there is no label 'z'\nhelp: the training data have x, y"),
])  # fmt: skip
def test_a_bad_row_is_named_by_file_and_line(runs: Path, tmp_path: Path, run: str, text: bytes, message: str) -> None:
    file = tmp_path / "rows.tsv"
    file.write_bytes(text)
    done = evaluate(runs / run, "--data", str(file))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{file}:{message}")


def test_an_empty_file_and_one_of_headers_only_are_named(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.tsv"
    for text, message in (("", "the file is empty"), ("source\ttarget\n", "the file has no rows")):
        file.write_text(text)
        done = evaluate(runs / "s2s", "--data", str(file))
        assert done.exit_code == 2
        assert done.stderr.startswith(f"{file}: {message}\nhelp: give a file with rows")


def test_a_place_that_cannot_be_written_is_refused_before_the_model_is_loaded(runs: Path) -> None:
    file = runs / "pairs.tsv"
    done = evaluate(runs / "nowhere", "--out", str(file))
    assert (done.exit_code, done.stderr) == (2, f"{file}: this is a file\nhelp: name a folder with --out\n")
    done = evaluate(runs / "nowhere", "--out", str(file / "below"))
    assert done.exit_code == 2
    assert done.stderr == (
        f"--out {file / 'below'}: {file} is a file, not a folder\nhelp: name another place with --out\n"
    )


def test_a_folder_without_permission_is_refused(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may write everywhere
    done = evaluate(runs / "s2s", "--out", str(tmp_path / "scores"))
    assert done.exit_code == 2
    assert f"{tmp_path} cannot be written to\nhelp: name another place with --out" in done.stderr
    assert not (tmp_path / "scores").exists()


def test_a_damaged_checkpoint_is_named(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs / "s2s", run, symlinks=True)
    newest = run / "checkpoints" / "step-00000004"
    os.truncate(newest / "model.safetensors", 100)
    fault = "model.safetensors has 100 bytes, "
    done = evaluate(run, "--checkpoint", "4")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{newest}: {fault}")
    assert done.stderr.endswith("were written\nhelp: --checkpoint last takes the newest sound one\n")
    done = evaluate(run, "--checkpoint", "last")
    assert done.exit_code == 0
    assert f"{newest}: skipped, {fault}" in done.stderr
    assert "last (step 2)" in done.stdout
    for folder in (run / "checkpoints").iterdir():
        os.truncate(folder / "model.safetensors", 100)
    for which in ("last", "average"):
        done = evaluate(run, "--checkpoint", which)
        assert done.exit_code == 2
        assert f"{run}: every checkpoint is damaged\nhelp: `attncli train SPEC --resume`" in done.stderr
