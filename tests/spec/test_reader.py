"""YAML as specs are written in it: version 1.2, and none of what would surprise."""

from itertools import pairwise
from pathlib import Path

import pytest

from attncli.errors import SpecError
from attncli.spec.load import load_spec
from attncli.spec.nodes import Source, plain
from attncli.spec.reader import is_plain_text, lines_of, read_mapping, read_value
from tests.spec.reports import refused, unmarked, whole

HEAD = "name: x\ntask: language_model\nmodel: {decoder: {layers: 1}}\n"
NO_VALUE = "write `none` for absent, or take the key away"
NO_MAPPING = ("a spec is a mapping of keys to values, and this is not",
              "write `name: …`, `task: …` and `model: …`, each on a line of its own")  # fmt: skip
NOTHING = ("there is nothing here", "`attncli init DATA_FILE` writes a spec to start from")
NO_KEY = ("a key is one word of text", "write `key: value`")
ODD_START = ("a value cannot start with this character", "quote the value")


def read(text):
    faults = []
    found = plain(read_value(text, Source("s.yaml", lines_of(text), Path()), faults))
    assert faults == []
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-3", -3), ("+3", 3), ("010", 10), ("0", 0), ("1e5", 100_000), ("2E+3", 2000), ("-1e2", -100),
        ("3e-4", 3e-4), ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("1.0e3", 1000.0), ("-.inf", float("-inf")),
        ("true", True), ("False", False), ("TRUE", True),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("tRue", "tRue"),
        ("0x10", "0x10"), ("0o10", "0o10"), ("1_000", "1_000"), ("1,000", "1,000"), ("12:30:00", "12:30:00"),
        ("2001-01-01", "2001-01-01"), ("1e", "1e"), (".", "."), ("1.2.3", "1.2.3"), ("nan", "nan"), ("=", "="),
        ("5%", "5%"), ("none", "none"), ("'3'", "3"), ('"true"', "true"), ("''", ""), ("'~'", "~"), ("'null'", "null"),
        ("'<<'", "<<"), ('"\\u4e2d"', "中"), ("|\n  a\n  b\n", "a\nb\n"), (">-\n  causal\n  & full\n", "causal & full"),
        ("[1, a, [2.5]]", [1, "a", [2.5]]), ("{a: 1, 2: b}", {"a": 1, "2": "b"}),
        ("{a: {}, b: []}", {"a": {}, "b": []}),
        ("{'<<': 1, 'null': 2}", {"<<": 1, "null": 2}), ("a  # of b", "a"), ("a#b", "a#b"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "whether"),
    [("no", True), ("5%", True), ("1_000", True), ("3", False), ("3e-4", False), ("true", False), (".inf", False),
     ("", False), ("~", False), ("null", False)],
)  # fmt: skip
def test_what_needs_no_quotes_is_read_as_the_text_that_it_is(text, whether):
    assert is_plain_text(text) == whether


def test_an_integer_of_hundreds_of_digits_takes_no_time():
    assert read("9" * 5000) == float("inf")
    assert read("9" * 500 + "e9") == float("inf")
    assert read("9" * 300) == int("9" * 300)


def test_anchors_stand_for_their_values():
    assert read("a: &x {b: [1, 2]}\nc: *x\nd: [*x, &y 3, *y]\n&k e: *k\n") == {
        "a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": [{"b": [1, 2]}, 3, 3], "e": "e",
    }  # fmt: skip


def test_an_anchor_may_be_given_again():
    assert read("[&x 1, *x, &x 2, *x]") == [1, 1, 2, 2]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts(line_end):
    report = refused((HEAD + "sed: 3\n").replace("\n", line_end))
    assert report == "s.yaml:4:1: there is no key 'sed' here\n  |\n4 | sed: 3\n  | ^\nhelp: did you mean 'seed'?"


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        ("seed: 1\n▸seed: 2\n", "seed: this key stands here twice", "the first one is in line 4"),
        ("train: {clip: 1, 'ema': 0.5, ▸clip: 2}\n", "clip: this key stands here twice", "the first one is in line 4"),
        ("seed: ▸!!int 3\n", "the tag '!!int' has no meaning here", "take the tag away"),
        ("seed: ▸!mine 3\n", "the tag '!mine' has no meaning here", "take the tag away"),
        ("train: ▸!!python/object:os.system {}\n", "the tag '!!python/object:os.system' has no meaning here",
         "take the tag away"),
        ("train: {▸<<: {clip: 1}}\n", "<<: merge keys are not read",
         "write the shared keys on `model`, or use `extends`"),
        ("seed: ▸null\n", "seed: there is no value", NO_VALUE),
        ("seed: ▸~\n", "seed: there is no value", NO_VALUE),
        ("seed:▸\n", "seed: there is no value", NO_VALUE),
        ("seed: ▸NULL\n", "seed: there is no value", NO_VALUE),
        ("train: {clip: ▸}\n", "clip: there is no value", NO_VALUE),
        ("evaluate: {metrics: [▸~]}\n", "an element: there is no value", NO_VALUE),
        ("seed: ▸*s\n", "there is no anchor '&s' above", "write &s at the value that is meant, before this line"),
        ("train: &t {optimizer: ▸*t}\n", "'*t' holds itself", "write &t at the value that is meant, before this line"),
        ("? ▸[a, b]\n: 3\n", *NO_KEY),
        ("▸~: 3\n", *NO_KEY),
        ("▸null: 3\n", *NO_KEY),
        ("▸!!str a: 3\n", *NO_KEY),
        ("▸---\n", "a second document starts here", "write one spec a file"),
        ("train:\n▸\tclip: 1\n", "a tab stands where YAML wants blanks", "indent with blanks"),
        ("seed: 3▸: 4\n", "a ':' stands where no key can be",
         "indent the keys of one mapping alike, and quote a text that holds ': '"),
        ("train: ▸{clip: 1\n", "expected ',' or '}'", "what opens in line 4 column 8 is not closed"),
        ("train: ▸[1, 2\n", "expected ',' or ']'", "what opens in line 4 column 8 is not closed"),
        ('seed: ▸"3\n', "found unexpected end of stream", "what opens in line 4 column 7 is not closed"),
        ("seed: ▸@3\n", *ODD_START),
        ("seed: ▸`3`\n", *ODD_START),
        ("seed: ▸%3\n", *ODD_START),
        ("train:\n  clip: 1\n ▸ema: 3\n", "expected key",
         "this is not YAML; look at the indentation and the quotes around here"),
        ('seed: "▸\\q"\n', "found unknown escape character",
         "this is not YAML; look at the indentation and the quotes around here"),
    ],
)  # fmt: skip
def test_a_fault_of_yaml_has_its_place_and_a_way_out(text, says, help):
    assert refused(HEAD + unmarked(text)) == whole(HEAD + text, (says, help))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("▸", NOTHING), ("▸# nothing\n", NOTHING), ("\n\n", NOTHING), ("---\n", NOTHING), ("~\n", NOTHING),
        ("▸- a\n- b\n", NO_MAPPING), ("▸just text\n", NO_MAPPING), ("▸3\n", NO_MAPPING), ("▸[]\n", NO_MAPPING),
        ("▸!!map\n" + HEAD, ("the tag '!!map' has no meaning here", "take the tag away")),
    ],
)  # fmt: skip
def test_what_is_no_mapping_is_no_spec(text, fault):
    marked = text if "▸" in text else f"▸{text}"
    assert refused(unmarked(text)) == whole(marked, fault)


def test_every_repetition_of_a_key_is_reported():
    text = HEAD + "train: {clip: 1, ▸clip: 2, ▸clip: 3}\n"
    fault = "clip: this key stands here twice", "the first one is in line 4"
    assert refused(unmarked(text)) == whole(text, fault, fault)


@pytest.mark.parametrize(
    ("mask", "rest"),
    [
        ("window(before=3, after=2)", ""), ("causal & (window(before=3, after=2) | first(1))", ", heads: 2"),
        ("window(before=by_head(1, 2, 3), after=min(1, 2))", ", dropout: 0"),
    ],
)  # fmt: skip
def test_a_mask_with_a_comma_needs_quotes_in_braces(mask, rest):
    text = f"name: x\ntask: language_model\nmodel: {{decoder: {{attention: {{mask: ▸{mask}{rest}}}}}}}\n"
    fault = "mask: within { } and [ ] the value ends at the comma", f"quote it: mask: '{mask}'"
    assert refused(unmarked(text)) == whole(text, fault)


def test_the_quotes_that_are_asked_for_are_enough():
    text = "name: x\ntask: tagging\nmodel: {encoder: {attention: {mask: 'window(before=3, after=2)'}}}\n"
    assert read_mapping(text, Source("s.yaml", lines_of(text), Path()), []).get("model") is not None


def test_the_characters_that_yaml_forbids_are_named():
    text = HEAD + "seed: \x01\n"
    assert refused(text) == (
        "s.yaml:4:7: the character U+0001 may not stand in YAML\n  |\n4 | seed: \ufffd\n  |       ^\nhelp: take it out"
    )


def test_the_caret_stands_below_wide_characters_and_tabs():
    assert refused(HEAD + 'train: {"中": 3}\n').split("\n")[1:4] == ["  |", '4 | train: {"中": 3}', "  |         ^"]
    report = refused(HEAD + "train: {'中文': 3, sead: 4}\n").split("\n")
    assert report[8:10] == ["4 | train: {'中文': 3, sead: 4}", "  | " + " " * (17 + 2) + "^"]
    assert refused(HEAD + "train: {'Ａ': 3, sead: 4}\n").split("\n")[9] == "  | " + " " * (16 + 1) + "^"
    assert refused(HEAD + "train: {'e\u0301': 3, sead: 4}\n").split("\n")[9] == "  | " + " " * (17 - 1) + "^"
    assert refused(HEAD + "train: {\tsead: 4}\n").split("\n")[3] == "  |         \t^"


def test_a_long_line_is_cut_around_its_fault():
    line = f"data: {{train: [{'a.tsv, ' * 40}b.tsv], vald: c.tsv, test: [{'d.tsv, ' * 40}e.tsv]}}"
    head, _, excerpt, caret, help = refused(HEAD + line + "\n").split("\n")
    assert head == f"s.yaml:4:{line.index('vald') + 1}: data: there is no key 'vald' here"
    assert help == "help: did you mean 'valid'?"
    assert len(excerpt) <= 120
    assert excerpt.strip("4 |…") in line
    assert (excerpt[4], excerpt[-1]) == ("…", "…")
    assert excerpt[caret.index("^") :].startswith("vald: c.tsv")


def test_aliases_that_unfold_without_end_are_refused():
    names = "abcdefg"
    bomb = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise(names)
    )
    fault = "anchors and aliases unfold to more than 100,000 values", "repeat less; `repeat` says a layer many times"
    marked = (HEAD + bomb).replace("e: &e [*d, *d, *d, *d, *d, *d, *d, ", "e: &e [*d, *d, *d, *d, *d, *d, *d, ▸")
    assert refused(HEAD + bomb) == whole(marked, fault)


def test_deep_values_are_refused():
    report = refused(HEAD + f"a: {'[' * 70}{']' * 70}\n")
    assert report.startswith("s.yaml:4:68: values are nested more than 64 deep\n")
    assert report.endswith("\nhelp: write a flatter spec")
    assert refused(HEAD + f"a: {'[' * 10_000}\n").startswith("s.yaml:4:68: values are nested more than 64 deep\n")


def test_a_file_that_is_not_utf_8_names_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_bytes(HEAD.encode() + "# Größe\n".encode("latin-1"))
    with pytest.raises(SpecError) as caught:
        load_spec(Path("s.yaml"))
    assert str(caught.value) == "s.yaml:4: this line is not UTF-8\nhelp: save the file as UTF-8"


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert load_spec(path).run.name == "x"


@pytest.mark.parametrize(
    ("asked", "report"),
    [
        ("smal.yaml", "smal.yaml: there is no such file\nhelp: did you mean 'small.yaml'?"),
        ("zebra.yaml",
         "zebra.yaml: there is no such file\nhelp: `attncli init DATA_FILE` writes a spec to start from"),
        (".", ".: this is a folder\nhelp: name the spec file in it"),
        ("small.yaml/x", "small.yaml/x: Not a directory\nhelp: a spec is a file that can be read"),
        ("a\0b", "a\0b: embedded null byte\nhelp: a spec is a file that can be read"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch, asked, report):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(HEAD)
    with pytest.raises(SpecError) as caught:
        load_spec(Path(asked))
    assert str(caught.value) == report
