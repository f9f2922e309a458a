"""attncli init: which task a file is taken for, and the spec that is written for it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from attncli.cli import commands
from attncli.errors import InputError
from attncli.spec.load import load_spec
from attncli.spec.starter import Head, choose, has_header, starter

PAIRS = [("a cat sleeps", "eine Katze schläft"), ("two dogs run", "zwei Hunde laufen"), ("it rains", "es regnet heute")]
TAGGED = [("Anna flew home", "B-P O O"), ("Berlin is big", "B-L O O"), ("she saw Bob there", "O O B-P O")]
REVIEWS = [(f"this film number {n} was {word} indeed", label) for n in range(20)
           for word, label in (("great", "good"), ("awful", "bad"))]  # fmt: skip


def head(names, rows, *, header=True, path="data.tsv", total=None):
    return Head(Path(path), tuple(names), tuple(map(tuple, rows)), header, total or len(rows))


def init(*arguments):
    return CliRunner().invoke(commands, ["init", *map(str, arguments)], prog_name="attncli")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("found", "task", "columns", "why"),
    [
        (head(("en", "de"), PAIRS), "seq2seq", {"source": "en", "target": "de"},
         "'en' and 'de' are texts, so the second is written from the first"),
        (head(("target", "source"), PAIRS), "seq2seq", {"source": "source", "target": "target"},
         "'source' and 'target' are texts, so the second is written from the first"),
        (head(("0", "1"), PAIRS, header=False), "seq2seq", {"source": "0", "target": "1"},
         "column 0 and column 1 are texts, so the second is written from the first"),
        (head(("review", "label"), REVIEWS), "classification", {"text": "review", "label": "label"},
         "'label' has 2 values and 'review' is text, so texts are classified"),
        (head(("label", "review"), [row[::-1] for row in REVIEWS]), "classification",
         {"text": "review", "label": "label"}, "'label' has 2 values and 'review' is text, so texts are classified"),
        (head(("id", "review", "stars"), [(str(n), text, str(1 + (label == "good") * 4))
                                          for n, (text, label) in enumerate(REVIEWS)]), "classification",
         {"text": "review", "label": "stars"}, "'stars' has 2 values and 'review' is text, so texts are classified"),
        (head(("words", "tags"), TAGGED), "tagging", {"text": "words", "tags": "tags"},
         "'tags' has one word for each word of 'words', so words are tagged"),
        (head(("0",), [("one text",), ("another one",)], header=False), "language_model", {"text": "0"},
         "there is one text, so its next token is predicted"),
        (head(("stars", "body"), [("" if n % 2 else "3", text) for n, (text, _) in enumerate(REVIEWS[:3])]),
         "language_model", {"text": "body"}, "there is one text, so its next token is predicted"),
        (head(("n", "body"), [(str(n), text) for n, (text, _) in enumerate(REVIEWS)]), "language_model",
         {"text": "body"}, "there is one text, so its next token is predicted"),
    ],
)  # fmt: skip
def test_the_likeliest_task(found, task, columns, why):
    choice = choose(found)
    assert (choice.task, choice.columns, choice.why) == (task, columns, why)


def test_a_table_without_text_is_refused():
    with pytest.raises(InputError) as caught:
        choose(head(("a", "b"), [("1", "2.5"), ("3", "-4"), ("5", "6"), ("7", "8")], path="numbers.csv"))
    assert str(caught.value) == (
        "numbers.csv: no column holds text\nhelp: give a table with texts, or a plain text file"
    )


@pytest.mark.parametrize(
    ("first", "rows", "whether"),
    [
        (("source", "target"), PAIRS, True), (("Text", "Label"), REVIEWS, True), (("alpha", "beta"), PAIRS, True),
        (PAIRS[0], PAIRS[1:], False), (("a", "a"), PAIRS, False), (("1", "2"), PAIRS, False),
        (("eins", "zwei"), [("eins", "zwei"), ("drei vier", "x")], False), (("yes", "no"), [("no", "yes")], False),
    ],
)  # fmt: skip
def test_a_first_row_that_names_columns(first, rows, whether):
    assert has_header(first, rows) == whether


@pytest.mark.parametrize(
    ("found", "says", "not_"),
    [
        (head(("source", "target"), PAIRS * 30), ["task: seq2seq", "  encoder: {layers: 2}", "  decoder: {layers: 2}",
                                                  "  valid: {share: 0.1}", "  on_long: skip"], ["fields:"]),
        (head(("source", "target"), PAIRS), ["  duration: 30 epochs"], ["valid:", "early_stopping"]),
        (head(("en", "de"), PAIRS), ["    source: {column: en}", "    target: {column: de}"], []),
        (head(("0", "1"), PAIRS, header=False), ["task: seq2seq"], ["fields:"]),
        (head(("0", "1", "2"), [(str(n), *PAIRS[n % 3]) for n in range(6)], header=False),
         ["    source: {column: 1}", "    target: {column: 2}"], []),
        (head(("words", "tags"), TAGGED), ["task: {kind: tagging, scheme: bio}", "  encoder: {layers: 2}",
                                           "    text: {column: words}"], ["decoder", "tags: {column"]),
        (head(("words", "tags"), [(a, b.replace("B-", "")) for a, b in TAGGED]), ["task: tagging"], ["bio"]),
        (head(("text", "label"), REVIEWS), ["task: {kind: classification, pooling: mean}", "  on_long: truncate"],
         ["decoder", "fields:"]),
        (head(("0",), [("one text",)], header=False), ["task: language_model", "  max_length: 256"],
         ["encoder", "on_long"]),
        (head(("source", "target"), PAIRS, total=300_000), ["  d_model: 256", "  valid: {share: 0.02}",
                                                            "  duration: 2 epochs", "vocabulary: 4000"], ["30 epochs"]),
        (head(("source", "target"), [("a " * 400, "b " * 10)]), ["  max_length: 512"], []),
        (head(("yes: no", "de"), PAIRS), ['    source: {column: "yes: no"}'], []),
    ],
)  # fmt: skip
def test_the_spec_that_is_written(folder, found, says, not_):
    text = starter(found, choose(found), Path("spec.yaml"))
    for part in says:
        assert f"\n{part}" in text or part in text
    for part in not_:
        assert part not in text
    Path("spec.yaml").write_text(text, encoding="utf-8")
    loaded = load_spec(Path("spec.yaml"))
    assert loaded.notes == ()
    assert loaded.run.task.kind == choose(found).task
    assert loaded.run.data.train == (str(Path("data.tsv").absolute()),)


def table(rows, between="\t"):
    return "".join(between.join(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text", "task"),
    [
        ("pairs.tsv", table([("en", "de"), *PAIRS]), "seq2seq"),
        ("pairs.csv", table([("source", "target"), *PAIRS], ","), "seq2seq"),
        ("bare.tsv", table(PAIRS), "seq2seq"),
        ("tagged.tsv", table(TAGGED), "tagging"),
        ("tagged.jsonl", "".join(json.dumps({"tokens": a.split(), "tags": b.split()}) + "\n" for a, b in TAGGED),
         "tagging"),
        ("reviews.csv", table([("text", "label"), *REVIEWS], ","), "classification"),
        ("nested.jsonl", "".join(json.dumps({"translation": {"en": a, "de": b}}) + "\n" for a, b in PAIRS), "seq2seq"),
        ("book.txt", "A line of a book.\nAnother line.\n", "language_model"),
    ],
)  # fmt: skip
def test_init_writes_a_spec_that_loads(folder, name, text, task):
    Path("in").mkdir()
    Path("in", name).write_text(text, encoding="utf-8")
    result = init(f"in/{name}", "--out", "specs/first.yaml")
    assert (result.exit_code, result.output.splitlines()[0].split(",")[0]) == (0, f"specs/first.yaml: {task}")
    loaded = load_spec(Path("specs/first.yaml"))
    assert loaded.run.task.kind == task
    assert loaded.run.data.train == (str(Path("in", name).absolute()),)
    assert loaded.run.language == 1
    written = Path("specs/first.yaml").read_text(encoding="utf-8")
    assert max(map(len, written.splitlines())) <= 100
    assert "attncli train specs/first.yaml" in written


@pytest.mark.parametrize(
    ("arguments", "report"),
    [
        (("none.tsv",), "none.tsv: there is no such file\nhelp: name a CSV, TSV, JSONL, Parquet or text file\n"),
        ((".",), ".: this is a folder\nhelp: name a file in it\n"),
        (("empty.tsv",), "empty.tsv: the file is empty\nhelp: give a file with rows\n"),
        (("book.txt", "--out", "book.txt"),
         "book.txt: this file exists, and is not written over\nhelp: name another one with --out\n"),
    ],
)  # fmt: skip
def test_init_refuses(folder, arguments, report):
    Path("empty.tsv").write_text("")
    Path("book.txt").write_text("One line.\n")
    result = init(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", report)
    assert not Path("spec.yaml").exists()
