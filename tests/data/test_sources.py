"""Files as rows: every format, headers, columns, shares, and the text of every refusal."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attncli.data.arrow import ArrowRows
from attncli.data.layout import table_layout
from attncli.data.records import records
from attncli.data.rows import Chosen, Joined, Rows
from attncli.data.sources import divide, open_file, open_splits
from attncli.errors import DataError
from attncli.spec.run import Run

from .conftest import make_run

Write = Callable[[str, str | bytes], Path]
PAIRS = [{"source": "a b", "target": "x"}, {"source": "NA", "target": "007"}, {"source": 'say "hi"', "target": "null"}]


def seq2seq(path: Path | str, more: str = "") -> Run:
    return make_run("seq2seq", f"{{train: '{path}'{more}}}")


def train_rows(path: Path | str, more: str = "") -> Rows:
    rows = open_splits(seq2seq(path, more)).train
    assert rows is not None
    return rows


def refusal(path: Path | str, more: str = "") -> str:
    with pytest.raises(DataError) as caught:
        train_rows(path, more)
    return str(caught.value)


TABLE = "\n".join("\t".join(row.values()) for row in PAIRS) + "\n"
FILES = {
    "t.tsv": "source\ttarget\n" + TABLE,
    "crlf.tsv": ("\ufeffsource\ttarget\n" + TABLE).replace("\n", "\r\n"),
    "headless.tsv": TABLE,
    "swapped.tsv": "more\ttarget\tsource\n" + "".join(f"?\t{row['target']}\t{row['source']}\n" for row in PAIRS),
    "t.csv": 'source,target\n"a b",x\nNA,007\n"say ""hi""",null\n',
    "t.jsonl": "".join(json.dumps(row) + "\n" for row in PAIRS),
    "t.json": json.dumps(PAIRS),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_rows(name: str, write: Write) -> None:
    rows = train_rows(write(name, FILES[name]))
    assert [rows[index] for index in range(len(rows))] == PAIRS
    assert list(rows) == PAIRS
    assert rows[-1] == PAIRS[-1]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{"translation": {"en": r["source"], "de": r["target"]}} for r in PAIRS]), path)
    columns = ", fields: {source: {column: translation.en}, target: {column: translation.de}}"
    assert list(train_rows(path, columns)) == PAIRS
    assert "the columns are translation.en, translation.de" in refusal(path)
    assert f"{path}: there is no column 'translation.dee'; did you mean 'translation.de'?" in refusal(
        path, columns.replace("translation.de}", "translation.dee}")
    )
    pq.write_table(pa.table({"source": ["a", None], "target": ["x", "y"]}), path)
    assert f"{path}: row 2: 'source' is missing" in refusal(path)
    path.write_bytes(b"this is no parquet")
    assert f"{path}: cannot be read as parquet" in refusal(path)


def test_json_values_that_are_no_text(write: Write) -> None:
    lines = '{"source": 7, "target": true}\n{"source": ["a", "b"], "target": 1.5}\n{"source": "10", "target": "x"}\n'
    assert list(train_rows(write("t.jsonl", lines))) == [
        {"source": "7", "target": "true"}, {"source": "a b", "target": "1.5"}, {"source": "10", "target": "x"}
    ]  # fmt: skip
    assert list(train_rows(write("time.jsonl", '{"source": "2026-11-22 10:00:00", "target": "x"}\n'))) == [
        {"source": "2026-11-22 10:00:00", "target": "x"}
    ]
    message = refusal(write("bad.jsonl", '{"source": {"en": "a"}, "target": "x"}\n'))
    assert "bad.jsonl: there is no column 'source'" in message
    assert "the columns are source.en, target" in message


def test_parallel_files(write: Write, tmp_path: Path) -> None:
    write("c.en", "one\ntwo\n")
    write("c.de", "eins\nzwei\n")
    columns = ", fields: {source: {column: en}, target: {column: de}}"
    rows = train_rows(f"{tmp_path}/c.{{field}}", columns)
    assert list(rows) == [{"source": "one", "target": "eins"}, {"source": "two", "target": "zwei"}]
    assert rows.place(1) == f"{tmp_path}/c.en:2"
    write("c.de", "eins\nzwei\ndrei\n")
    assert "c.de has 3 lines and" in refusal(f"{tmp_path}/c.{{field}}", columns)
    write("c.de", "eins\n\n")
    assert f"{tmp_path}/c.de:2: 'target' is missing" in refusal(f"{tmp_path}/c.{{field}}", columns)
    skipping = train_rows(f"{tmp_path}/c.{{field}}", columns + ", on_bad_row: skip")
    assert (list(skipping), skipping.skipped) == ([{"source": "one", "target": "eins"}], 1)
    write("c.de", b"eins\nzw\xffei\n")
    assert f"{tmp_path}/c.de:2: not UTF-8 (byte 0xff)" in refusal(f"{tmp_path}/c.{{field}}", columns)
    write("c.de", "")
    assert f"{tmp_path}/c.de: the file is empty" in refusal(f"{tmp_path}/c.{{field}}", columns)
    write("d1.source", "a\n")
    write("d2.source", "b\n")
    write("d1.target", "x\n")
    assert "names unlike numbers of files: 2 for source, 1 for target" in refusal(f"{tmp_path}/d*.{{field}}")


def test_lists_and_globs_lay_files_end_to_end(write: Write, tmp_path: Path) -> None:
    write("b.tsv", "b\tB\n")
    write("a.csv", "target,source\nA,a\n")
    run = make_run("seq2seq", f"{{train: ['{tmp_path}/b.tsv', '{tmp_path}/a.*']}}")
    rows = open_splits(run).train
    assert isinstance(rows, Joined)
    assert list(rows) == [{"source": "b", "target": "B"}, {"source": "a", "target": "A"}]
    assert (rows[1], rows[-2]) == ({"source": "a", "target": "A"}, {"source": "b", "target": "B"})
    assert rows.place(1) == f"{tmp_path}/a.csv:2"


def test_places_count_lines_and_not_rows(write: Write) -> None:
    path = write("t.csv", 'source,target\n"a\nb",x\n\nc,y\n')
    rows = train_rows(path)
    assert [rows.place(index) for index in range(2)] == [f"{path}:2", f"{path}:5"]


def test_a_headless_table_is_said_once(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write("t.tsv", TABLE)
    run = make_run("seq2seq", f"{{train: '{path}', valid: '{path}', test: '{path}'}}")
    with caplog.at_level(logging.INFO, "attncli.data"):
        open_splits(run)
    assert caplog.messages == ["tables without a header: their columns are source, target, in this order"]


def test_columns_by_number(write: Write) -> None:
    path = write("t.tsv", "1\ta\tx\n2\tb\ty\n")
    rows = train_rows(path, ", fields: {source: {column: 1}, target: {column: 2}}")
    assert list(rows) == [{"source": "a", "target": "x"}, {"source": "b", "target": "y"}]
    message = refusal(path, ", fields: {source: {column: 1}, target: {column: 3}}")
    assert f"{path}:1: there is no column 3; the last of 3 is 2" in message
    assert "help: columns count from 0: correct data.fields.target.column" in message


@pytest.mark.parametrize(
    ("name", "content", "more", "message", "help"),
    [
        ("t.tsv", "", "", "t.tsv: the file is empty", "give a file with rows"),
        ("t.tsv", "\n\n", "", "t.tsv: the file is empty", "give a file with rows"),
        ("t.tsv", "source\ttarget\n", "", "t.tsv: the file has no rows", "give a file with rows"),
        ("t.jsonl", "\n", "", "t.jsonl: there is no column 'source'", "say which one"),
        ("t.tsv", "source\ttraget\na\tb\n", "", "t.tsv:1: there is no column 'target'; did you mean 'traget'?",
         "the columns are source, traget; say which one with data.fields.target.column"),
        ("t.tsv", "en\tde\na\tb\n", ", fields: {source: {column: english}}", "t.tsv:1: there is no column 'english'",
         "the columns are en, de; say which one with data.fields.source.column"),
        ("t.tsv", "Source\tTarget\na\tb\n", "", "t.tsv:1: the first row has 'Source' where the field is 'source'",
         "rename it, or write data.fields.source.column: Source"),
        ("t.tsv", "just one\n", "", "t.tsv:1: 1 column where source and target are due", "set apart by one tab"),
        ("t.tsv", "a\tb\nc\n", "", "t.tsv:2: 1 column where the first row has 2", "data.on_bad_row: skip"),
        ("t.tsv", "a\tb\nc\td\te\n", "", "t.tsv:2: 3 columns where the first row has 2", "data.on_bad_row: skip"),
        ("t.tsv", "a\tb\nc\td\t\te\n", "", "t.tsv:2: 4 columns where the first row has 2", "data.on_bad_row: skip"),
        ("t.tsv", "a\tb\nc\t \nd\n", "", "t.tsv:2: 'target' is missing (1 more rows are at fault)", "correct the row"),
        ("t.tsv", b"a\tb\nc\t\xe4\n", "", "t.tsv:2: not UTF-8 (byte 0xe4)", "save the file as UTF-8"),
        ("t.tsv", b"\xe4\tb\n", "", "t.tsv:1: not UTF-8 (byte 0xe4)", "save the file as UTF-8"),
        ("t.csv", 'source,target\na,b\n"c,d\n', "", "t.csv:3: not valid CSV: unexpected end of data", "correct the"),
        ("t.jsonl", '{"source": "a", "target": "b"}\n{"source": \n', "", "t.jsonl:2: not valid JSON", "correct the"),
        ("t.jsonl", '{"source": "a", "target": "b"}\n{"source": "c"}\n', "", "t.jsonl:2: 'target' is missing", "skip"),
        ("t.jsonl", '{"source": "a", "target": "b"}\n[1]\n', "", "t.jsonl:2: no JSON object", "correct the row"),
        ("t.jsonl", '{"source": "a", "target": [["b"]]}\n', "", "t.jsonl:1: 'target' has no text: [['b']]", "skip"),
        ("t.jsonl", b'{"source": "a", "target": "\xff"}\n', "", "t.jsonl:1: not UTF-8 (byte 0xff)", "save the file"),
        ("t.json", '[{"source": "a"},\n {]', "", "t.json:2: not valid JSON", "correct the file"),
        ("t.json", b'[{"source": "a"},\n "\xff"]', "", "t.json:2: not UTF-8 (byte 0xff)", "save the file as UTF-8"),
        ("t.txt", "a\nb\n", "", "t.txt: plain text has one column where source and target are due", "corpus.{field}"),
    ],
)  # fmt: skip
def test_refusals(name: str, content: str | bytes, more: str, message: str, help: str, write: Write) -> None:
    said, _, way_out = refusal(write(name, content), more).partition("\nhelp: ")
    assert message in said
    assert help in way_out


def test_a_file_name_may_look_like_a_pattern(write: Write) -> None:
    assert list(train_rows(write("a[1] *.tsv", FILES["t.tsv"]))) == PAIRS


def test_paths_that_are_none(tmp_path: Path) -> None:
    assert f"data.train: there is no file '{tmp_path}/x.tsv'" in refusal(tmp_path / "x.tsv")
    assert f"data.train: no file matches '{tmp_path}/*.tsv'" in refusal(tmp_path / "*.tsv")
    assert f"data.train: '{tmp_path}' is a folder\nhelp: name its files: {tmp_path}/*.tsv" in refusal(tmp_path)


def test_a_spec_without_data() -> None:
    with pytest.raises(DataError, match="the spec has no data\nhelp: write a section `data`"):
        open_splits(make_run("seq2seq", "{kind: generated, name: copy}").model_copy(update={"data": None}))


BAD = {
    "t.tsv": "source\ttarget\na\tb\nc\nd\te\tf\n\tg\nh\ti\n",
    "t.csv": "source,target\na,b\nc\nd,e,f\n,g\nh,i\n",
    "t.jsonl": '{"source": "a", "target": "b"}\n{\n{"target": "f"}\n[]\n{"source": "h", "target": "i"}\n',
    "bytes.tsv": b"source\ttarget\na\tb\n\xff\tx\n\xfe\ty\n\xfd\tz\nh\ti\n",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_left_out_and_counted(name: str, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write(name, BAD[name])
    rows = train_rows(path, ", on_bad_row: skip")
    assert list(rows) == [{"source": "a", "target": "b"}, {"source": "h", "target": "i"}]
    assert rows[1] == {"source": "h", "target": "i"}
    assert rows.skipped == 3
    assert caplog.messages == ["data.train: 3 bad rows were left out, 2 are used"]
    assert rows.place(1) == f"{path}:{5 if name == 't.jsonl' else 6}"


def test_nothing_but_bad_rows(write: Write) -> None:
    path = write("t.jsonl", '{"source": 1, "target": ""}\n{\n')
    assert "t.jsonl: the file has no good row" in refusal(path, ", on_bad_row: skip")


text = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r\x00"), min_size=1).filter(lambda s: s.strip())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(text, text), min_size=1, max_size=5))
def test_tsv_text_stays_as_it_is(pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8", newline="\n")
    assert [tuple(row.values()) for row in train_rows(path)] == pairs
    layout = table_layout(path, "tsv", {"source": "source", "target": "target"})
    assert [tuple(record.values) for record in records(path, layout.kind)][1:] == pairs  # the second pass agrees


def test_rows_lie_in_memory_maps(write: Write) -> None:
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    rows = train_rows(write("big.tsv", "".join(f"row {n}\t{'x' * 1000}\n" for n in range(20000))))
    assert isinstance(rows, ArrowRows)
    assert rows.table.nbytes > 20_000_000
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert rows[19999]["source"] == "row 19999"


def test_reading_twice_uses_the_cache_and_a_change_is_seen(write: Write, cache: Path) -> None:
    path = write("t.tsv", TABLE)
    first = train_rows(path)
    files = {file: file.stat().st_mtime_ns for file in cache.rglob("*.arrow")}
    assert files
    assert train_rows(path).fingerprint == first.fingerprint
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.arrow")} == files
    write("t.tsv", TABLE + "new\trow\n")
    assert len(train_rows(path)) == len(PAIRS) + 1
    assert train_rows(path).fingerprint != first.fingerprint


def shared_rows(write: Write, more: str = "") -> tuple[Rows, Rows, Rows]:
    path = write("t.tsv", "source\ttarget\n" + "".join(f"text {n % 700}\t{n}\n" for n in range(1000)))
    splits = open_splits(seq2seq(path, ", valid: {share: 0.1}, test: {share: 0.2}" + more))
    assert splits.train is not None
    assert splits.valid is not None
    assert splits.test is not None
    return splits.train, splits.valid, splits.test


def test_shares_are_disjoint_and_lose_nothing(write: Write) -> None:
    parts = shared_rows(write)
    inputs = [{row["source"] for row in part} for part in parts]
    assert not inputs[0] & inputs[1]
    assert not inputs[0] & inputs[2]
    assert not inputs[1] & inputs[2]
    assert sorted(int(row["target"]) for part in parts for row in part) == list(range(1000))
    assert 50 < len(parts[1]) < 150
    assert 140 < len(parts[2]) < 260
    assert [parts[1][index] for index in range(len(parts[1]))] == list(parts[1])
    assert parts[2].place(0).endswith(f"t.tsv:{int(parts[2][0]['target']) + 2}")


def test_shares_depend_on_the_rows_alone(write: Write) -> None:
    one = [list(part) for part in shared_rows(write)]
    two = [list(part) for part in shared_rows(write, ", fields: {target: {column: target}}")]
    assert one == two
    assert len({part.fingerprint for part in shared_rows(write)}) == 3


def test_a_share_without_rows_is_refused(write: Write) -> None:
    message = refusal(write("t.tsv", TABLE), ", valid: {share: 0.0001}")
    assert "data.valid: no row of 3 is left for valid\nhelp: give more rows, or other shares" in message


def test_only_what_is_asked_for_is_opened(write: Write, tmp_path: Path) -> None:
    run = seq2seq(tmp_path / "gone.tsv", f", test: '{write('t.tsv', TABLE)}'")
    splits = open_splits(run, names=("test",))
    assert splits.train is None
    assert splits.test is not None
    assert list(splits.test) == PAIRS


def test_chosen_rows_are_the_same_by_index_and_in_turn(write: Write) -> None:
    rows = train_rows(write("t.tsv", "".join(f"{n}\t{n}\n" for n in range(3000))))
    chosen = np.array([0, 5, 999, 1000, 2999])
    some = Chosen(rows, chosen, name="some")
    assert [int(row["source"]) for row in some] == [int(some[i]["source"]) for i in range(5)] == chosen.tolist()
    parts = divide(rows, {"valid": 0.5})
    assert len(parts["valid"]) + len(parts["train"]) == 3000


def test_documents_of_a_language_model(write: Write) -> None:
    def texts(content: str) -> list[str]:
        rows = open_splits(make_run("language_model", f"{{train: '{write('t.txt', content)}'}}")).train
        assert rows is not None
        assert [rows[index] for index in range(len(rows))] == list(rows)
        return [row["text"] for row in rows]

    assert texts("one\nline\n\n\nsecond\n\n   \n\n\n\nthird\n") == ["one\nline", "second", "third"]
    assert texts("one\ntwo\n") == ["one", "two"]


def test_the_place_of_a_document(write: Write) -> None:
    path = write("t.txt", "one\nline\n\n\nsecond\n\n   \n\nthird\n")
    rows = open_splits(make_run("language_model", f"{{train: '{path}'}}")).train
    assert rows is not None
    assert [rows.place(index) for index in range(3)] == [f"{path}:1", f"{path}:5", f"{path}:9"]


def test_open_file_takes_what_is_asked(write: Write) -> None:
    run = make_run("classification", "{train: gone.tsv, fields: {label: {column: stars}}}")
    lines = open_file(run, write("t.txt", "good\n\nbad\n"), fields=("text",), lines=True)
    assert [row["text"] for row in lines] == ["good", "", "bad"]
    with pytest.raises(DataError, match=r"l\.txt:3: not UTF-8 \(byte 0xff\)"):
        open_file(run, write("l.txt", b"good\n\n\xff\n"), fields=("text",), lines=True)
    assert list(open_file(run, write("t.csv", "text,stars\ngood,5\n"))) == [{"text": "good", "label": "5"}]
    assert list(open_file(run, write("u.csv", "text\ngood\n"), fields=("text",))) == [{"text": "good"}]
    with pytest.raises(DataError, match=r"--data: there is no file 'nothing\.tsv'"):
        open_file(run, "nothing.tsv")
    prompts = open_file(make_run("language_model", "{train: x}"), write("p.txt", "a\n\nb\n"), lines=True)
    assert len(prompts) == 3


def test_a_full_disk_is_not_blamed_on_the_data(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def full(*args: object, **options: object) -> None:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise datasets.exceptions.DatasetGenerationError("generating") from error

    monkeypatch.setattr(datasets, "load_dataset", full)
    with pytest.raises(OSError, match="No space left on device"):
        train_rows(write("t.tsv", TABLE))
