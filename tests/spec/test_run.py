"""Whole specs: all of specs/ load, and what the top of a spec says of itself."""

import subprocess
import sys

import pytest

from attncli.spec.base import Time
from attncli.spec.load import load_spec, load_text
from attncli.spec.sizes import sizes_of
from attncli.spec.tokenizer import BYTE_VOCABULARY
from tests.spec.mutations import SPECS

EIGHT_LINES = """\
name: en-de
task: seq2seq
model:
  encoder: {layers: 3}
  decoder: {layers: 3}
data:
  train: data/train.tsv
  valid: data/valid.tsv
"""


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_loads_without_a_note(path):
    loaded = load_spec(path)
    assert loaded.run.name == path.stem
    assert loaded.run.language == 1
    assert loaded.notes == ()


def test_there_are_specs():
    assert len(SPECS) >= 10
    assert {load_spec(path).run.task.kind for path in SPECS} == {
        "seq2seq", "language_model", "masked_language_model", "classification", "tagging",
    }  # fmt: skip


def test_eight_lines_are_a_translation_model():
    run = load_text(EIGHT_LINES).run
    assert list(run.model.stacks) == ["encoder", "decoder"]
    assert [stack.depth for stack in run.model.stacks.values()] == [3, 3]
    assert (run.tokenizer.kind, run.evaluate.decoding.kind, run.model.tie_embeddings) == ("bpe", "beam", "all")


def test_data_may_be_left_out():
    assert load_text("name: x\ntask: tagging\nmodel: {encoder: {}}\n").run.data is None


def test_records_are_frozen_and_equal_by_value():
    one, two = load_text(EIGHT_LINES).run, load_text(EIGHT_LINES).run
    assert one == two
    assert one != load_text(EIGHT_LINES, ["seed=1"]).run
    with pytest.raises(Exception, match="frozen"):
        one.seed = 3


def test_the_tokenizer_of_a_field():
    own = "  fields: {target: {tokenizer: characters}}\n"
    run = load_text(EIGHT_LINES + own).run
    assert [run.tokenizer_of(field).kind for field in ("source", "target")] == ["bpe", "characters"]
    assert not run.shares_tokenizer("source", "target")
    assert load_text(EIGHT_LINES).run.shares_tokenizer("source", "target")


@pytest.mark.parametrize(
    ("rest", "sizes", "labels", "unknown"),
    [
        ("task: tagging\n", 8000, 2, {"text", "label"}),
        ("task: {kind: tagging, tags: 5}\ntokenizer: bytes\n", BYTE_VOCABULARY, 5, set()),
        ("task: {kind: classification, classes: [a, b, c]}\ntokenizer: {kind: words, vocabulary: 77}\n", 77, 3,
         {"text"}),
        ("task: masked_language_model\ntokenizer: {kind: file, path: a.json}\n", 8000, None, {"text"}),
    ],
)  # fmt: skip
def test_sizes_before_the_data_are_seen(rest, sizes, labels, unknown):
    found = sizes_of(load_text("name: x\nmodel: {encoder: {}}\n" + rest).run, ("text",))
    assert (found.vocabularies, found.labels, found.from_data) == ({"text": sizes}, labels, unknown)


@pytest.mark.parametrize(
    ("written", "time", "shown", "steps"),
    [
        ("5000", Time(5000, "steps"), "5000", 5000), ("7 steps", Time(7, "steps"), "7", 7),
        ("3 epochs", Time(3, "epochs"), "3 epochs", 60), ("1 epoch", Time(1, "epochs"), "1 epochs", 20),
        ("0.5 epochs", Time(0.5, "epochs"), "0.5 epochs", 10), ("5%", Time(5, "percent"), "5%", 50),
        ("0.01 epochs", Time(0.01, "epochs"), "0.01 epochs", 1), ("2.55 %", Time(2.55, "percent"), "2.55%", 26),
    ],
)  # fmt: skip
def test_a_stretch_of_time(written, time, shown, steps):
    run = load_text("name: x\ntask: tagging\nmodel: {encoder: {}}\n" + f"evaluate: {{every: {written}}}\n").run
    assert run.evaluate.every == time
    assert str(time) == shown
    assert time.steps(total=1000, per_epoch=20) == steps


def test_minutes_are_measured():
    run = load_text("name: x\ntask: tagging\nmodel: {encoder: {}}\ntrain: {duration: 10 minutes}\n").run
    assert run.train.duration == Time(10, "minutes")
    with pytest.raises(AssertionError, match="minutes are measured, not counted"):
        run.train.duration.steps(total=1000, per_epoch=20)


def test_loading_needs_no_torch():
    code = (
        "import sys; from attncli.spec.load import load_text; "
        "load_text('name: x\\ntask: tagging\\nmodel: {encoder: {}}\\n'); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
