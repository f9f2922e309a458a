"""What is asked is checked against the task, and what contradicts it is refused with its way out."""

from pathlib import Path

import pytest

from attncli.errors import InputError
from attncli.maps.asked import decoding_of, rows_of
from attncli.spec.load import load_text
from attncli.spec.run import Run
from attncli.spec.training import Beam, Greedy

BODY = {
    "seq2seq": "{encoder: {layers: 1}, decoder: {layers: 1}}",
    "language_model": "{decoder: {layers: 1}}",
    "tagging": "{encoder: {layers: 1}}",
}


def run_of(task: str, *overrides: str) -> Run:
    return load_text(f"name: t\ntask: {task}\nmodel: {BODY[task]}\n", overrides).run


def test_texts_lines_and_targets_become_rows(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\n\n  \ntwo \xe2\x80\xa8 same line\n")
    assert rows_of(run_of("seq2seq"), ["a"], [], file) == [
        ("--text 'a'", {"source": "a"}),
        (f"{file}:1", {"source": "one"}),
        (f"{file}:4", {"source": "two \u2028 same line"}),
    ]
    assert rows_of(run_of("seq2seq"), ["a", "b"], ["x", "y"], None)[1][1] == {"source": "b", "target": "y"}
    assert rows_of(run_of("tagging"), ["a"], [], None) == [("--text 'a'", {"text": "a"})]


@pytest.mark.parametrize(("task", "texts", "targets", "message"), [
    ("seq2seq", [], [], "there is no text to look at\nhelp: give --text TEXT, or --file FILE"),
    ("seq2seq", ["a", "b"], ["x"], "--target: 1 for 2 texts\nhelp: give one --target for each text"),
    ("tagging", ["a"], ["x"], "--target: a tagging model has no target\nhelp: leave it out"),
    ("seq2seq", ["\udcff"], [], "this text is not UTF-8\nhelp: set the terminal to UTF-8"),
])  # fmt: skip
def test_rows_that_cannot_be(task: str, texts: list[str], targets: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        rows_of(run_of(task), texts, targets, None)
    assert message in str(caught.value)
    str(caught.value).encode()


def test_a_file_that_is_missing_or_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt: there is no such file\nhelp: name a file with one text a line"):
        rows_of(run_of("seq2seq"), [], [], tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_bytes(b"ab\xff")
    with pytest.raises(InputError, match=r"bad\.txt: byte 2 is not UTF-8\nhelp: save the file as UTF-8"):
        rows_of(run_of("seq2seq"), [], [], tmp_path / "bad.txt")


def asked(run: Run, decoding: str | None = None, n_best: int | None = None, generate: int | None = None,
          targets: bool = False) -> object:  # fmt: skip
    return decoding_of(run, decoding=decoding, n_best=n_best, generate=generate, targets=targets)


def test_the_spec_decides_unless_another_decoding_is_named() -> None:
    run = run_of("seq2seq", "evaluate.decoding={kind: beam, size: 3, length_penalty: 0.5}")
    assert asked(run) == run.evaluate.decoding
    assert asked(run, "beam") == run.evaluate.decoding
    assert asked(run, "greedy") == Greedy()
    assert asked(run_of("seq2seq", "evaluate.decoding=greedy"), "beam") == Beam()
    assert asked(run, n_best=2) == Beam(size=3, length_penalty=0.5, n_best=2)
    assert asked(run, n_best=5) == Beam(size=5, length_penalty=0.5, n_best=5)


def test_what_is_given_whole_is_read_at_once() -> None:
    assert asked(run_of("seq2seq"), targets=True) is None
    assert asked(run_of("seq2seq"), "forced", targets=True) is None
    assert asked(run_of("language_model")) is None
    assert asked(run_of("tagging"), "forced") is None
    assert asked(run_of("language_model"), "greedy", generate=7) == Greedy(max_length=7)


@pytest.mark.parametrize(("task", "wanted", "message"), [
    ("seq2seq", {"generate": 3}, "--generate: a seq2seq model continues no text\nhelp: leave it out"),
    ("seq2seq", {"decoding": "forced"}, "nothing is given that it should write\nhelp: give --target"),
    ("language_model", {"decoding": "forced", "generate": 3}, "help: leave --generate out"),
    ("seq2seq", {"decoding": "beam", "targets": True}, "--decoding beam: the text is read at once, nothing is written\n"
     "help: leave it or --target out"),
    ("language_model", {"decoding": "greedy"}, "help: add --generate N"),
    ("tagging", {"decoding": "beam"}, "help: leave it out"),
    ("language_model", {"n_best": 2}, "--n-best: the text is read at once"),
    ("seq2seq", {"decoding": "greedy", "n_best": 2}, "greedy decoding writes one text\nhelp: add --decoding beam"),
])  # fmt: skip
def test_what_contradicts_itself_or_the_task(task: str, wanted: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        asked(run_of(task), **wanted)
    assert message in str(caught.value)


def test_a_folder_is_no_file_of_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--file .*: this is a folder\nhelp: name a file in it"):
        rows_of(run_of("seq2seq"), [], [], tmp_path)
