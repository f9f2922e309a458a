"""What a user reads when a spec is wrong: whole reports, every fault of a spec in one."""

from pathlib import Path

import pytest

from attncli.errors import SpecError
from attncli.spec.load import load_spec, load_text
from tests.spec.reports import refused, unmarked, whole

SPEC = """\
name: en-de
task: seq2seq
model:
  hidden_size: 64
  encoder: {layers: 2, attention: {num_heads: 4, score: addtive}}
  decoder:
    layers: [{repeat: 0}, {dropout: 1.5}]
    attention: {mask: causal & widow(before=3)}
tokenizer: {kind: bpe, vocabulary: '8000', lowercase: yes}
train:
  lr: 1e-3
  heads: 4
  optimizer: {kind: sgd, betas: [0.9, 0.98]}
evaluate: {metrics: [bleu, blue]}
"""

REPORT = """\
s.yaml:4:3: model: there is no key 'hidden_size' here
  |
4 |   hidden_size: 64
  |   ^
help: here it is called 'd_model'

s.yaml:5:36: attention: there is no key 'num_heads' here
  |
5 |   encoder: {layers: 2, attention: {num_heads: 4, score: addtive}}
  |                                    ^
help: here it is called 'heads'

s.yaml:5:57: score: there is no kind 'addtive'
  |
5 |   encoder: {layers: 2, attention: {num_heads: 4, score: addtive}}
  |                                                         ^
help: did you mean 'additive'?

s.yaml:7:23: repeat: expected an integer of 1 or more, found 0
  |
7 |     layers: [{repeat: 0}, {dropout: 1.5}]
  |                       ^

s.yaml:7:37: dropout: expected a number of 0 or more and below 1, found 1.5
  |
7 |     layers: [{repeat: 0}, {dropout: 1.5}]
  |                                     ^

s.yaml:8:32: mask: there is no 'widow' in masks
  |
8 |     attention: {mask: causal & widow(before=3)}
  |                                ^
help: did you mean 'window'?

s.yaml:9:36: vocabulary: expected an integer of 1 or more, found '8000'
  |
9 | tokenizer: {kind: bpe, vocabulary: '8000', lowercase: yes}
  |                                    ^
help: take the quotes away

s.yaml:9:55: lowercase: expected true or false, found 'yes'
  |
9 | tokenizer: {kind: bpe, vocabulary: '8000', lowercase: yes}
  |                                                       ^
help: YAML 1.2 reads 'yes' as text; write true

s.yaml:11:3: train: there is no key 'lr' here
   |
11 |   lr: 1e-3
   |   ^
help: here it is called 'learning_rate'

s.yaml:12:3: train: there is no key 'heads' here
   |
12 |   heads: 4
   |   ^
help: it belongs under `model.attention`, `model.cross_attention` or `task.pooling`

s.yaml:13:14: learning_rate: sgd has no learning rate of its own
   |
13 |   optimizer: {kind: sgd, betas: [0.9, 0.98]}
   |              ^
help: write train.learning_rate

s.yaml:13:26: optimizer: 'betas' is a key of kind 'adamw' or 'adam', not of 'sgd'
   |
13 |   optimizer: {kind: sgd, betas: [0.9, 0.98]}
   |                          ^
help: write kind: adamw, or take 'betas' away

s.yaml:14:28: metrics: seq2seq has no metric 'blue'
   |
14 | evaluate: {metrics: [bleu, blue]}
   |                            ^
help: did you mean 'bleu'?

13 faults in s.yaml"""

HEADS = "`model.attention`, `model.cross_attention` or `task.pooling`"
SCORES = (
    "scaled_dot, dot, cosine, general, biased_dot, trilinear, distance, additive, location, synthesizer, coverage or "
    "location_aware"
)


def of_model(body: str, rest: str = "") -> str:
    return f"name: x\ntask: language_model\nmodel:\n  {body}\n{rest}"


def of_rest(rest: str) -> str:
    return of_model("decoder: {layers: 1}", rest + "\n")


def test_every_fault_of_a_spec_is_in_one_report():
    assert refused(SPEC) == REPORT


def test_the_help_of_every_fault_is_enough():
    """The same spec with every help obeyed loads."""
    text = SPEC
    for old, new in [
        ("hidden_size", "d_model"), ("num_heads", "heads"), ("addtive", "additive"), ("repeat: 0", "repeat: 1"),
        ("1.5", "0.5"), ("widow", "window"), ("'8000'", "8000"), ("yes", "true"), ("  lr", "  learning_rate"),
        ("  heads: 4\n", ""), (", betas: [0.9, 0.98]", ""), ("blue", "chrf"),
    ]:  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    assert load_text(text).run.model.encoder.layers[0].attention.heads == 4


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        (of_model("decoder: {▸layrs: 1}"), "decoder: there is no key 'layrs' here", "did you mean 'layers'?"),
        (of_model("decoder: {norm: {kind: layer_norm, ▸bais: true}}"), "norm: there is no key 'bais' here",
         "did you mean 'bias'?"),
        (of_model("decoder: {▸Layers: 1}"), "decoder: there is no key 'Layers' here", "did you mean 'layers'?"),
        (of_model("decoder: {▸d-model: 1}"), "decoder: there is no key 'd-model' here", "did you mean 'd_model'?"),
        (of_model("decoder: {layers: [{▸reapet: 2}]}"), "layers: there is no key 'reapet' here",
         "did you mean 'repeat'?"),
        (of_rest("▸zebra: 4"), "there is no key 'zebra' here",
         "the keys here are language, name, seed, task, model, tokenizer, data, train, evaluate or extends"),
        (of_rest("train: {▸zebra: 4}"), "train: there is no key 'zebra' here",
         "the keys here are duration, batch, learning_rate, clip, optimizer, schedule, ema, precision, start, lora, "
         "compile, checkpoints, early_stopping or watch"),
        (of_rest("tokenizer: {▸knd: words, vocabulary: 300}"), "tokenizer: there is no key 'knd' here",
         "did you mean 'kind'?"),
        ("▸nme: x\ntask: tagging\nmodel: {encoder: {}}\n", "there is no key 'nme' here", "did you mean 'name'?"),
        (of_rest("data: {kind: files, ▸trian: a.tsv}"), "data: there is no key 'trian' here", "did you mean 'train'?"),
    ],
)  # fmt: skip
def test_a_key_that_there_is_not(text, says, help):
    assert refused(unmarked(text)) == whole(text, (says, help))


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        (of_model("▸hidden_size: 64\n  decoder: {}"), "model: there is no key 'hidden_size' here",
         "here it is called 'd_model'"),
        (of_model("decoder: {▸n_layer: 3}"), "decoder: there is no key 'n_layer' here", "here it is called 'layers'"),
        (of_model("decoder: {▸num_heads: 4}"), "decoder: there is no key 'num_heads' here",
         f"we call it 'heads'; it belongs under {HEADS}"),
        (of_model("decoder: {attention: {▸nhead: 4}}"), "attention: there is no key 'nhead' here",
         "here it is called 'heads'"),
        (of_model("decoder: {attention: {▸num_key_value_heads: 4}}"),
         "attention: there is no key 'num_key_value_heads' here", "here it is called 'kv_heads'"),
        (of_model("decoder: {▸dim_feedforward: 9}"), "decoder: there is no key 'dim_feedforward' here",
         "we call it 'd_ff'; it belongs under `model.feedforward`"),
        (of_model("decoder: {attention: {position: {▸rope_theta: 9}}}"), "position: there is no key 'rope_theta' here",
         "here it is called 'base'"),
        (of_rest("train: {▸epochs: 3}"), "train: there is no key 'epochs' here", "here it is called 'duration'"),
        (of_rest("train: {▸batch_size: 3}"), "train: there is no key 'batch_size' here", "here it is called 'batch'"),
        (of_rest("train: {▸beam_size: 3}"), "train: there is no key 'beam_size' here",
         "we call it 'decoding'; it belongs under `evaluate`"),
        (of_rest("tokenizer: {▸type: words}"), "tokenizer: there is no key 'type' here", "here it is called 'kind'"),
        (of_rest("tokenizer: {▸vocab_size: 300}"), "tokenizer: there is no key 'vocab_size' here",
         "here it is called 'vocabulary'"),
        (of_rest("▸dataset: a.tsv"), "there is no key 'dataset' here", "here it is called 'data'"),
    ],
)  # fmt: skip
def test_what_others_call_it(text, says, help):
    assert refused(unmarked(text)) == whole(text, (says, help))


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        (of_model("decoder: {▸heads: 4}"), "decoder: there is no key 'heads' here",
         "it belongs under `attention` or `cross_attention`"),
        (of_model("decoder: {▸learning_rate: 1e-3}"), "decoder: there is no key 'learning_rate' here",
         "it belongs under `train`"),
        (of_rest("▸heads: 4"), "there is no key 'heads' here", f"it belongs under {HEADS}"),
        (of_rest("train: {▸vocabulary: 100}"), "train: there is no key 'vocabulary' here",
         "it belongs under `tokenizer`"),
        (of_rest("train: {▸warmup: 3}"), "train: there is no key 'warmup' here", "it belongs under `schedule`"),
        (of_rest("train: {▸metrics: [perplexity]}"), "train: there is no key 'metrics' here",
         "it belongs under `evaluate`"),
        (of_model("decoder: {attention: {score: {kind: dot, ▸scale: 1}}}"),
         "score: 'scale' is a key of kind 'scaled_dot', not of 'dot'",
         "write kind: scaled_dot, or take 'scale' away"),
        (of_rest("train: {optimizer: {kind: sgd, ▸betas: [0.9, 0.9]}, learning_rate: 1}"),
         "optimizer: 'betas' is a key of kind 'adamw' or 'adam', not of 'sgd'",
         "write kind: adamw, or take 'betas' away"),
        (of_rest("tokenizer: {kind: bytes, ▸vocabulary: 300}"),
         "tokenizer: 'vocabulary' is a key of kind 'bpe', 'wordpiece', 'unigram', 'words' or 'characters', "
         "not of 'bytes'", "write kind: bpe, or take 'vocabulary' away"),
        (of_model("decoder: {▸d_hidden: 4}"), "decoder: 'd_hidden' is a key of kind 'recurrent', not of 'transformer'",
         "write kind: recurrent, or take 'd_hidden' away"),
    ],
)  # fmt: skip
def test_a_key_of_another_place(text, says, help):
    assert refused(unmarked(text)) == whole(text, (says, help))


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        (of_model("decoder: {attention: {score: ▸addtive}}"), "score: there is no kind 'addtive'",
         "did you mean 'additive'?"),
        (of_model("decoder: {attention: {score: {kind: ▸bahdanau, d_hidden: 8}}}"),
         "score: there is no kind 'bahdanau'", "did you mean 'additive'?"),
        (of_model("decoder: {attention: {score: ▸luong}}"), "score: there is no kind 'luong'",
         "did you mean 'general'?"),
        (of_model("decoder: {attention: {score: ▸zebra}}"), "score: there is no kind 'zebra'",
         f"the kinds are {SCORES}"),
        (of_model("decoder: {input: ▸patches}"), "input: there is no kind 'patches'", "the only kind is tokens"),
        (of_rest("data: ▸nowhere.tsv"), "data: there is no kind 'nowhere.tsv'",
         "the kinds are files, hub or generated"),
        (of_rest("tokenizer: ▸3"), "tokenizer: expected a kind of tokenizer, as a word or a mapping, found 3", ""),
        (of_rest("tokenizer: {kind: ▸3}"), "tokenizer: there is no kind 3",
         "the kinds are bpe, wordpiece, unigram, words, characters, bytes or file"),
        ("name: x\ntask: ▸translation\nmodel: {encoder: {}, decoder: {}}\n", "task: there is no kind 'translation'",
         "did you mean 'seq2seq'?"),
        ("name: x\ntask: ▸{stack: encoder}\nmodel: {encoder: {}}\n", "task: kind is missing",
         "write one of seq2seq, language_model, masked_language_model, denoising, sentence_pair, classification or "
         "tagging"),
    ],
)  # fmt: skip
def test_a_kind_that_there_is_not(text, says, help):
    assert refused(unmarked(text)) == whole(text, (says, help))


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        (of_model("decoder: {d_model: ▸'64'}"), "d_model: expected an integer of 1 or more, found '64'",
         "take the quotes away"),
        (of_model("decoder: {d_model: ▸1_024}"), "d_model: expected an integer of 1 or more, found '1_024'",
         "write 1024"),
        (of_model("decoder: {d_model: ▸64.0}"), "d_model: expected an integer of 1 or more, found 64.0", "write 64"),
        (of_model("decoder: {d_model: ▸many}"), "d_model: expected an integer of 1 or more, found 'many'",
         "write a number"),
        (of_model("decoder: {d_model: ▸[64]}"), "d_model: expected an integer of 1 or more, found a list of 1", ""),
        (of_model("decoder: {d_model: ▸{a: 64}}"), "d_model: expected an integer of 1 or more, found a mapping", ""),
        (of_model("decoder: {d_model: ▸true}"), "d_model: expected an integer of 1 or more, found true", ""),
        (of_model("decoder: {bias: ▸off}"), "bias: expected true or false, found 'off'",
         "YAML 1.2 reads 'off' as text; write false"),
        (of_model("decoder: {norm_place: ▸pots}"),
         "norm_place: expected pre, post, sandwich, output or none, found 'pots'", "did you mean 'post'?"),
        (of_model("decoder: {layers: ▸many}"),
         "layers: expected an integer of 0 or more, or a list of mappings, found 'many'", "write a number"),
        (of_model("decoder: {layers: [{repeat: 2, layers: ▸3}]}"), "layers: a group of layers holds a list of them",
         "write `layers: [{…}, {…}]`, or repeat alone"),
        (of_model("decoder: {attention: {mask: ▸3}}"), "mask: a mask is an expression, not 3", "write causal, or full"),
        (of_rest("train: {duration: ▸soon}"), "duration: 'soon' is no stretch of time",
         "write steps (5000), '3 epochs', '10 minutes' or '5%'"),
        (of_rest("train: {duration: ▸'5000'}"), "duration: '5000' is no stretch of time", "take the quotes away"),
        (of_rest("train: {clip: ▸false}"), "clip: expected a number above 0, or none, found false",
         "write `none` for absent"),
        (of_rest("train: {optimizer: {betas: ▸[0.9]}}"),
         "betas: expected a list of 2 numbers of 0 or more and below 1, found a list of 1", ""),
        ("name: ▸3\ntask: tagging\nmodel: {encoder: {}}\n", "name: expected text, found 3",
         "put quotes around it: '3'"),
        (of_rest("extends: ▸3"), "extends: expected a file or a list of files", "write `extends: base.yaml`"),
        (of_rest("extends: ▸[]"), "extends: expected a file or a list of files", "write `extends: base.yaml`"),
    ],
)  # fmt: skip
def test_a_value_of_a_wrong_type(text, says, help):
    assert refused(unmarked(text)) == whole(text, (says, help))


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        (of_model("decoder: {d_model: ▸0}"), "d_model: expected an integer of 1 or more, found 0", ""),
        (of_model("decoder: {dropout: ▸1}"), "dropout: expected a number of 0 or more and below 1, found 1", ""),
        (of_model("decoder: {dropout: ▸-0.1}"), "dropout: expected a number of 0 or more and below 1, found -0.1", ""),
        (of_rest("seed: ▸-1"), "seed: expected an integer of 0 or more, found -1", ""),
        (of_rest("train: {clip: ▸.inf}"), "clip: expected a number above 0, or none, found inf", ""),
        (of_rest("train: {learning_rate: ▸.nan}"), "learning_rate: expected a number above 0, found nan", ""),
        (of_rest("train: {optimizer: {betas: [0.9, ▸1.5]}}"),
         "betas: expected a number of 0 or more and below 1, found 1.5", ""),
        (of_rest("train: {schedule: {kind: one_cycle, rise: ▸1}}"),
         "rise: expected a number above 0 and below 1, found 1", ""),
        (of_rest("tokenizer: {vocabulary: ▸260}"),
         "vocabulary: 260 ids are too few: the five special ones and what texts need are 261", "write 261 or more"),
        (of_model("decoder: {layers: ▸20000}"), "layers: more than 10,000 of them", "write fewer, or a smaller repeat"),
        (of_model("decoder: {attention: {heads: 8, kv_heads: ▸3}}"),
         "kv_heads must divide heads, but 8 / 3 leaves 2", "each kv head serves the same number of query heads"),
        (of_model("decoder: {d_model: 64, attention: {heads: ▸3}}"), "heads: 3 heads do not divide d_model, 64",
         "write heads: 1, 2, 4 or 8; or write d_head"),
        (of_model("decoder: {d_model: ▸200}"), "heads: max(1, d_model // 64) is 3, which does not divide d_model, 200",
         "write attention.heads: 1, 2, 4 or 5"),
    ],
)  # fmt: skip
def test_a_value_out_of_its_limits(text, says, help):
    assert refused(unmarked(text)) == whole(text, (says, help))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("▸name: x\n", [("'model' is missing", "write `model: …`, a mapping"),
                        ("'task' is missing", "write `task: …`, one of seq2seq, language_model, "
                         "masked_language_model, denoising, sentence_pair, classification or tagging")]),
        ("▸task: tagging\nmodel: {encoder: {}}\n", [("'name' is missing", "write `name: …`, text")]),
        (of_rest("data: ▸{valid: a.tsv}"), [("data: 'train' is missing",
                                             "write `train: …`, text, or a list of texts")]),
        (of_rest("train: {early_stopping: ▸{metric: loss}}"),
         [("early_stopping: 'patience' is missing", "write `patience: …`, an integer of 1 or more")]),
        (of_model("init: ▸uniform\n  decoder: {}"),
         [("init: 'bound' is missing", "write `bound: …`, a number above 0")]),
        (of_model("decoder: {attention: {score: ▸location}}"),
         [("score: 'max_length' is missing", "write `max_length: …`, an integer of 1 or more")]),
        (of_rest("tokenizer: ▸file"), [("tokenizer: 'path' is missing", "write `path: …`, text")]),
        (of_rest("data: ▸generated"), [("data: 'name' is missing",
                                        "write `name: …`, dates, copy, reverse, sort or addition")]),
    ],
)  # fmt: skip
def test_a_key_that_is_missing(text, faults):
    if len(faults) == 1:
        assert refused(unmarked(text)) == whole(text, *faults)
    else:
        assert refused(unmarked(text)) == (
            "\n\n".join(whole(text, fault) for fault in faults) + f"\n\n{len(faults)} faults in s.yaml"
        )


@pytest.mark.parametrize(
    ("text", "says", "help"),
    [
        (of_model("▸d_hidden: 4\n  decoder: {}"),
         "d_hidden: no stack reads this: it is a key of recurrent stacks", "take it away"),
        (of_model("▸dropout: 0.2\n  decoder: {dropout: 0}"),
         "dropout: nothing reads this: line 5 says otherwise for every place that could", "take it away"),
        (of_model("decoder: {order: [attention], ▸feedforward: relu}"),
         "feedforward: nothing reads this: `order` leaves it out, or no stack has such a part", "take it away"),
        (of_model("▸cross_attention: {heads: 2}\n  decoder: {}"),
         "cross_attention: nothing reads this: `order` leaves it out, or no stack has such a part", "take it away"),
    ],
)  # fmt: skip
def test_a_key_that_would_do_nothing(text, says, help):
    assert refused(unmarked(text)) == whole(text, (says, help))


@pytest.mark.parametrize(
    "layers",
    ["[{dropout: 0.2}, {dropout: 0.2}]", "[{}, {dropout: 0.1}]", "[{}, {attention: {heads: 4}}]",
     "[{feedforward: swiglu}, {repeat: 2, layers: [{}, {bias: false}]}]"],
)  # fmt: skip
def test_a_layer_may_say_again_what_another_says(layers):
    stack = load_text(of_model(f"decoder: {{layers: {layers}}}")).run.model.decoder
    assert len(stack.layers) == 1
    assert stack.depth in (2, 5)


def test_an_inherited_key_that_does_nothing_is_a_note(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text("name: x\ntask: tagging\nmodel:\n  feedforward: relu\n  encoder: {}\n")
    Path("child.yaml").write_text("extends: base.yaml\nmodel: {encoder: {order: [attention]}}\n")
    assert load_spec(Path("child.yaml")).notes == (
        "base.yaml:4:3: feedforward: nothing reads this: `order` leaves it out, or no stack has such a part; "
        "it is not used",
    )


def test_faults_stand_in_the_file_that_wrote_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bases").mkdir()
    Path("bases/base.yaml").write_text("name: x\ntask: seq2seq\nmodel: {d_modle: 3, encoder: {}, decoder: {}}\n")
    Path("child.yaml").write_text("extends: bases/base.yaml\nmodel: {encoder: {layers: -1}}\n")
    with pytest.raises(SpecError) as caught:
        load_spec(Path("child.yaml"), ["model.decoder.dropout=2", "train.lr=1e-3", "seed=[1"])
    assert (
        str(caught.value)
        == """\
child.yaml:2:27: layers: expected an integer of 0 or more, or a list of mappings, found -1
  |
2 | model: {encoder: {layers: -1}}
  |                           ^

bases/base.yaml:3:9: model: there is no key 'd_modle' here
  |
3 | model: {d_modle: 3, encoder: {}, decoder: {}}
  |         ^
help: did you mean 'd_model'?

-o model.decoder.dropout=2: dropout: expected a number of 0 or more and below 1, found 2
 |
 | model.decoder.dropout=2
 |                       ^

-o train.lr=1e-3: train: there is no key 'lr' here
 |
 | train.lr=1e-3
 |       ^
help: here it is called 'learning_rate'

-o seed=[1: expected ',' or ']'
 |
 | seed=[1
 |      ^
help: what opens in line 1 column 6 is not closed

5 faults in child.yaml and bases/base.yaml and -o"""
    )


@pytest.mark.parametrize(
    ("flag", "report"),
    [
        ("seed=", "-o seed=: there is nothing here\n |\n | seed=\n | ^\nhelp: write a value, or take the key away"),
        ("seed=~", "-o seed=~: there is nothing here\n |\n | seed=~\n | ^\nhelp: write a value, or take the key away"),
        ("model.decoder.attention.mask=causl",
         "-o model.decoder.attention.mask=causl: mask: there is no 'causl' in masks\n |\n"
         " | model.decoder.attention.mask=causl\n |                              ^\nhelp: did you mean 'causal'?"),
        ("modle.d_model=3",
         "-o modle.d_model=3: there is no key 'modle' here\n |\n | modle.d_model=3\n | ^\nhelp: did you mean 'model'?"),
    ],
)  # fmt: skip
def test_a_fault_of_a_flag_points_into_the_flag(flag, report):
    assert refused(of_rest("seed: 1"), flag) == report


@pytest.mark.parametrize("flag", ["seed", "=3", "a..b=3", ".a=3", ""])
def test_a_flag_is_key_and_value(flag):
    report = f"-o {flag}: this is not key=value\n |\n | {flag}\n | ^\nhelp: write -o train.duration=200"
    assert refused(of_rest("seed: 1"), flag) == report


def test_a_flag_that_is_no_key_and_value_hides_no_other():
    report = refused(of_rest("seed: 1"), "modle=3", "seed", "train.duraton=4")
    for fault in ("there is no key 'modle'", "-o seed: this is not key=value", "there is no key 'duraton'"):
        assert fault in report


def test_a_value_that_is_handed_down_is_wrong_once():
    text = of_model("dropout: ▸2\n  norm: ▸layernorm\n  decoder: {layers: [{}, {repeat: 2, attention: {heads: 1}}]}")
    assert refused(unmarked(text)) == whole(
        text,
        ("dropout: expected a number of 0 or more and below 1, found 2", ""),
        ("norm: there is no kind 'layernorm'", "did you mean 'layer_norm'?"),
    )


def test_a_spec_of_a_newer_language_is_refused():
    text = of_rest("language: ▸2")
    fault = "language: this spec is written in language 2, and this attncli reads 1", "install a newer attncli"
    assert refused(unmarked(text)) == whole(text, fault)


@pytest.mark.parametrize("name", ["a/b", "'a\\b'", ".a", "../a"])
def test_a_name_names_a_folder(name):
    text = f"name: ▸{name}\ntask: tagging\nmodel: {{encoder: {{}}}}\n"
    said = name.strip("'")
    fault = f"name: '{said}' cannot name a folder of runs", "write one word, such as en-de"
    assert refused(unmarked(text)) == whole(text, fault)
