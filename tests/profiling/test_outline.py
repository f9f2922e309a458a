"""A model in few lines."""

import pytest

from attncli.nn.model import build_model, token_fields
from attncli.profiling.count import parts_of
from attncli.profiling.outline import numbers, outline
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from tests.profiling import specs


@pytest.mark.parametrize(
    ("indices", "said"),
    [([0], "0"), ([0, 1], "0-1"), ([0, 1, 2, 3], "0-3"), ([0, 2, 4, 6], "0, 2, … 6"), ([0, 1, 2, 7], "0-2, 7"),
     ([1, 3], "1, 3"), ([0, 1, 3, 4], "0-1, 3-4")],
)  # fmt: skip
def test_numbers(indices, said):
    assert numbers(indices) == said


@pytest.mark.parametrize("name", specs.ALL)
@pytest.mark.parametrize("every_layer", [False, True])
def test_every_part_stands_on_one_line(name, every_layer):
    run = load_text(specs.ALL[name]).run
    sizes = sizes_of(run, token_fields(run))
    lines = list(outline(run, sizes, every_layer=every_layer))
    addresses = [address for line in lines for address in line.addresses]
    assert sorted(addresses) == sorted(part.address for part in parts_of(build_model(run, sizes, "meta")))


def test_layers_alike_are_one():
    text = ("name: x\ntask: language_model\nmodel: {d_model: 8, decoder: {attention: {mask: causal}, layers: ["
            "{repeat: 2}, {attention: {mask: causal & window(before=3)}}, {repeat: 2}]}}")  # fmt: skip
    run = load_text(text).run
    lines = {line.label: line for line in outline(run, sizes_of(run, token_fields(run)))}
    assert lines["layers 0-1, 3-4"].what == "4 layers alike"
    assert lines["layer 2"].what == ""
    assert list(lines)[:2] == ["decoder", "input"]
    assert lines["input"].what == "text: 8000 ids (from data) x 8"


def test_words_for_an_attention():
    run = load_text(specs.transformer("heads: 4, kv_heads: 2, score: dot, normalizer: sparsemax")).run
    lines = list(outline(run, sizes_of(run, token_fields(run))))
    said = [line.what for line in lines if "attention" in line.label]
    assert said == [
        "4 heads (2 kv) x 6, dot, full, rotary, sparsemax",
        "4 heads (2 kv) x 6, dot, causal, rotary, sparsemax",
        "4 heads (2 kv) x 6, dot, full, sparsemax, reads encoder",
    ]
