"""What a recurrent stack refuses, each with its place, the rule and the way out."""

import pytest

from attncli.errors import SpecError
from attncli.spec.load import load_text

BROKEN = {
    "decoder: {kind: recurrent, residual: add}": (
        "residual: a residual connection joins a layer to the one before it, and there is one layer",
        "write layers: 2 or more, or leave residual out",
    ),
    "decoder: {kind: recurrent, query: state_and_cell}": (
        "query: gru has no cell beside its state",
        "write query: state, or cell: lstm",
    ),
    "decoder: {kind: recurrent, cross_attention: none, readout: {kind: dense, gate: both}}": (
        "gate: the gate weighs a context against the state, and without cross_attention there is no context",
        "leave gate out, or write cross_attention",
    ),
    "decoder: {kind: recurrent, readout: {kind: maxout, pieces: 1}}": (
        "pieces: expected an integer of 2 or more, found 1",
        "",
    ),
    "decoder: {kind: recurrent, query: state_and_cell, cell: lstm, readout: state}": (
        "readout: no one reads the context: neither the cell nor the readout",
        "write readout: dense, or input_feeding: context",
    ),
    "decoder: {layers: 1, cross_attention: {score: coverage}}": (
        "score: 'coverage' reads the weights of earlier steps, and 'decoder' attends for all tokens at once",
        "write it in the cross_attention of a recurrent decoder, or score: additive",
    ),
    "decoder: {layers: 1, attention: {normalizer: forward}}": (
        "normalizer: 'forward' reads the weights of the last step, and 'decoder' attends for all tokens at once",
        "write it in the cross_attention of a recurrent decoder, or normalizer: softmax",
    ),
    "decoder: {kind: recurrent, cross_attention: {score: coverage, normalizer: monotonic}}": (
        "normalizer: coverage counts shares of one, and these rows need not sum to one",
        "write normalizer: softmax, without a sink or a span",
    ),
    "decoder: {kind: recurrent, cross_attention: {score: {kind: location_aware, kernel_size: 4}}}": (
        "kernel_size: a kernel of 4 keys has no centre",
        "write kernel_size: 5",
    ),
    "decoder: {kind: recurrent, cross_attention: {score: location_aware, kernel: fused}}": (
        "kernel: the fused kernel has no score 'location_aware'",
        "write kernel: auto",
    ),
    "decoder: {layers: 1, attention: {span: {kind: predicted, half_width: 2}}}": (
        "span: the place is predicted as a share of the length, which is unknown while a text is written",
        "write it in the cross_attention, or leave it out",
    ),
    "decoder: {kind: recurrent, cross_attention: {score: coverage, span: {kind: predicted, half_width: 2}}}": (
        "normalizer: coverage counts shares of one, and these rows need not sum to one",
        "write normalizer: softmax, without a sink or a span",
    ),
}


@pytest.mark.parametrize(("text", "said"), BROKEN.items(), ids=BROKEN.keys())
def test_what_means_nothing_is_refused(text, said):
    with pytest.raises(SpecError) as caught:
        load_text(f"name: s\ntask: seq2seq\nmodel: {{encoder: {{kind: recurrent}}, {text}}}\n")
    for part in said:
        assert part in str(caught.value)


POINTERS = {
    "task: {kind: seq2seq, output: pointer_generator}\nmodel: {encoder: {}, decoder: {kind: recurrent}}": (
        "smoothing asks for a little of every word, and a word that is not in the source has none to give",
        "write label_smoothing: 0",
    ),
    "task: {kind: seq2seq, label_smoothing: 0, output: pointer_generator}\n"
    "model: {encoder: {}, decoder: {kind: recurrent, cross_attention: none}}": (
        "output: what is copied is chosen by a cross_attention, and 'decoder' has none",
        "write a cross_attention, or output: linear",
    ),
    "task: {kind: seq2seq, label_smoothing: 0, output: pointer_generator}\n"
    "model: {encoder: {}, decoder: {cross_attention: {sink: zero}}}": (
        "normalizer: copying needs weights that are shares of one, and these rows need not sum to one",
        "write normalizer: softmax, without a sink or a span",
    ),
    "task: {kind: language_model, output: pointer_generator}\nmodel: {decoder: {}}": (
        "output: language_model has no source to copy from",
        "write output: linear, or task: seq2seq",
    ),
    "task: {kind: seq2seq, label_smoothing: 0, output: pointer_generator}\n"
    "model: {encoder: {}, decoder: {kind: recurrent, cross_attention: {normalizer: sum}}}": (
        "normalizer: copying needs weights that are shares of one, and these rows need not sum to one",
        "write normalizer: softmax, without a sink or a span",
    ),
}


@pytest.mark.parametrize(("text", "said"), POINTERS.items(), ids=range(len(POINTERS)))
def test_what_a_pointer_generator_cannot_do_is_refused(text, said):
    with pytest.raises(SpecError) as caught:
        load_text(f"name: s\n{text}\n")
    for part in said:
        assert part in str(caught.value)
