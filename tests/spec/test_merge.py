"""One rule lays values over each other: files that extend files, -o, model over stack, stack over layer."""

from pathlib import Path

import pytest

from attncli.errors import SpecError
from attncli.spec.load import load_spec, load_text
from attncli.spec.merge import Covered, merge
from attncli.spec.nodes import Source, plain
from attncli.spec.reader import lines_of, read_value

BASE = """\
name: base
task: seq2seq
model:
  d_model: 32
  attention: {heads: 4, score: {kind: additive, d_hidden: 7}}
  encoder: {layers: 2}
  decoder: {layers: [{}, {dropout: 0.3}, {repeat: 2}]}
data: {train: [a.tsv, b.tsv], valid: c.tsv}
train: {clip: 2, early_stopping: {patience: 3}, optimizer: {kind: adam, weight_decay: 0.5}}
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)


def extended(text, *overrides, name="child.yaml"):
    Path(name).write_text(text)
    return load_spec(Path(name), overrides).run


def refused(text, *overrides):
    with pytest.raises(SpecError) as caught:
        extended(text, *overrides)
    return str(caught.value)


def node(text):
    return read_value(text, Source("s.yaml", lines_of(text), Path()), [])


@pytest.mark.parametrize(
    ("key", "far", "near", "whole"),
    [
        ("", "{a: 1, b: {c: 2, d: 3}}", "{b: {d: 4}, e: 5}", {"a": 1, "b": {"c": 2, "d": 4}, "e": 5}),
        ("layers", "[1, 2, 3]", "[4]", [4]),
        ("layers", "6", "[{}]", [{}]),
        ("layers", "[{dropout: 0.1}]", "2", 2),
        ("early_stopping", "none", "{patience: 3}", {"patience": 3}),
        ("data", "{train: a}", "none", "none"),
        ("score", "{kind: additive, d_hidden: 7}", "{d_hidden: 9}", {"kind": "additive", "d_hidden": 9}),
        ("score", "additive", "{d_hidden: 9}", {"kind": "additive", "d_hidden": 9}),
        ("score", "{kind: additive, d_hidden: 7}", "{kind: additive}", {"kind": "additive"}),
        ("score", "{kind: additive, d_hidden: 7}", "additive", "additive"),
        ("score", "{d_hidden: 7}", "{kind: dot}", {"kind": "dot"}),
        ("position", "none", "{base: 3}", {"kind": "none", "base": 3}),
        ("early_stopping", "{patience: 3}", "{kind: x}", {"patience": 3, "kind": "x"}),
        ("", "{optimizer: adam}", "{optimizer: {epsilon: 1}}", {"optimizer": {"kind": "adam", "epsilon": 1}}),
        ("fields", "{score: a}", "{score: {column: 1}}", {"score": {"column": 1}}),
        ("fields", "{norm: {kind: a, column: 2}}", "{norm: {kind: b}}", {"norm": {"kind": "b", "column": 2}}),
    ],
)  # fmt: skip
def test_what_is_laid_over_what(key, far, near, whole):
    assert plain(merge(node(far), node(near), key, Covered())) == whole


@pytest.mark.parametrize(("far", "near"), [("{a: 1}", None), (None, "{a: 1}")])
def test_one_alone_is_itself(far, near):
    found = merge(far and node(far), near and node(near), "", Covered())
    assert plain(found) == {"a": 1}


def test_what_is_covered_is_remembered():
    covered = Covered()
    far, near = node("{a: 1, b: [2, 3], c: 4}"), node("{b: 5}")
    merge(far, near, "", covered)
    assert {leaf.value: places for leaf, places in covered.by.items()} == {
        2: [near.get("b").place], 3: [near.get("b").place],
    }  # fmt: skip


def test_a_child_says_what_differs(files):
    run = extended("extends: base.yaml\nname: child\nmodel: {d_model: 64, decoder: {layers: 1}}\ntrain: {clip: 3}\n")
    assert (run.name, run.model.encoder.d_model, run.model.encoder.depth, run.model.decoder.depth) == (
        "child", 64, 2, 1,
    )  # fmt: skip
    assert (run.train.clip, run.train.early_stopping.patience) == (3, 3)


def test_files_extend_files(files):
    Path("middle.yaml").write_text("extends: base.yaml\nname: middle\nseed: 1\ntrain: {clip: 5}\n")
    run = extended("extends: middle.yaml\nname: child\n")
    assert (run.name, run.seed, run.train.clip, run.model.decoder.depth) == ("child", 1, 5, 4)


def test_a_later_file_lies_over_an_earlier_one_and_this_one_over_all(files):
    Path("one.yaml").write_text("seed: 1\ntrain: {clip: 1, ema: 0.1}\n")
    Path("two.yaml").write_text("seed: 2\ntrain: {clip: 2}\n")
    run = extended("extends: [base.yaml, one.yaml, two.yaml]\nseed: 3\n")
    assert (run.seed, run.train.clip, run.train.ema) == (3, 2, 0.1)
    run = extended("extends: [base.yaml, two.yaml, one.yaml]\n")
    assert (run.seed, run.train.clip) == (1, 1)


def test_a_file_may_be_reached_on_two_ways(files):
    Path("one.yaml").write_text("extends: base.yaml\nseed: 1\n")
    Path("two.yaml").write_text("extends: base.yaml\ntrain: {clip: 9}\n")
    run = extended("extends: [one.yaml, two.yaml]\n")
    assert (run.seed, run.train.clip) == (1, 9)


def test_paths_start_at_the_file_that_names_them(files, tmp_path):
    Path("deep").mkdir()
    Path("deep/base.yaml").write_text(BASE.replace("c.tsv", "../c.tsv"))
    data = extended("extends: deep/base.yaml\ndata: {test: d.tsv}\n", "data.train=~/e.tsv").data
    assert data.train == (str(Path.home() / "e.tsv"),)
    assert (data.valid, data.test) == ((str(tmp_path / "c.tsv"),), (str(tmp_path / "d.tsv"),))
    run = extended("extends: deep/base.yaml\n", "data.valid=[f.tsv, /g.tsv]")
    assert run.data.train == (str(tmp_path / "deep/a.tsv"), str(tmp_path / "deep/b.tsv"))
    assert run.data.valid == (str(tmp_path / "f.tsv"), "/g.tsv")


def test_a_named_kind_brings_none_of_the_options_of_the_other(files):
    optimizer = extended("extends: base.yaml\ntrain: {optimizer: {kind: adamw}}\n").train.optimizer
    assert (optimizer.kind, optimizer.weight_decay) == ("adamw", 0.01)
    optimizer = extended("extends: base.yaml\ntrain: {optimizer: {kind: adam}}\n").train.optimizer
    assert (optimizer.kind, optimizer.weight_decay) == ("adam", 0)
    optimizer = extended("extends: base.yaml\ntrain: {optimizer: {epsilon: 1e-3}}\n").train.optimizer
    assert (optimizer.kind, optimizer.weight_decay, optimizer.epsilon) == ("adam", 0.5, 1e-3)


def test_none_removes(files):
    run = extended("extends: base.yaml\ndata: none\ntrain: {early_stopping: none, clip: none}\n")
    assert (run.data, run.train.early_stopping, run.train.clip) == (None, None, None)
    run = extended("extends: base.yaml\ntask: classification\nmodel: {decoder: none}\ndata: none\n")
    assert list(run.model.stacks) == ["encoder"]


def test_the_stack_lies_over_the_model_and_the_layer_over_the_stack():
    run = load_text("""
name: x
task: seq2seq
model:
  d_model: 32
  dropout: 0.1
  norm: {kind: layer_norm, bias: false}
  attention: {heads: 2, score: additive}
  encoder:
    dropout: 0.2
    attention: {score: dot, dropout: 0}
    layers: [{}, {dropout: 0.3, attention: {heads: 4}}]
  decoder:
    norm: {epsilon: 1e-3}
    attention: {score: {d_hidden: 5}}
    layers:
      - repeat: 2
        dropout: 0.4
        layers: [{}, {dropout: 0.5, attention: {score: cosine}, cross_attention: {heads: 8}}]
""").run
    first, second = run.model.encoder.layers
    assert (first.dropout, first.attention.dropout, first.attention.heads) == (0.2, 0, 2)
    assert (second.dropout, second.attention.dropout, second.attention.heads) == (0.3, 0, 4)
    assert {first.attention.score.kind, second.attention.score.kind} == {"dot"}
    assert run.model.encoder.norm.epsilon == 1e-5
    assert (run.model.decoder.norm.kind, run.model.decoder.norm.epsilon, run.model.decoder.norm.bias) == (
        "layer_norm", 1e-3, False,
    )  # fmt: skip
    layers = list(run.model.decoder.expanded())
    assert [layer.dropout for layer in layers] == [0.4, 0.5, 0.4, 0.5]
    assert [layer.attention.score.kind for layer in layers] == ["additive", "cosine"] * 2
    assert layers[0].attention.score.d_hidden == layers[0].cross_attention.score.d_hidden == 5
    assert [layer.cross_attention.heads for layer in layers] == [2, 8, 2, 8]
    assert layers[1].cross_attention.score.kind == "cosine"


def test_cross_attention_starts_from_the_attention_without_what_belongs_to_one_text():
    run = load_text("""
name: x
task: seq2seq
model: {d_model: 32, encoder: {}, decoder: {attention: {heads: 4, kv_heads: 2, mask: causal & window(before=3),
        position: alibi, normalizer: sparsemax, norm: none, norm_place: post}}}
""").run
    cross = run.model.decoder.layers[0].cross_attention
    assert (cross.heads, cross.kv_heads, cross.normalizer.kind) == (4, 2, "sparsemax")
    assert (str(cross.mask), cross.position.kind, cross.norm.kind, cross.norm_place) == (
        "full", "none", "rms_norm", "pre",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("seed=010", lambda run: run.seed == 10),
        ("seed = 3", lambda run: run.seed == 3),
        ("name=no", lambda run: run.name == "no"),
        ("name='3'", lambda run: run.name == "3"),
        ("train.learning_rate=3e-4", lambda run: run.train.learning_rate == 3e-4),
        ("train.clip=none", lambda run: run.train.clip is None),
        ("train.duration=3 epochs", lambda run: str(run.train.duration) == "3 epochs"),
        ("train.early_stopping.patience=9", lambda run: run.train.early_stopping.patience == 9),
        ("train.optimizer=adamw", lambda run: run.train.optimizer.weight_decay == 0.01),
        ("train.optimizer.kind=adamw", lambda run: run.train.optimizer.weight_decay == 0.01),
        ("train.optimizer.kind=adam", lambda run: run.train.optimizer.weight_decay == 0),
        ("train.optimizer.epsilon=1",
         lambda run: (run.train.optimizer.weight_decay, run.train.optimizer.epsilon) == (0.5, 1)),
        ("train.optimizer={epsilon: 1}",
         lambda run: (run.train.optimizer.weight_decay, run.train.optimizer.epsilon) == (0.5, 1)),
        ("train.optimizer.betas=[0.5, 0.6]", lambda run: run.train.optimizer.betas == (0.5, 0.6)),
        ("train.batch.size=77", lambda run: run.train.batch.size == 77),
        ("data=none", lambda run: run.data is None),
        ("data.train.1=/z.tsv", lambda run: run.data.train[1] == "/z.tsv"),
        ("tokenizer.vocabulary=300", lambda run: (run.tokenizer.kind, run.tokenizer.vocabulary) == ("bpe", 300)),
        ("evaluate.metrics=[chrf]", lambda run: run.evaluate.metrics == ("chrf",)),
        ("model.encoder.bias=true", lambda run: run.model.encoder.layers[0].feedforward.bias),
        ("model.decoder.layers.1.dropout=0.25",
         lambda run: [layer.dropout for layer in run.model.decoder.expanded()] == [0.1, 0.25, 0.1, 0.1]),
        ("model.decoder.layers.2.repeat=1", lambda run: run.model.decoder.depth == 3),
        ("model.decoder.layers.0={attention: none}", lambda run: run.model.decoder.layers[0].attention is None),
        ("model.decoder.layers=3", lambda run: run.model.decoder.depth == 3),
        ("model.attention.score.d_hidden=9", lambda run: run.model.encoder.layers[0].attention.score.d_hidden == 9),
        ("model.attention.score=dot", lambda run: run.model.encoder.layers[0].attention.score.kind == "dot"),
        ("model.decoder.attention.mask=window(before=3, after=0)",
         lambda run: "before=3" in str(run.model.decoder.layers[0].attention.mask)),
    ],
)  # fmt: skip
def test_a_flag_holds_yaml(files, flag, value):
    assert not value(extended(BASE))
    assert value(extended("extends: base.yaml\n", flag))


def test_flags_go_from_left_to_right(files):
    assert extended(BASE, "seed=1", "seed=2").seed == 2
    run = extended(BASE, "train.optimizer=adagrad", "train.optimizer.accumulator=0.1", "train.learning_rate=0.1")
    assert (run.train.optimizer.kind, run.train.optimizer.accumulator) == ("adagrad", 0.1)
    run = extended(BASE, "model.decoder.layers=[{}, {}]", "model.decoder.layers.1.dropout=0.4")
    assert [layer.dropout for layer in run.model.decoder.expanded()] == [0.1, 0.4]


def test_a_flag_covers_a_file_only_where_it_speaks(files):
    run = extended(BASE, "model.encoder.attention.heads=2")
    assert (run.model.encoder.layers[0].attention.heads, run.model.decoder.layers[0].attention.heads) == (2, 4)


ELEMENT = "an integer addresses an element that a list in the file already has"


@pytest.mark.parametrize(
    ("flag", "column", "says"),
    [
        ("model.decoder.layers.3.dropout=0.1", 22, "there is no element 3: the list has 3, counted from 0"),
        ("model.encoder.layers.0.dropout=0.1", 22, "'layers' is no list here, so it has no element 0"),
        ("data.valid.0=x", 12, "'valid' is no list here, so it has no element 0"),
        ("0.a=3", 1, "there is no list to take 0 of"),
        ("model.layers.0.dropout=0.1", 14, "'layers' is no list here, so it has no element 0"),
    ],
)
def test_an_element_is_one_that_there_is(files, flag, column, says):
    assert refused(BASE, flag) == f"-o {flag}: {says}\n |\n | {flag}\n | {' ' * (column - 1)}^\nhelp: {ELEMENT}"


@pytest.mark.parametrize(
    ("flag", "column", "says"),
    [
        ("seed.a=3", 6, "seed: expected an integer of 0 or more, found a mapping"),
        ("model.decoder.layers.x.dropout=0", 22,
         "layers: expected an integer of 0 or more, or a list of mappings, found a mapping"),
    ],
)  # fmt: skip
def test_a_step_into_what_holds_nothing_replaces_it(files, flag, column, says):
    assert refused(BASE, flag) == f"-o {flag}: {says}\n |\n | {flag}\n | {' ' * (column - 1)}^"


@pytest.mark.parametrize(
    ("text", "where", "says", "help"),
    [
        ("extends: child.yaml\n", 10, "the files extend each other, child.yaml -> child.yaml", "break the circle"),
        ("extends: bse.yaml\n", 10, "bse.yaml: there is no such file", "did you mean 'base.yaml'?"),
        ("extends: [base.yaml, zebra.yaml]\n", 22, "zebra.yaml: there is no such file",
         "`attncli init DATA_FILE` writes a spec to start from"),
        ("extends: .\n", 10, ".: this is a folder", "name the spec file in it"),
        ("extends: latin.yaml\n", 10, "latin.yaml:2: this line is not UTF-8", "save the file as UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_extended(files, text, where, says, help):
    Path("latin.yaml").write_bytes("name: x\n# ö\n".encode("latin-1"))
    line = text.rstrip("\n")
    assert refused(text) == (
        f"child.yaml:1:{where}: extends: {says}\n  |\n1 | {line}\n  | {' ' * (where - 1)}^\nhelp: {help}"
    )


def test_a_longer_circle_is_told_where_it_closes(files):
    Path("one.yaml").write_text("name: x\nextends: two.yaml\n")
    Path("two.yaml").write_text("extends: one.yaml\n")
    assert refused("extends: [base.yaml, one.yaml]\n") == (
        "two.yaml:1:10: extends: the files extend each other, one.yaml -> two.yaml -> one.yaml\n"
        "  |\n1 | extends: one.yaml\n  |          ^\nhelp: break the circle"
    )


def test_a_text_extends_files_of_the_working_folder(files):
    assert load_text("extends: base.yaml\nseed: 4\n").run.seed == 4
