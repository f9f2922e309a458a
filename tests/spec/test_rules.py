"""Each rule between the parts of a spec: what it says of a spec that breaks it, and that a neighbour of it loads."""

import pytest

from attncli.spec.load import load_text
from tests.spec.reports import refused, unmarked, whole

LEAVE = "leave it out"
LOCAL = "write full, or arithmetic such as abs(q - k) <= 10"


def of(task: str, model: str, rest: str = "") -> str:
    return f"name: x\ntask: {task}\nmodel:\n  {model}\n{rest}"


def pair(encoder: str = "{}", decoder: str = "{}", *, rest: str = "", more: str = "") -> str:
    return of("seq2seq", f"encoder: {encoder}\n  decoder: {decoder}\n{more}", rest)


def writer(decoder: str, rest: str = "") -> str:
    return of("language_model", f"decoder: {decoder}", rest)


def tagger(encoder: str = "{}", rest: str = "") -> str:
    return of("tagging", f"encoder: {encoder}", rest)


def recurrent(encoder: str, decoder: str) -> str:
    return pair(f"{{kind: recurrent{encoder}}}", f"{{kind: recurrent{decoder}}}")


def sorted_out(text: str, says: str, help: str, old: str, new: str) -> None:
    """Refused with this one fault; accepted with `old` replaced."""
    assert refused(unmarked(text)) == whole(text, (says, help))
    assert old in unmarked(text)
    assert load_text(unmarked(text).replace(old, new)).run.name == "x"


@pytest.mark.parametrize(
    ("text", "says", "help", "old", "new"),
    [
        (of("tagging", "▸encoder: none"), "model: there is no stack", "write `encoder: {}` or `decoder: {}`, or both",
         "none", "{}"),
        (of("tagging", "▸d_model: 4"), "model: there is no stack", "write `encoder: {}` or `decoder: {}`, or both",
         "d_model: 4", "encoder: {d_model: 4}"),
        (tagger("{d_model: 5, attention: {position: none}, input: {position: ▸sinusoidal}}"),
         "position: sinusoidal positions pair sines with cosines, but the embedding is 5 wide",
         "write an even width, or position: learned", "sinusoidal", "learned"),
        (pair(decoder="{cross_attention: {stack: ▸encodr}}"), "stack: there is no stack 'encodr'",
         "did you mean 'encoder'?", "encodr", "encoder"),
        (pair(decoder="{cross_attention: {stack: ▸zebra}}"), "stack: there is no stack 'zebra'",
         "the stacks are encoder, decoder", "zebra", "encoder"),
        (pair(decoder="{layers: [{}, {cross_attention: {stack: ▸decoder}}]}"),
         "stack: 'decoder' cannot read itself by cross_attention", "that is what attention does", "stack: decoder",
         "stack: encoder"),
        (pair("{cross_attention: {stack: ▸decoder}}"), "stack: the encoder comes before the decoder and cannot read it",
         "let the decoder read", "encoder: {cross_attention: {stack: decoder}}", "encoder: {}"),
        (pair("{cross_attention: ▸{heads: 2}}"), "cross_attention: there is no encoder beside 'encoder' to read",
         "write an encoder, or take cross_attention away", "cross_attention: {heads: 2}", ""),
        (writer("{cross_attention: ▸{heads: 2}}"), "cross_attention: there is no encoder beside 'decoder' to read",
         "write an encoder, or take cross_attention away", "cross_attention", "attention"),
        (writer("{norm_place: post, final_norm: ▸rms_norm}"),
         "final_norm: with norm_place: post every branch ends in a norm already", "leave final_norm out",
         "norm_place: post", "norm_place: pre"),
        (tagger("{order: ▸[]}"), "order: a layer without branches does nothing", "name a branch", "[]", "[attention]"),
        (tagger("{layers: [{order: [attention]}, {order: ▸[]}]}"), "order: a layer without branches does nothing",
         "name a branch", "[]", "[feedforward]"),
        (tagger("{order: [attention, ▸cross_attention]}"), "order names 'cross_attention', which this layer has not",
         "write cross_attention, or leave it out", ", cross_attention", ""),
    ],
)  # fmt: skip
def test_stacks(text, says, help, old, new):
    sorted_out(text, says, help, old, new)


@pytest.mark.parametrize(
    ("text", "says", "help", "old", "new"),
    [
        (writer("{kind: recurrent, query: ▸previous_state}"), "query: nothing asks without cross_attention",
         "leave query out, or write cross_attention", ", query: previous_state", ""),
        (writer("{kind: recurrent, input_feeding: ▸context}"),
         "input_feeding: there is no context without cross_attention", "write input_feeding: none", "context", "none"),
        (writer("{kind: recurrent, bridge: ▸dense}"),
         "bridge: a bridge starts from the stack that cross_attention reads, and there is none",
         "leave bridge out, or write cross_attention", "dense", "none"),
        (writer("{kind: recurrent, direction: ▸both}"),
         "direction: 'decoder' writes, so it reads from the first token to the last", LEAVE, "both", "forward"),
        (tagger("{kind: recurrent, input_feeding: ▸readout}"),
         "input_feeding: 'encoder' writes nothing that could be fed back", LEAVE, "readout", "none"),
        (tagger("{kind: recurrent, readout: ▸dense}"),
         "readout: others read the states of 'encoder', so it has no readout", LEAVE, "dense", "state"),
        (of("classification", "encoder: {kind: recurrent}\n  decoder: ▸{kind: recurrent}"),
         "cross_attention: a recurrent stack attends while it writes, and this one writes nothing",
         "take cross_attention away, or write kind: transformer", "decoder: {kind: recurrent}", "decoder: {}"),
        (recurrent("", ", cross_attention: {norm: ▸rms_norm}"),
         "norm: a recurrent decoder has no residual branch to normalize", "leave norm out", "rms_norm", "none"),
        (pair(decoder="{kind: recurrent, bridge: ▸copy}"),
         "bridge: there is no last state to copy: the encoder is a transformer", "write bridge: dense", "copy",
         "dense"),
        (recurrent(", direction: both", ", bridge: ▸copy"),
         "bridge: a state of gru, both, cannot be copied into gru, forward",
         "write bridge: dense, or the same cell in one direction", ", direction: both", ""),
        (recurrent(", cell: lstm", ", bridge: ▸copy"),
         "bridge: a state of lstm, forward, cannot be copied into gru, forward",
         "write bridge: dense, or the same cell in one direction", "bridge: copy", "bridge: copy, cell: lstm"),
        (recurrent(", layers: 2", ", bridge: ▸copy"),
         "bridge: 2 layers of 256 features cannot be copied into 1 layers of 256",
         "write bridge: dense, or the same layers and d_hidden", "bridge: copy", "bridge: copy, layers: 2"),
        (pair(decoder="{kind: recurrent, bridge: {of: ▸final}}"),
         "of: 'encoder' is a transformer and has no final state", "write of: mean", "final", "mean"),
        (recurrent("", ", bridge: {of: ▸backward}"), "of: 'encoder' has no backward direction", "write of: final",
         "backward", "final"),
    ],
)  # fmt: skip
def test_recurrent_stacks(text, says, help, old, new):
    sorted_out(text, says, help, old, new)


@pytest.mark.parametrize(
    ("text", "says", "help", "old", "new"),
    [
        (pair(decoder="{cross_attention: {position: ▸rotary}}"),
         "position: 'rotary' measures distances, and 'decoder' and 'encoder' share no positions",
         "write position: none", "rotary", "none"),
        (pair(decoder="{cross_attention: {mask: ▸causal}}"),
         "mask: 'causal' compares places of one text, and 'decoder' reads 'encoder'", LOCAL, "causal",
         "abs(q - k) <= 10"),
        (pair(decoder="{cross_attention: {mask: ▸same(document)}}"),
         "mask: 'same' compares places of one text, and 'decoder' reads 'encoder'", LOCAL, "same(document)", "full"),
        (tagger("{d_model: 64, attention: {heads: ▸3, d_head: 8, projections: [query, key, output]}}"),
         "kv_heads: 3 kv_heads do not divide d_model, 64", "write kv_heads: 1, 2, 4 or 8", "heads: 3", "heads: 4"),
        (tagger("{d_model: 64, attention: {heads: 4, d_head: ▸8, projections: none}}"),
         "d_head: without query and key maps a head is 16 wide, not 8", "leave d_head out; it is 16", "d_head: 8",
         "d_head: 16"),
        (tagger("{d_model: 64, attention: ▸{heads: 4, d_head: 8, projections: [query, value, output]}}"),
         "score: 'scaled_dot' needs queries and keys of one width, but they are 8 and 16 wide",
         "write score: general or additive, or projections: [query, key]", "d_head: 8",
         "d_head: 8, score: general, position: none"),
        (tagger("{d_model: 64, attention: {heads: 4, d_value: ▸8, projections: [query, key, output]}}"),
         "d_value: without a value map a head mixes 16 features, not 8", "leave d_value out; it is 16", "d_value: 8",
         "d_value: 16"),
        (tagger("{d_model: 64, attention: {heads: 4, d_head: 8, projections: ▸[query, key, value]}}"),
         "projections: without an output map 4 heads of 8 must give the 64 features of the stack",
         "add output to the projections", "heads: 4", "heads: 8"),
        (tagger("{attention: {score: {kind: location, max_length: ▸16}}}"),
         "max_length 16 is less than the max_length of 'encoder', 1024",
         "write max_length: 1024 here, or max_length: 16 on 'encoder'", "max_length: 16", "max_length: 1024"),
        (tagger("{attention: {score: additive, kernel: ▸fused}}"), "kernel: the fused kernel has no score 'additive'",
         "write kernel: auto", "additive", "general"),
        (tagger("{attention: {score: additive, mask: window(around=3), kernel: ▸banded}}"),
         "kernel: the banded kernel has no score 'additive'", "write kernel: auto", "additive", "general"),
        (tagger("{attention: {normalizer: sparsemax, mask: window(around=3), kernel: ▸banded}}"),
         "kernel: the banded kernel has no normalizer 'sparsemax'", "write kernel: auto", "sparsemax", "softmax"),
        (tagger("{attention: {position: transformer_xl, mask: window(around=3),"
                " persistent: 2, kernel: ▸banded}}"),
         "kernel: the banded kernel has no position transformer_xl or persistent", "write kernel: auto", "banded",
         "reference"),
        (tagger("{attention: {mask: window(before=3), kernel: ▸banded}}"),
         "kernel: the banded kernel needs a mask that bounds the distance but for a few first keys and queries, "
         "as a window does; this is 'window(before=3)'",
         "write kernel: auto, or a window on both sides", "window(before=3)", "window(around=3)"),
        (tagger("{attention: {position: transformer_xl, persistent: 2, dropout: 0, kernel: ▸flex}}"),
         "kernel: the flex kernel has no position transformer_xl or persistent", "write kernel: auto", "flex", "auto"),
        (tagger("{attention: {dropout: 0.1, kernel: ▸flex}}"),
         "kernel: the flex kernel has no dropout on the weights, and here it is 0.1",
         "write kernel: auto, or dropout: 0 in the attention", "0.1", "0"),
        (tagger("{attention: {normalizer: queries, kernel: ▸chunked}}"),
         "kernel: under normalizer 'queries' a row depends on other queries, and the chunked kernel makes some at a "
         "time",
         "write kernel: auto", "queries", "sparsemax"),
        (tagger("{attention: {mask: k < k_length - q, kernel: ▸chunked}}"),
         "kernel: 'k < k_length - q' counts the tokens of a text, of which the chunked kernel sees some at a time",
         "write kernel: auto", "k < k_length - q", "k < 9"),
        (tagger("{attention: {normalizer: sparsemax, kernel: ▸fused}}"),
         "kernel: the fused kernel has no normalizer 'sparsemax'", "write kernel: auto", "sparsemax", "softmax"),
        (tagger("{attention: {heads: 4, position: {d_rotary: ▸128}}}"), "d_rotary 128 is wider than a head, 64",
         "write at most d_head", "128", "64"),
        (tagger("{d_model: 6, attention: {heads: ▸2}}"),
         "position: rotary turns pairs of features, but a head has 3 (d_model // heads)",
         "write an even d_head, or another position", "heads: 2", "heads: 1"),
        (writer("{attention: {mask: ▸full}}"), "mask: 'full' lets query 0 see key 1, which is still to be written",
         "write causal", "full", "causal"),
        (writer("{attention: {mask: ▸window(around=3)}}"),
         "mask: 'window(around=3)' lets query 0 see key 1, which is still to be written",
         "write causal & window(around=3)", "window", "causal & window"),
        (tagger("{max_length: 8, attention: {mask: ▸window(around=7)}}"),
         "mask: 'window(around=7)' is always true in rows of at most 8 tokens", "write full", "around=7", "around=6"),
        (tagger("{attention: {mask: ▸causal & k > q}}"), "mask: 'causal & k > q' shows no key to any query",
         "loosen it, or leave the attention out", "causal & k > q", "k < q"),
        (tagger("{attention: {heads: 4, mask: ▸'window(before=by_head(1, 2))'}}"),
         "mask: by_head gives 2 values, and there are 4 heads",
         "give one value for each head", "heads: 4", "heads: 2"),
    ],
)  # fmt: skip
def test_attention(text, says, help, old, new):
    sorted_out(text, says, help, old, new)


@pytest.mark.parametrize(
    ("text", "says", "help", "old", "new"),
    [
        (of("seq2seq", "▸encoder: {}"), "model: seq2seq needs an encoder and a decoder, and there is no decoder",
         "write `decoder: {}`", "encoder: {}", "encoder: {}\n  decoder: {}"),
        (of("seq2seq", "▸decoder: {}"), "model: seq2seq needs an encoder and a decoder, and there is no encoder",
         "write `encoder: {}`", "decoder: {}", "encoder: {}\n  decoder: {}"),
        (of("{kind: tagging, stack: ▸decodr}", "encoder: {}"), "stack: there is no stack 'decodr'",
         "did you mean 'encoder'?", "decodr", "encoder"),
        (of("{kind: seq2seq, stack: ▸encoder}", "encoder: {}\n  decoder: {}"),
         "stack: seq2seq is written by the decoder", "leave stack out", "stack: encoder", "stack: decoder"),
        (tagger("{input: {field: ▸source}}"), "field: tagging has no field 'source' of tokens", "did you mean 'text'?",
         "source", "text"),
        (pair("{input: {field: ▸target}}"), "field: the encoder of a seq2seq reads source", "leave field out",
         "target", "source"),
        (of("{kind: tagging, stack: encoder}", "encoder: {}\n  decoder: ▸{}"),
         "decoder: nobody reads 'decoder': the task reads 'encoder', which has no cross_attention to it",
         "take decoder away, or let 'encoder' read it", "\n  decoder: {}", ""),
        (pair("▸{}", "{cross_attention: none}"),
         "encoder: nobody reads 'encoder': the task reads 'decoder', which has no cross_attention to it",
         "take encoder away, or let 'decoder' read it", "cross_attention: none", ""),
        (of("language_model", "encoder: ▸{}\n  decoder: {}"),
         "encoder: 'encoder' reads the text that 'decoder' is to predict",
         "take encoder away, or write task: seq2seq", "language_model", "seq2seq"),
        (of("▸masked_language_model", "decoder: {}"),
         "task: masked_language_model restores a token from both sides, but 'decoder' sees only what is before it",
         "write `encoder:` in place of `decoder:`, or task: language_model", "decoder", "encoder"),
        (of("▸masked_language_model", "encoder: {kind: recurrent}"),
         "task: masked_language_model restores a token from both sides, but 'encoder' sees only what is before it",
         "write `encoder:` in place of `decoder:`, or task: language_model", "kind: recurrent",
         "kind: recurrent, direction: both"),
        (of("▸language_model", "encoder: {}"),
         "task: language_model predicts each token from those before it, but 'encoder' sees the whole text",
         "write `decoder:` in place of `encoder:`, or task: masked_language_model", "encoder", "decoder"),
        (of("{kind: classification, pooling: ▸cls}", "decoder: {}"),
         "pooling: the first state of 'decoder' has seen the first token only",
         "write pooling: last, or let the stack see both sides", "cls", "last"),
        (of("{kind: classification, pooling: ▸last}", "encoder: {kind: recurrent, direction: backward}"),
         "pooling: the last state of 'encoder' has seen the last token only", "write pooling: cls", "last", "cls"),
        (of("{kind: classification, pooling: {kind: attention, heads: ▸3}}", "encoder: {}"),
         "heads: 3 heads do not divide the width of the stack, 256", "write heads that divide it", "3", "4"),
        (of("{kind: classification, pooling: {kind: attention, score: {kind: location, max_length: ▸3}}}",
            "encoder: {}"), "max_length is less than that of 'encoder', 1024", "write max_length: 1024", "3", "1024"),
        (of("{kind: classification, classes: ▸[a]}", "encoder: {}"), "classes must be two or more different names",
         "name each class once", "[a]", "[a, b]"),
        (of("{kind: classification, classes: ▸[a, b, a]}", "encoder: {}"),
         "classes must be two or more different names", "name each class once", ", a]", "]"),
    ],
)  # fmt: skip
def test_task_and_model(text, says, help, old, new):
    sorted_out(text, says, help, old, new)


@pytest.mark.parametrize(
    ("text", "says", "help", "old", "new"),
    [
        (of("tagging", "tie_embeddings: ▸output\n  encoder: {}"),
         "tie_embeddings: tagging has no output over the vocabulary", "write tie_embeddings: none", "output", "none"),
        (of("language_model", "tie_embeddings: ▸all\n  decoder: {}"),
         "tie_embeddings: there is one input, and nothing to tie it to", "write tie_embeddings: output, or none",
         "all", "output"),
        (of("language_model", "tie_embeddings: ▸inputs\n  decoder: {}"),
         "tie_embeddings: there is one input, and nothing to tie it to", "write tie_embeddings: output, or none",
         "inputs", "none"),
        (of("seq2seq", "tie_embeddings: ▸all\n  encoder: {}\n  decoder: {}",
            "data: {train: a, fields: {target: {tokenizer: bytes}}}\n"),
         "tie_embeddings: target has a vocabulary of its own", "write tie_embeddings: output, or none", "all",
         "output"),
        (of("seq2seq", "tie_embeddings: ▸inputs\n  encoder: {d_model: 64}\n  decoder: {d_model: 128}"),
         "tie_embeddings: the embeddings are 64 or 128 wide", "give them one width, or tie less", "inputs", "output"),
        (of("seq2seq", "▸encoder: {d_model: 64}\n  decoder: {d_model: 128}"),
         "tie_embeddings: the embeddings are 64 or 128 wide", "give them one width, or tie less", "64", "128"),
        (writer("{input: {d_embedding: 32}}").replace("decoder", "▸decoder"),
         "tie_embeddings: the head reads 256 features, and the embedding of 'decoder' is 32 wide",
         "write output: {transform: {activation: none}} to map back, or tie_embeddings: none",
         "model:", "model:\n  tie_embeddings: none"),
    ],
)  # fmt: skip
def test_ties(text, says, help, old, new):
    sorted_out(text, says, help, old, new)


@pytest.mark.parametrize(
    ("text", "says", "help", "old", "new"),
    [
        (tagger(rest="data: {kind: generated, name: ▸dates}\n"),
         "name: 'dates' makes pairs for seq2seq, and the task is tagging", "write task: seq2seq, or data of your own",
         "kind: generated, name: dates", "train: a.tsv"),
        (tagger(rest="data: {train: a, fields: {tgs: ▸{column: 1}}}\n"), "tgs: tagging reads no field 'tgs'",
         "did you mean 'tags'?", "tgs", "tags"),
        (tagger(rest="data: {train: a, fields: {zebra: ▸{column: 1}}}\n"), "zebra: tagging reads no field 'zebra'",
         "its fields are text or tags", "zebra", "text"),
        (tagger(rest="data: {train: a, fields: {tags: {tokenizer: ▸bytes}}}\n"),
         "tokenizer: 'tags' is no text that becomes tokens", "leave tokenizer out", "tags:", "text:"),
        (pair(rest="data: {kind: generated, name: copy, fields: {source: {column: ▸1}}}\n"),
         "column: generated data have no columns", "leave column out", "column: 1", "tokenizer: bytes"),
        (pair(rest="data: {kind: generated, name: copy, targets: ▸[de]}\n"),
         "targets: 'targets' belongs to dates; 'copy' does not read it", LEAVE, "copy", "dates"),
        (pair(rest="data: {kind: generated, name: dates, targets: ▸[]}\n"), "targets is empty",
         "write [de], [zh] or [de, zh]", "[]", "[zh]"),
        (tagger(rest="data: {train: a, valid: {share: 0.5}, test: ▸{share: 0.5}}\n"),
         "test: the shares of valid and test are 0.5 and 0.5, which leaves nothing to train on",
         "write shares that add up to less than 1", "test: {share: 0.5}", "test: {share: 0.4}"),
        (tagger(rest="data: {train: a}\ntrain: {early_stopping: ▸{patience: 3}}\n"),
         "early_stopping: it needs validation data", "write data.valid, or leave it out", "train: a}",
         "train: a, valid: b}"),
    ],
)  # fmt: skip
def test_data(text, says, help, old, new):
    sorted_out(text, says, help, old, new)


@pytest.mark.parametrize(
    ("text", "says", "help", "old", "new"),
    [
        (tagger(rest="evaluate: {metrics: [▸acuracy]}\n"), "metrics: tagging has no metric 'acuracy'",
         "did you mean 'accuracy'?", "acuracy", "accuracy"),
        (of("{kind: tagging}", "encoder: {}", "evaluate: {metrics: [▸span_f1]}\n"),
         "metrics: tagging has no metric 'span_f1'", "write scheme: bio in the task", "{kind: tagging}",
         "{kind: tagging, scheme: bio}"),
        (tagger(rest="evaluate: {metrics: [accuracy, ▸bleu]}\n"), "metrics: tagging has no metric 'bleu'",
         "its metrics are accuracy or macro_f1", "bleu", "macro_f1"),
        (tagger(rest="evaluate: {metrics: ▸[]}\n"), "metrics is empty", "the metrics are accuracy or macro_f1", "[]",
         "[accuracy]"),
        (tagger(rest="evaluate: {metrics: [accuracy, ▸accuracy]}\n"), "metrics: 'accuracy' is named twice",
         "name each metric once", ", accuracy", ""),
        (tagger(rest="train: {early_stopping: {metric: ▸los, patience: 3}}\n"), "metric: 'los' is not measured",
         "did you mean 'loss'?", "los", "loss"),
        (tagger(rest="train: {early_stopping: {metric: ▸bleu, patience: 3}}\n"), "metric: 'bleu' is not measured",
         "watch loss, accuracy or macro_f1", "bleu", "macro_f1"),
        (tagger(rest="evaluate: {decoding: ▸beam}\n"), "decoding: tagging writes no text to decode",
         "leave decoding out", "beam", "greedy"),
        (pair(decoder="{max_length: 32}", rest="evaluate: {decoding: {max_length: ▸33}}\n"),
         "max_length 33 is more than 'decoder' can hold, 32", "write at most 32", "33", "32"),
        (pair(rest="evaluate: {decoding: {size: 2, n_best: ▸3}}\n"), "n_best: a beam of 2 has no 3 best",
         "write a larger size", "size: 2", "size: 3"),
        (tagger(rest="train: {checkpoints: {keep_last: ▸2}}\nevaluate: {average: 3}\n"),
         "keep_last: the mean of 3 checkpoints needs as many, and keep_last is 2", "write at least 3", "keep_last: 2",
         "keep_last: 3"),
        (tagger(rest="evaluate: {every: ▸0}\n"), "every: evaluations cannot lie 0 apart", "write 1 step or more",
         "every: 0", "every: 1"),
        (tagger(rest="evaluate: {every: ▸5 minutes}\n"), "every: a clock would decide what is measured",
         "write steps, epochs or a share like 5%", "5 minutes", "5%"),
    ],
)  # fmt: skip
def test_evaluation(text, says, help, old, new):
    sorted_out(text, says, help, old, new)


@pytest.mark.parametrize(
    ("written", "says", "help", "old", "new"),
    [
        ("batch: {kind: sequences, size: 4, accumulate: ▸8}", "accumulate: 4 rows cannot be shared by 8 passes",
         "write fewer", "8", "4"),
        ("schedule: {kind: inverse_sqrt, warmup: ▸0}", "warmup: peak sqrt(warmup / step) is 0 without a warm-up",
         "write a warmup such as 4000", "inverse_sqrt", "cosine"),
        ("duration: ▸5%", "duration: a run is not a share of itself", "write steps, '3 epochs' or '10 minutes'", "%",
         " epochs"),
        ("duration: ▸0", "duration: a run of no length trains nothing", "write 1 step or more", "0", "1"),
        ("duration: 100, schedule: {warmup: ▸101}", "warmup: the warm-up, 101, is longer than the run, 100",
         "write a shorter warmup, or a longer duration", "101", "100"),
        ("duration: 100, schedule: {warmup: ▸101%}", "warmup: the warm-up, 101%, is longer than the run, 100",
         "write a shorter warmup, or a longer duration", "101%", "100%"),
        ("duration: 10 minutes, schedule: {warmup: ▸200}",
         "warmup: a warm-up of '200' cannot be compared with a duration of '10 minutes'",
         "write the warmup in %, or both in minutes, or neither", "200", "2 minutes"),
        ("duration: 3 epochs, schedule: {warmup: ▸1 minutes}",
         "warmup: a warm-up of '1 minutes' cannot be compared with a duration of '3 epochs'",
         "write the warmup in %, or both in minutes, or neither", "1 minutes", "200"),
        ("optimizer: ▸adagrad", "learning_rate: adagrad has no learning rate of its own", "write train.learning_rate",
         "adagrad", "adagrad, learning_rate: 0.1"),
    ],
)  # fmt: skip
def test_training(written, says, help, old, new):
    text = tagger(rest=f"train: {{{written}}}\n")
    assert refused(unmarked(text)) == whole(text, (says, help))
    assert load_text(text.replace(written, unmarked(written).replace(old, new))).run.name == "x"


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (writer("{attention: {position: alibi}, input: {position: learned}}"),
         ("s.yaml:4:61: 'decoder' has positions twice: learned and alibi",)),
        (tagger("{attention: {position: none}}"),
         ("s.yaml:4:12: 'encoder' knows no positions: it reads its tokens as a bag",)),
        (tagger("{max_length: 8, attention: {mask: window(after=3) & k > q}}"),
         ("s.yaml:4:46: 'window(after=3) & k > q' shows no key to query 7; its output is zeros",)),
        (writer("{attention: {position: none}}"), ()),
        (tagger("{attention: {position: none}, input: {position: learned}}"), ()),
        (tagger("{kind: recurrent}"), ()),
        (tagger(), ()),
    ],
)  # fmt: skip
def test_what_is_allowed_and_worth_a_word(text, notes):
    assert load_text(text, name="s.yaml").notes == notes


def test_a_section_with_faults_keeps_the_rules_of_the_others():
    text = tagger("{d_model: ▸-1}", "evaluate: {metrics: [▸bleu]}\ntrain: {duration: ▸0, learning_rate: 1e-3}\n")
    assert refused(unmarked(text)) == whole(
        text,
        ("d_model: expected an integer of 1 or more, found -1", ""),
        ("metrics: tagging has no metric 'bleu'", "its metrics are accuracy or macro_f1"),
        ("duration: a run of no length trains nothing", "write 1 step or more"),
    )
