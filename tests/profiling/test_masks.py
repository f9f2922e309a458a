"""Masks drawn for a terminal."""

import re
from xml.etree import ElementTree

import pytest

from attncli.errors import InputError
from attncli.profiling.mask_pictures import svg_of
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


def language_model(mask, task="language_model", data=""):
    return (f"name: x\ntask: {task}\nmodel: {{d_model: 64, max_length: 48, "
            f"decoder: {{layers: 3, attention: {{heads: 2, mask: '{mask}'}}}}}}\n{data}")  # fmt: skip


def test_what_is_known_of_a_mask_is_said_below_it():
    lines = drawn(language_model("causal & window(before=4)"))
    assert "causal: no query sees a later key" in lines
    assert lines[-1] == "through 3 layers of decoder a place reads 12 tokens back, 0 ahead, in rows of 48"
    lines = drawn(language_model("k < q"))
    assert "query 0 sees no key: zeros" in lines
    assert lines[-1] == "through 3 layers of decoder a place reads all tokens back, 0 ahead, in rows of 48"


def test_a_prompt_is_drawn_as_a_third_and_what_data_say_is_taken_as_true():
    lines = drawn(language_model("causal | prefix", task="{kind: language_model, loss_on: answer}"))
    assert [line.split()[1] for line in lines if line.split()[:1] == ["0"]][-1] == "█" * 8 + "·" * 16
    assert "the first third of the row is taken as the prompt" in lines
    assert "not causal: query 0 sees key 1" in lines
    lines = drawn(language_model("causal & k != part", data="data: {train: x, fields: {part: {kind: integer}}}\n"))
    assert "what the data say of part is taken as true: no more than this is seen" in lines
    assert "at most 51.0% of the pairs of 48 queries and 48 keys" in lines


def cells(path: str, side: float) -> set[tuple[int, int]]:
    """Squares that a path of rectangles covers."""
    found = set()
    for x, y, wide in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v", path):
        first, row, count = (round(float(number) / side) for number in (x, y, wide))
        found |= {(row, key) for key in range(first, first + count)}
    return found


def test_the_picture_has_a_square_for_each_visible_pair():
    text = language_model("causal & (window(before=by_head(2, 9)) | k % 16 == 15)")
    picture = ElementTree.fromstring(svg_of(load_text(text).run))
    spans = [one.get("d") for one in picture.iter() if one.tag.endswith("path")]
    assert len(spans) == 2, "one for each different head; layers alike are drawn once"
    for window, path in zip((2, 9), spans, strict=True):
        expected = {(q, k) for q in range(64) for k in range(q + 1) if q - k <= window or k % 16 == 15}
        assert cells(path, 256 / 64) == expected
    assert "decoder.attention of layers 0-2, head 1" in ElementTree.tostring(picture, encoding="unicode")


def test_random_blocks_are_drawn_for_their_layer():
    text = ("name: x\ntask: classification\nmodel: {d_model: 64, encoder: {layers: 2, "
            "attention: {heads: 1, mask: 'random_blocks(count=2, size=4, seed=0)'}}}")  # fmt: skip
    first, second = (drawn(text, f"encoder.{layer}.attention") for layer in (0, 1))
    assert first[5:20] != second[5:20]
    assert "layer 1" in second
