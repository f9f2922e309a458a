"""The receptive field of a stack, against products of boolean matrices; and the unions of published sparse models."""

import pytest

from attncli.spec.masks import parse
from attncli.spec.masks.reach import field_of


def by_matrices(masks, length):
    """What reaches what, by going from place to place."""
    held = [{place} for place in range(length)]
    for mask, heads in masks:
        held = [
            held[q].union(*(held[k] for k in range(length) for h in range(heads)
                            if mask.allows(q, k, h=h, q_length=length, k_length=length, document_q=0, document_k=0)))
            for q in range(length)
        ]  # fmt: skip
    back = max(q - min(of) for q, of in enumerate(held))
    ahead = max(max(of) - q for q, of in enumerate(held))
    return (length, back, ahead, sum(map(len, held)))


@pytest.mark.parametrize(
    "texts",
    [
        ["causal & window(before=2)"] * 3,
        ["window(around=1)", "window(before=3, after=0)", "dilated(4)"],
        ["block(4)", "(q + 2) // 4 == (k + 2) // 4", "block(4)"],
        ["causal & window(before=by_head(1, 3))", "k < q"],
        ["causal & dilated(3)", "first(1)"],
        ["k == q"] * 2,
        ["~full", "causal"],
        ["random_blocks(count=1, size=3, seed=1)"] * 2,
    ],
)
def test_the_field_is_what_matrices_say(texts):
    masks = [(parse(text).of_layer(layer), 2) for layer, text in enumerate(texts)]
    assert tuple(field_of(masks, 13)) == by_matrices(masks, 13)


def test_windows_add_up_through_layers():
    assert field_of([(parse("causal & window(before=7)"), 4)] * 6, 256)[1:3] == (42, 0)
    assert field_of([(parse("window(around=3)"), 1)] * 5, 256)[1:3] == (15, 15)


def test_many_layers_are_quick():
    import time

    start = time.process_time()
    assert field_of([(parse("causal & (window(before=127) | first(4))"), 32)] * 80, 256).back == 255
    assert time.process_time() - start < 1.0  # 0.06 s on an idle machine


LENGTH = 48


def keys_of(text: str, q: int, *, length: int = LENGTH) -> set[int]:
    row = list(parse(text).rows(length))[q]
    return {k for k in range(length) if row >> k & 1}


def test_strided_of_child_2019():
    """Section 4.2, eq. 4: A1 = {t, t-1, ..., t-l}, A2 = {j : (i - j) mod l = 0}; arXiv:1904.10509."""
    stride, text = 8, "causal & (window(before=8) | dilated(8))"
    for i in range(LENGTH):
        assert keys_of(text, i) == {j for j in range(i + 1) if i - j <= stride or (i - j) % stride == 0}


def test_fixed_of_child_2019():
    """Section 4.2: A1 = {j : floor(j/l) = floor(i/l)}, A2 = {j : j mod l in {l-c, ..., l-1}}."""
    stride, c, text = 8, 2, "causal & (block(8) | k % 8 >= 6)"
    for i in range(LENGTH):
        expected = {j for j in range(i + 1) if j // stride == i // stride or j % stride >= stride - c}
        assert keys_of(text, i) == expected


def test_two_heads_may_have_one_pattern_each():
    mask = parse("h % 2 == 0 & causal & window(before=7) | h % 2 == 1 & causal & dilated(8)")
    strided, window = parse("causal & dilated(8)"), parse("causal & window(before=7)")
    assert list(mask.of_head(0).rows(40)) == list(window.rows(40))
    assert list(mask.of_head(1).rows(40)) == list(strided.rows(40))
    assert mask.causal() is None


def test_longformer_sees_a_window_and_its_global_tokens_on_both_sides():
    text = "window(around=3) | global(2)"
    for q in range(LENGTH):
        assert keys_of(text, q) == {k for k in range(LENGTH) if abs(q - k) <= 3 or k < 2 or q < 2}


def test_bigbird_is_blocks_beside_each_other_at_both_ends_and_at_random():
    size, last = 4, (LENGTH - 1) // 4
    text = ("abs(q // 4 - k // 4) <= 1 | random_blocks(count=2, size=4, seed=0) | global(4) "
            "| q // 4 == (q_length - 1) // 4 | k // 4 == (k_length - 1) // 4")  # fmt: skip
    mask = parse(text)
    drawn = parse("random_blocks(count=2, size=4, seed=0)")
    for head in range(2):
        rows, random = list(mask.rows(LENGTH, head=head)), list(drawn.rows(LENGTH, head=head))
        for q in range(LENGTH):
            fixed = {k for k in range(LENGTH) if abs(q // size - k // size) <= 1 or k // size in (0, last)
                     or q // size in (0, last)}  # fmt: skip
            chosen = {k for k in range(LENGTH) if random[q] >> k & 1}
            assert {k for k in range(LENGTH) if rows[q] >> k & 1} == fixed | chosen


def test_shifted_windows_meet_across_the_borders_of_blocks():
    """Blocks, then blocks shifted by half: what one layer keeps apart the next joins (Liu et al. 2021, Swin)."""
    assert field_of([(parse("block(8)"), 1)] * 4, 64).pairs == 64 * 8
    assert field_of([(parse("block(8)"), 1), (parse("(q + 4) // 8 == (k + 4) // 8"), 1)] * 2, 64).pairs > 64 * 16
