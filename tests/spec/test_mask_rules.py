"""The rules that a mask obeys where it stands, and its picture."""

import pytest

from attncli.spec.masks import parse
from attncli.spec.masks.rules import mask_faults, mask_notes


def faults(text, *, heads=2, length=16, causal=False):
    return mask_faults(parse(text), heads=heads, q_length=length, k_length=length, causal=causal)


@pytest.mark.parametrize(
    ("text", "rule", "help"),
    [
        ("causal & causal", "'causal' changes nothing beside 'causal'", "leave it out"),
        ("full & causal", "'full' is always true", "leave it out"),
        ("causal | full", "'full' is always true, so the other terms change nothing", "leave them out, or it"),
        ("causal & window(before=15)", "'window(before=15)' is always true in rows of at most 16 tokens",
         "leave it out"),
        ("window(before=99)", "'window(before=99)' is always true in rows of at most 16 tokens", "write full"),
        ("causal & window(before=9) & window(before=3)", "'window(before=9)' changes nothing beside 'window(before=3)'",
         "leave it out"),
        ("window(before=3) & window(after=3) & window(around=3)",
         "'window(around=3)' changes nothing beside the other terms", "leave it out"),
        ("causal & (first(2) | first(3))", "'first(2)' changes nothing beside 'first(3)'", "leave it out"),
        ("causal & first(2) | causal", "'causal & first(2)' changes nothing beside 'causal'", "leave it out"),
        ("dilated(1) & causal", "'dilated(1)' is always true", "leave it out"),
        ("window(before=by_head(16, 20)) & causal",
         "'window(before=by_head(16, 20))' is always true in rows of at most 16 tokens", "leave it out"),
        ("causal & k > q", "'causal & k > q' shows no key to any query", "loosen it, or leave the attention out"),
        ("window(before=by_head(1, 2, 3))", "by_head gives 3 values, and there are 2 heads",
         "give one value for each head"),
        ("block(h)", "n of block must be 1 or more; for head 0 it is 0", "make 'h' 1 or more for every head"),
    ],
)  # fmt: skip
def test_a_mask_that_says_less_than_it_seems_is_refused(text, rule, help):
    assert [(fault.where, fault.rule, fault.help) for fault in faults(text)] == [((), rule, help)]


@pytest.mark.parametrize(
    "text",
    [
        "full", "causal", "causal & window(before=14)", "causal & (window(before=3) | first(2))",
        "global(2) | block(4)", "causal & window(before=by_head(15, 14))", "window(before=9, after=2) & dilated(2)",
        "causal & same(document)", "block(h + 1)",
    ],
)  # fmt: skip
def test_a_mask_that_says_something_is_not(text):
    assert faults(text) == ()


@pytest.mark.parametrize(
    ("text", "rule", "help"),
    [
        ("window(around=3)", "'window(around=3)' lets query 0 see key 1, which is still to be written",
         "write causal & window(around=3)"),
        ("causal | h == 1 & first(2)",
         "'causal | h == 1 & first(2)' lets query 0 of head 1 see key 1, which is still to be written",
         "write causal & (causal | h == 1 & first(2))"),
        ("causal & q < q_length - 1", "q_length is unknown while the stack writes",
         "take it out of the mask of a causal stack"),
    ],
)  # fmt: skip
def test_a_stack_that_writes_may_not_look_ahead(text, rule, help):
    assert [(fault.rule, fault.help) for fault in faults(text, causal=True)] == [(rule, help)]


def test_a_row_without_keys_is_worth_a_note():
    assert mask_notes(parse("k < q"), heads=2, q_length=8, k_length=8) == (
        "'k < q' shows no key to query 0; its output is zeros",
    )
    assert mask_notes(parse("window(after=3) & k > q & h == 1 | causal & h == 0"), heads=2, q_length=8, k_length=8) == (
        "'window(after=3) & k > q & h == 1 | causal & h == 0' shows no key to query 7 of head 1; its output is zeros",
    )
    assert mask_notes(parse("causal & dilated(3)"), heads=2, q_length=8, k_length=8) == ()


def test_a_picture_has_a_block_for_each_visible_pair():
    text = "causal & (window(before=1) | first(1))"
    ruler, *lines = parse(text).picture(9, 8)
    assert ruler.split() == ["0"]
    assert [line.split()[0] for line in lines] == [str(q) for q in range(9)]
    drawn = {(q, k) for q, line in enumerate(lines) for k, cell in enumerate(line.split()[1]) if cell == "█"}
    assert drawn == {(q, k) for q in range(9) for k in range(8) if parse(text).allows(q, k)}


def test_a_long_mask_is_drawn_in_shades():
    lines = parse("causal").picture(64, width=8)
    assert lines[0].split() == ["0"]
    assert lines[1].split() == ["0", "▒·······"]
    assert lines[8].split() == ["56", "███████▒"]
    assert lines[9] == "one cell is 8 x 8 positions"
