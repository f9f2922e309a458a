"""Masks drawn for a terminal."""

import pytest

from attncli.errors import InputError
from attncli.profiling.masks import LENGTH, drawings
from attncli.spec.load import load_text
from tests.profiling import specs


def drawn(text, address=""):
    return list(drawings(load_text(text).run, address))


def test_like_layers_are_drawn_once_and_full_masks_in_words():
    lines = drawn(specs.transformer())
    assert lines[0] == "keys to the right, queries down; █ all pairs of a cell are seen, ▓▒░ some, · none"
    assert [line for line in lines if "coder." in line] == [
        "encoder.attention of layers 0-1",
        "decoder.0.attention",
        "decoder.0.cross_attention",
    ]
    assert lines.count("every query sees every key") == 2
    assert f"{LENGTH - 1}  " + "█" * LENGTH in lines
    assert "54.5% of the pairs of 11 queries and 11 keys" in lines  # (11 + 1) / 2 of 11


def test_one_address():
    assert drawn(specs.transformer(), "encoder.1.attention")[2] == "encoder.1.attention"
    with pytest.raises(InputError) as refused:
        drawn(specs.transformer(), "decoder.0.croos_attention")
    assert str(refused.value) == (
        "--mask decoder.0.croos_attention: x has no attention of that address\n"
        "help: did you mean 'decoder.0.cross_attention'?"
    )
    with pytest.raises(InputError, match=r"help: its attentions are decoder\.cross_attention$"):
        drawn(specs.RECURRENT["bahdanau"], "q")


def test_heads_that_differ_are_drawn_apart():
    text = ('name: x\ntask: language_model\nmodel: {d_model: 64, decoder: {layers: 1, attention: {heads: 4, '
            'mask: "causal & window(before=by_head(1, 1, 1, 3))"}}}')  # fmt: skip
    lines = drawn(text)
    assert [line for line in lines if line.startswith("head")] == ["heads 0-2", "head 3"]
    assert lines[lines.index("heads 0-2") + 4].split() == ["2", "·██" + "·" * (LENGTH - 3)]
    assert lines[lines.index("head 3") + 4].split() == ["2", "███" + "·" * (LENGTH - 3)]
