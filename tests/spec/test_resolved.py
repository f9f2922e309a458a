"""A spec with every default and its reason: the derived defaults of docs/language.md, --resolved and --blame."""

from pathlib import Path

import pytest

from attncli.errors import InputError
from attncli.spec.load import load_spec, load_text
from attncli.spec.resolved import Row, scalar
from tests.spec.mutations import SPECS

TEXT = """\
name: x
task: seq2seq
model:
  d_model: 128
  dropout: 0.2
  encoder: {layers: [{}, {attention: {heads: 4}}, {}, {}]}
  decoder: {layers: 1}
"""


def of_model(model: str, task: str = "seq2seq", rest: str = "") -> str:
    return f"name: x\ntask: {task}\nmodel: {{{model}}}\n{rest}"


BOTH = "encoder: {layers: 1}, decoder: {layers: 1}"
RECURRENT = "d_hidden: 64, encoder: {kind: recurrent}, decoder: {kind: recurrent}"
ATTENTION = "decoder.attention"


def blamed(text: str, key: str, *overrides: str) -> Row:
    """The first row at or under a key."""
    return load_text(text, overrides, name="s.yaml").blame(key)[0]


@pytest.mark.parametrize(
    ("model", "key", "value", "why"),
    [
        ("d_model: 256, " + BOTH, f"{ATTENTION}.heads", 4, "max(1, d_model // 64)"),
        ("d_model: 32, " + BOTH, f"{ATTENTION}.heads", 1, "max(1, d_model // 64)"),
        (BOTH, f"{ATTENTION}.kv_heads", 4, "heads"),
        (BOTH, f"{ATTENTION}.d_head", 64, "d_model // heads"),
        ("attention: {d_head: 10}, " + BOTH, f"{ATTENTION}.d_value", 10, "d_head"),
        (BOTH, f"{ATTENTION}.score.kind", "scaled_dot", "default"),
        (BOTH, f"{ATTENTION}.score.scale", 0.125, "1/sqrt(d_head)"),
        ("attention: {score: additive}, " + BOTH, f"{ATTENTION}.score.d_hidden", 64, "d_head"),
        (BOTH, f"{ATTENTION}.position.kind", "rotary", "no position is written"),
        (BOTH, f"{ATTENTION}.position.d_rotary", 64, "d_head"),
        ("input: {position: learned}, " + BOTH, f"{ATTENTION}.position", "none", "the input has positions"),
        ("input: {position: none}, " + BOTH, f"{ATTENTION}.position", "none", "the input has positions"),
        ("attention: {position: alibi}, " + BOTH, "decoder.input.position", "none", "default"),
        (BOTH, "decoder.cross_attention.position", "none", "two stacks share no positions"),
        (BOTH, f"{ATTENTION}.mask", "causal", "in `decoder`"),
        (BOTH, "encoder.attention.mask", "full", "default"),
        (BOTH, "decoder.cross_attention.mask", "full", "default"),
        (BOTH, "decoder.cross_attention.stack", "encoder", "default"),
        (BOTH, "decoder.feedforward.d_ff", 704, "8/3 d_model, up to a multiple of 32"),
        ("feedforward: geglu, d_model: 96, attention: {heads: 2}, " + BOTH, "decoder.feedforward.d_ff", 256,
         "8/3 d_model, up to a multiple of 32"),
        ("feedforward: relu, " + BOTH, "decoder.feedforward.d_ff", 1024, "4 d_model"),
        (BOTH, "encoder.order", ["attention", "feedforward"],
         "the branches that are written or there by default"),
        (BOTH, "decoder.order", ["attention", "cross_attention", "feedforward"],
         "the branches that are written or there by default"),
        ("attention: none, " + BOTH, "decoder.order", ["cross_attention", "feedforward"],
         "the branches that are written or there by default"),
        (BOTH, "decoder.final_norm.kind", "rms_norm", "default"),
        ("norm_place: post, " + BOTH, "decoder.final_norm", "none", "norm_place is post"),
        ("norm: layer_norm, " + BOTH, "decoder.final_norm.kind", "layer_norm", "s.yaml:3:15"),
        ("input: {position: sinusoidal}, " + BOTH, "decoder.input.scale", "sqrt_d_model",
         "beside a sinusoidal position"),
        ("input: {position: learned}, " + BOTH, "decoder.input.scale", "none", "default"),
        (BOTH, "decoder.input.d_embedding", 256, "d_model"),
        (BOTH, "encoder.input.field", "source", "by the task"),
        (BOTH, "decoder.input.field", "target", "by the task"),
        (BOTH, "tie_embeddings", "all", "source and target share a tokenizer"),
        ("dropout: 0.3, " + BOTH, "decoder.dropout", 0.3, "s.yaml:3:18"),
        ("dropout: 0.3, " + BOTH, f"{ATTENTION}.dropout", 0.3, "s.yaml:3:18"),
        ("dropout: 0.3, " + BOTH, "encoder.feedforward.dropout", 0.3, "s.yaml:3:18"),
        ("dropout: 0.3, " + BOTH, "encoder.input.dropout", 0.3, "s.yaml:3:18"),
        ("attention: {dropout: 0.3}, " + BOTH, f"{ATTENTION}.dropout", 0.3, "s.yaml:3:30"),
        ("attention: {dropout: 0.3}, " + BOTH, "decoder.feedforward.dropout", 0.1, "default"),
        ("bias: true, " + BOTH, f"{ATTENTION}.bias", True, "s.yaml:3:15"),
        ("bias: true, attention: {projections: [query, key]}, " + BOTH + ", d_model: 64", f"{ATTENTION}.bias",
         ["query", "key"], "the stack's, for the maps that exist"),
        (RECURRENT, "tie_embeddings", "none", "the head reads a recurrent stack"),
        (RECURRENT, "decoder.bridge.kind", "dense", "beside an encoder"),
        (RECURRENT, "decoder.bridge.of", "final", "default"),
        ("encoder: {}, decoder: {kind: recurrent}", "decoder.bridge.of", "mean", "a transformer has no final state"),
        (RECURRENT, "decoder.input_feeding", "none", "default"),
        (RECURRENT + ", query: previous_state", "decoder.input_feeding.kind", "context",
         "query is previous_state"),
        (RECURRENT, "decoder.readout.kind", "dense", "beside cross_attention"),
        (RECURRENT, "decoder.readout.d_hidden", 64, "d_hidden"),
        (RECURRENT, "encoder.readout", "state", "no context to read"),
        (RECURRENT, "decoder.cross_attention.heads", 1, "default of recurrent stacks"),
        (RECURRENT, "decoder.cross_attention.projections", "none", "raw states"),
        (RECURRENT, "decoder.cross_attention.score.kind", "additive", "raw states: fits any two widths"),
        ("d_hidden: 64, encoder: {kind: recurrent, direction: both}, decoder: {kind: recurrent}",
         "decoder.cross_attention.d_value", 128, "the width of encoder // kv_heads"),
    ],
)  # fmt: skip
def test_a_default_of_the_model_has_its_reason(model, key, value, why):
    row = blamed(of_model(model), key)
    assert (row.value, row.why) == (value, why)


@pytest.mark.parametrize(
    ("task", "stack", "key", "value", "why"),
    [
        ("seq2seq", None, "task.stack", "decoder", "the decoder"),
        ("tagging", "encoder", "task.stack", "encoder", "the only stack"),
        ("language_model", "decoder", "tie_embeddings", "output", "default"),
        ("masked_language_model", "encoder", "tie_embeddings", "output", "default"),
        ("tagging", "encoder", "tie_embeddings", "none", "the head writes no tokens"),
        ("language_model", "decoder", "decoder.input.field", "text", "by the task"),
        ("seq2seq", None, "evaluate.decoding.kind", "beam", "the task is seq2seq"),
        ("language_model", "decoder", "evaluate.decoding.kind", "greedy", "default"),
        ("seq2seq", None, "evaluate.metrics", ["bleu", "chrf", "exact_match", "token_accuracy", "perplexity"],
         "the task's"),
        ("tagging", "encoder", "evaluate.metrics", ["accuracy", "macro_f1"], "the task's"),
        ("{kind: tagging, scheme: bio}", "encoder", "evaluate.metrics", ["accuracy", "span_f1", "macro_f1"],
         "the task's"),
        ("{kind: classification, pooling: attention}", "encoder", "task.pooling.score.scale", 0.0625,
         "1/sqrt(d_head)"),
        ("{kind: seq2seq, label_smoothing: 0}", None, "task.label_smoothing", 0, "s.yaml:2:40"),
        ("seq2seq", None, "task.label_smoothing", 0.1, "default"),
        ("language_model", "decoder", "task.label_smoothing", 0, "default"),
    ],
)  # fmt: skip
def test_a_default_of_the_task_has_its_reason(task, stack, key, value, why):
    row = blamed(of_model(f"{stack}: {{}}" if stack else BOTH, task), key)
    assert (row.value, row.why) == (value, why)


@pytest.mark.parametrize(
    ("d_model", "rate"), [(64, 2e-3), (256, 1e-3), (512, 7e-4), (4096, 2.5e-4)]
)  # fmt: skip
def test_the_learning_rate_follows_from_the_width(d_model, rate):
    row = blamed(of_model(f"d_model: {d_model}, {BOTH}"), "train.learning_rate")
    assert row.value == pytest.approx(rate, rel=0.02)
    assert row.value == pytest.approx((4000 * d_model) ** -0.5)
    assert row.why == "1/sqrt(4000 d_model)"


def test_averaging_keeps_as_many_checkpoints():
    rest = "evaluate: {average: 5}\n"
    row = blamed(of_model(BOTH, rest=rest), "train.checkpoints.keep_last")
    assert (row.value, row.why) == (5, "evaluate.average")


def test_a_tokenizer_of_its_own_unties():
    rest = "data: {train: a.tsv, fields: {target: {tokenizer: characters}}}\n"
    assert blamed(of_model(BOTH, rest=rest), "tie_embeddings")[1:] == ("output", "default")


def test_dates_are_of_two_languages_and_other_examples_of_none():
    rest = "data: {kind: generated, name: dates}\n"
    assert blamed(of_model(BOTH, rest=rest), "data.targets")[1:] == (["de", "zh"], "default of dates")
    assert blamed(of_model(BOTH, rest=rest.replace("dates", "copy")), "data.targets")[1:] == (
        "none", "default",
    )  # fmt: skip


def test_reasons_name_file_and_flag(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text("name: x\ntask: tagging\nmodel: {encoder: {layers: 2}}\ntrain: {clip: 3}\n")
    Path("s.yaml").write_text("extends: base.yaml\nname: y\n")
    found = load_spec(Path("s.yaml"), ["train.ema=0.5"])
    assert found.blame("train.clip") == [Row("train.clip", 3, "base.yaml:4:15")]
    assert found.blame("name") == [Row("name", "y", "s.yaml:2:7")]
    assert found.blame("train.ema") == [Row("train.ema", 0.5, "-o train.ema=0.5")]


def test_equal_layers_stand_together():
    found = load_text(TEXT)
    heads = found.blame("encoder.attention.heads")
    assert [(row.key, row.value) for row in heads] == [
        ("model.encoder.0.attention.heads", 2), ("model.encoder.1.attention.heads", 4),
        ("model.encoder.2-3.attention.heads", 2),
    ]  # fmt: skip
    assert found.blame("encoder.3.attention.heads") == heads[2:]
    assert found.blame("model.encoder.1.attention.heads") == heads[1:2]
    assert found.blame("encoder.layers.1.attention.heads") == heads[1:2]
    assert [row.key.split(".")[2] for row in found.blame("decoder.attention.heads")] == ["0"]


def test_a_key_of_the_model_is_told_where_its_stacks_read_it():
    found = load_text(TEXT)
    assert found.blame("model.d_model") == [*found.blame("encoder.d_model"), *found.blame("decoder.d_model")]
    assert found.blame("attention.heads") == [
        *found.blame("encoder.attention.heads"), *found.blame("decoder.attention.heads")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "help"),
    [
        ("model.encoder.d_modle", "did you mean 'd_model'?"),
        ("train.zebra", "`build --resolved` lists every key"),
        ("encoder.9.attention", "`build --resolved` lists every key"),
        ("trian.clip", "did you mean 'train'?"),
    ],
)
def test_a_key_that_there_is_not_is_refused(key, help):
    with pytest.raises(InputError) as caught:
        load_text(TEXT).blame(key)
    assert str(caught.value) == f"there is no key '{key}' in this spec\nhelp: {help}"


def test_a_section_is_a_key_as_well():
    found = load_text(TEXT)
    assert {row.key.split(".")[0] for row in found.blame("train")} == {"train"}
    assert len(found.blame("train")) == sum(row.key.startswith("train.") for row in found.rows())


def test_every_value_is_told_once():
    keys = [row.key for row in load_text(TEXT).rows()]
    assert len(keys) == len(set(keys))


def test_the_explained_text_is_whole():
    text = "name: x\ntask: tagging\nmodel: {encoder: {kind: recurrent, d_hidden: 8}}\n"
    explained = load_text(text, ["tokenizer=bytes", "train.learning_rate=5e-3"]).explained()
    assert (
        explained
        == """\
language: 1
name: x                          # spec.yaml:1:7
seed: 0
task:
  kind: tagging                  # spec.yaml:2:7
  stack: encoder                 # the only stack
  scheme: none
model:
  encoder:
    kind: recurrent              # spec.yaml:3:25
    d_hidden: 8                  # spec.yaml:3:46
    layers: 1
    max_length: 1024
    cell:
      kind: gru
      reset: after
    direction: forward
    residual: none
    input:
      kind: tokens
      field: text                # by the task
      d_embedding: 8             # d_hidden
      scale: none
      position: none
      norm: none
      dropout: 0.1
    dropout: 0.1
    bias: true
    bridge: none                 # nothing to start from
    query: state
    input_feeding: none
    readout: state               # no context to read
  tie_embeddings: none           # the head writes no tokens
  init:
    kind: fan_in
    gain: 1.0
    residual: by_depth
tokenizer: bytes                 # -o tokenizer=bytes
train:
  duration: 10000
  batch:
    kind: tokens
    size: 4096
    accumulate: 1
  learning_rate: 0.005           # -o train.learning_rate=5e-3
  clip: 1.0
  optimizer:
    kind: adamw
    weight_decay: 0.01
    betas: [0.9, 0.98]
    epsilon: 1e-09
  schedule:
    kind: cosine
    warmup: "5%"
    floor: 0.0
  precision: auto
  compile: false
  checkpoints:
    every: 500
    keep_last: 2
    keep_best: 1
evaluate:
  metrics: [accuracy, macro_f1]  # the task's
  decoding:
    kind: greedy
  every: 500
"""
    )


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_resolved_text_of_every_spec_loads_to_the_same(path):
    found = load_spec(path)
    again = load_text(found.resolved())
    assert again.run == found.run
    assert again.resolved() == found.resolved()
    assert load_text(found.explained()).run == found.run
    assert [line.partition("  # ")[0].rstrip() for line in found.explained().splitlines()] == (
        found.resolved().splitlines()
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (3, "3"), (3e-4, "0.0003"), ("abc", "abc"), ("no", "no"), ("3", '"3"'), ("true", '"true"'),
        ("null", '"null"'), ("~", '"~"'), ("", '""'), ("a: b", '"a: b"'), ("a,b", '"a,b"'), (" a", '" a"'),
        ("causal & first(2)", "causal & first(2)"), ("5%", '"5%"'), ("a#b", '"a#b"'), ("é", "é"), ("a\tb", '"a\\tb"'),
        ("\x00", '"\\u0000"'), ("\u2028", '"\\U00002028"'), ("-", '"-"'), ("../a", "../a"), ("<<", '"<<"'),
    ],
)  # fmt: skip
def test_a_scalar_is_written_so_that_it_is_read_as_it_was(value, text):
    assert scalar(value) == text
    back = load_text(f"name: x\ntask: {{kind: classification, classes: [a, {text}]}}\nmodel: {{encoder: {{}}}}\n") if (
        isinstance(value, str) and value
    ) else None  # fmt: skip
    assert back is None or back.run.task.classes == ("a", value)
