"""`attncli predict` on five runs, one a task: what it answers, in which form, and how it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attncli.cli import commands, main

COMMON = """
name: {name}
task: {task}
model: {{d_model: 12, max_length: 16, {stacks}}}
tokenizer: characters
data: {{train: {file}}}
train: {{duration: 2, batch: {{kind: sequences, size: 2}}}}
"""
TASKS = {
    "s2s": ("seq2seq", "attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 1}", "pairs.tsv"),
    "lm": ("language_model", "decoder: {layers: 1}", "labels.tsv"),
    "mlm": ("masked_language_model", "encoder: {layers: 1}", "labels.tsv"),
    "cls": ("classification", "encoder: {layers: 1}", "labels.tsv"),
    "tag": ("tagging", "encoder: {layers: 1}", "tags.tsv"),
}
FILES = {
    "pairs.tsv": "source\ttarget\nabc\t你好\ncab\t好你\nab\t你\nba\t好\n",
    "labels.tsv": "text\tlabel\nabc\tx\ncab\ty\nab\tx\nba\ty\n",
    "tags.tsv": "text\ttags\na b c\tX Y X\nc a b\tX X Y\na b\tX Y\nb a\tY X\n",
}
LONG = "abc" * 7
ATTNCLI = [sys.executable, "-c", "from attncli.cli import main; main()"]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two steps for each task."""
    folder = tmp_path_factory.mktemp("predict")
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    for name, (task, stacks, file) in TASKS.items():
        spec = folder / f"{name}.yaml"
        spec.write_text(COMMON.format(name=name, task=task, stacks=stacks, file=file))
        trained = attncli("train", str(spec), "--run", str(folder / name), "--device", "cpu", "-q")
        assert trained.exit_code == 0, trained.output
    return folder


def attncli(*words: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(commands, list(words), input=given, env={"COLUMNS": "80"})


def predict(run: Path, *words: str, given: bytes | None = None) -> Result:
    return attncli("predict", str(run), "--device", "cpu", *words, given=given)


def answers(run: Path, *words: str, given: bytes | None = None) -> list[str]:
    done = predict(run, *words, given=given)
    assert done.exit_code == 0, done.output
    return done.stdout.removesuffix("\n").split("\n")


def objects(run: Path, *words: str, given: bytes | None = None) -> list[dict]:
    return [json.loads(line) for line in answers(run, "--json", *words, given=given)]


def test_a_translation_is_a_line_a_text(runs: Path) -> None:
    said = answers(runs / "s2s", "--text", "abc", "--text", "ba")
    assert len(said) == 2
    assert all(len(line) <= 16 for line in said)
    found = objects(runs / "s2s", "--text", "abc", "--text", "ba")
    assert [one["text"] for one in found] == ["abc", "ba"]
    assert [one["output"] for one in found] == said
    assert set(found[0]["hypotheses"][0]) == {"text", "score", "log_probability", "finished"}


def test_a_continuation_begins_with_the_prompt(runs: Path) -> None:
    said = answers(runs / "lm", "--text", "abc", "--text", "b")
    assert said[0].startswith("abc")
    assert said[1].startswith("b")


def test_gaps_are_filled_and_the_likeliest_tokens_named(runs: Path) -> None:
    line = answers(runs / "mlm", "--text", "a[MASK]b")[0]
    output, tokens = line.split("\t")
    assert re.fullmatch(r"a.b", output)
    assert re.fullmatch(r"(\S+ 0\.\d{3}, )+\S+ 0\.\d{3}", tokens)
    (found,) = objects(runs / "mlm", "--text", "a[MASK]b")
    assert found["masks"][0][0]["token"] == output[1]


def test_a_label_comes_with_the_probability_of_each(runs: Path) -> None:
    label, column = answers(runs / "cls", "--text", "abc")[0].split("\t")
    assert re.fullmatch(r"[xy] 0\.\d{3}, [xy] 0\.\d{3}", column)
    assert column.startswith(label)
    (found,) = objects(runs / "cls", "--text", "abc")
    assert found["output"] == label
    assert sum(found["probabilities"].values()) == pytest.approx(1)


def test_each_word_gets_a_tag(runs: Path) -> None:
    (found,) = objects(runs / "tag", "--text", "c a b")
    assert found["words"] == ["c", "a", "b"]
    assert set(found["tags"]) <= {"X", "Y"}
    assert answers(runs / "tag", "--text", "c a b") == [
        " ".join(f"{word}/{tag}" for word, tag in zip(found["words"], found["tags"], strict=True))
    ]
    assert found["output"] == answers(runs / "tag", "--text", "c a b")[0]


def test_a_text_file_is_answered_line_by_line_empty_lines_too(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes(b"abc\n\nba\n")
    for task in ("s2s", "lm", "cls", "tag"):
        found = objects(runs / task, "--file", str(file))
        assert [one["text"] for one in found] == ["abc", "", "ba"], task
    assert answers(runs / "tag", "--file", str(file))[1] == ""


def test_a_table_gives_the_column_of_the_spec(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "texts.tsv"
    file.write_text("id\tsource\n1\tabc\n2\tba\n")
    assert [one["text"] for one in objects(runs / "s2s", "--file", str(file))] == ["abc", "ba"]
    assert [one["text"] for one in objects(runs / "cls", "--file", str(runs / "labels.tsv"))] == [
        "abc",
        "cab",
        "ab",
        "ba",
    ]


def test_standard_input_and_a_file_give_the_same_answers(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes(b"abc\nba\n")
    read = answers(runs / "cls", "--file", str(file))
    assert answers(runs / "cls", given=b"abc\nba\n") == read
    assert answers(runs / "cls", given=b"abc\nba") == read, "a last line may lack its end"
    assert answers(runs / "cls", given=b"\xef\xbb\xbfabc\r\nba\r\n") == read, "as Windows writes it"
    assert predict(runs / "cls", given=b"").stdout == ""


def test_a_line_is_answered_before_the_pipe_closes(runs: Path) -> None:
    words = [*ATTNCLI, "predict", str(runs / "cls"), "--device", "cpu", "--json"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | ONE_THREAD
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for text in ("abc", "ba"):
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert (process.returncode, said) == (130, b"stopped\n")


def test_a_reader_that_leaves_ends_it_quietly(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "many.txt"
    file.write_bytes(b"ab\n" * 4000)
    command = " ".join(f"'{word}'" for word in [*ATTNCLI, "predict", str(runs / "cls"), "--device", "cpu"])
    line = f"{command} --file '{file}' | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=os.environ | ONE_THREAD)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


@pytest.mark.parametrize("words", [[], ["--text", "ab"]])
def test_streams_that_the_caller_has_closed_lead_nowhere(
    runs: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # SIGPIPE stays as the tests need it
    monkeypatch.setattr(sys, "argv", ["attncli", "predict", str(runs / "cls"), *words])
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert sys.stdout.name == os.devnull


def test_the_n_best_are_scored_lists_between_empty_lines(runs: Path) -> None:
    said = answers(runs / "s2s", "--text", "abc", "--text", "ba", "--n-best", "2", "--beam", "3")
    assert said[2] == ""
    scores = [float(said[index].split("\t")[0]) for index in (0, 1, 3, 4)]
    assert scores[0] >= scores[1]
    assert scores[2] >= scores[3]
    (found,) = objects(runs / "s2s", "--text", "abc", "--n-best", "3")
    assert len(found["hypotheses"]) == 3
    assert found["output"] == found["hypotheses"][0]["text"]


def test_a_sample_is_that_of_its_seed(runs: Path) -> None:
    def sample(seed: str) -> list[str]:
        texts = [word for text in ("abc", "ab", "ba") for word in ("--text", text)]
        return answers(runs / "lm", *texts, "--sample", "--temperature", "2", "--seed", seed)

    assert sample("3") == sample("3")
    assert len({tuple(sample(str(seed))) for seed in range(4)}) > 1
    together = sample("3")
    line_by_line = answers(runs / "lm", "--sample", "--temperature", "2", "--seed", "3", given=b"abc\nab\nba\n")
    assert line_by_line == together, "a text's draw is that of its number in the input"


def test_top_k_of_one_is_greedy(runs: Path) -> None:
    assert answers(runs / "lm", "--text", "a", "--sample", "--top-k", "1") == answers(
        runs / "lm", "--text", "a", "--beam", "1"
    )


def test_max_length_ends_the_text(runs: Path) -> None:
    assert len(answers(runs / "s2s", "--text", "abc", "--max-length", "2")[0]) <= 2


@pytest.mark.parametrize("checkpoint", ["best", "last", "average", "2"])
def test_every_way_to_name_a_checkpoint(runs: Path, checkpoint: str) -> None:
    assert answers(runs / "cls", "--text", "abc", "--checkpoint", checkpoint) == answers(runs / "cls", "--text", "abc")


@pytest.mark.parametrize(("task", "words", "message"), [
    ("s2s", ["--text", "a", "--file", "x"], "--text and --file both say what is read: give one of them"),
    ("s2s", ["--text", "a", "--beam", "0"], "Invalid value for '--beam': 0 is not in the range x>=1."),
    ("s2s", ["--text", "a", "--n-best", "3", "--beam", "2"], "--n-best 3: a beam of 2 has no 3 best help: write"),
    ("s2s", ["--text", "a", "--sample", "--beam", "2"], "--sample draws at random and --beam and --n-best search"),
    ("s2s", ["--text", "a", "--seed", "2"], "--seed is for sampling, and nothing is sampled here help: add --sample"),
    ("s2s", ["--text", "a", "--top-p", "1.5"], "Invalid value for '--top-p': 1.5 is not in the range 0<x<=1."),
    ("cls", ["--text", "a", "--sample"], "--sample: nothing is written here, since the task is classification help:"),
    ("tag", ["--text", "a", "--max-length", "3"], "--max-length: nothing is written here, since the task is tagging"),
    ("mlm", ["--text", "ab"], "--text 'ab': there is no [MASK] in the text help: write [MASK] where a token is"),
    ("s2s", ["--text", "a", "--checkpoint", "7"], "there is no checkpoint '7' (steps there: 2) help: best, last,"),
    ("s2s", ["--text", "a", "--checkpoint", "newest"], "there is no checkpoint 'newest' (steps there: 2) help: best,"),
    ("s2s", ["--text", "a", "--device", "mps"], "sees no such device here help: use --device auto"),
    ("s2s", ["--text", "a\udcff"], "--text 'a\\udcff': this text is not UTF-8 help: set the terminal to UTF-8"),
    ("s2s", ["--file", "nowhere.txt"], "--file nowhere.txt: there is no such file help: name a file with one text"),
    ("s2s", ["--file", "."], "--file .: this is a folder help: name a file in it"),
    ("s2s", ["--text", LONG], f"--text '{LONG}': 'source' has 22 tokens, BOS and EOS counted, where "
                              "model.encoder.max_length is 16 help: shorten the text, or cut it with --on-long"),
    ("lm", ["--text", LONG], f"--text '{LONG}': the text has 22 tokens, where model.decoder.max_length is 16 help:"),
    ("none", ["--text", "a"], "this is no run folder (resolved.yaml is missing) help: name a folder that `attncli"),
])  # fmt: skip
def test_wrong_input_is_exit_two_with_its_way_out(runs: Path, task: str, words: list[str], message: str) -> None:
    done = CliRunner().invoke(commands, ["predict", str(runs / task), *words], env={"COLUMNS": "80"})
    assert done.exit_code == 2
    assert message in done.stderr.replace("\n", " ")
    assert done.stdout == ""


@pytest.mark.parametrize("task", ["s2s", "lm", "cls", "tag", "mlm"])
def test_a_long_text_is_cut_when_asked(runs: Path, task: str) -> None:
    text = {"tag": "a b c " * 7, "mlm": f"[MASK]{LONG}"}.get(task, LONG)
    assert predict(runs / task, "--text", text).exit_code == 2
    (found,) = objects(runs / task, "--text", text, "--on-long", "truncate")
    assert found["text"] == text
    assert found["output"] or task == "s2s"
    if task == "tag":
        assert len(found["words"]) == 8, "15 places besides BOS, of which every second is a space"
    if task == "lm":
        assert found["output"].startswith(LONG[-8:]), "a prompt keeps its end"


def test_the_line_that_is_wrong_is_named_and_those_before_it_are_answered(runs: Path, tmp_path: Path) -> None:
    for name, line, message in (
        ("bytes", b"\xff\xfe", "not UTF-8"),
        ("long", LONG.encode(), "'text' has 23 tokens, BOS and EOS counted, where model.encoder.max_length is 16"),
    ):
        file = tmp_path / f"{name}.txt"
        file.write_bytes(b"abc\n" + line + b"\n")
        done = predict(runs / "cls", "--file", str(file))
        assert done.exit_code == 2
        assert done.stderr.startswith(f"{file}:2: {message}")
        assert "\nhelp: " in done.stderr
    done = predict(runs / "cls", given=b"abc\n" + LONG.encode())
    assert done.exit_code == 2
    assert done.stderr.startswith("standard input:2: 'text' has 23 tokens")
    done = predict(runs / "cls", given=b"abc\na\xff\n")
    assert done.exit_code == 2
    assert done.stderr == (
        "standard input:2: byte 2 of the line is not UTF-8\n"
        "help: convert the text to UTF-8 first, with iconv for instance\n"
    )


def test_an_empty_file_is_named(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "empty.txt"
    file.write_bytes(b"")
    done = predict(runs / "cls", "--file", str(file))
    assert (done.exit_code, done.stderr) == (2, f"{file}: the file is empty\nhelp: give a file with rows\n")
