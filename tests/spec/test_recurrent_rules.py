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
}


@pytest.mark.parametrize(("text", "said"), BROKEN.items(), ids=BROKEN.keys())
def test_what_means_nothing_is_refused(text, said):
    with pytest.raises(SpecError) as caught:
        load_text(f"name: s\ntask: seq2seq\nmodel: {{encoder: {{kind: recurrent}}, {text}}}\n")
    for part in said:
        assert part in str(caught.value)
