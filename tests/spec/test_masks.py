"""Masks as a language: what is read, what it means on ints and tensors, and what is refused at which column."""

import pytest
import torch
from hypothesis import example, given, settings
from pydantic import TypeAdapter, ValidationError

from attncli.spec.masks import Mask, MaskError, MaskField, parse
from attncli.spec.masks.predicates import PREDICATES
from tests import catalogue
from tests.spec.mask_texts import masks

EQUIVALENT = [
    ("full", "0 == 0"),
    ("causal", "k <= q"),
    ("window(before=3)", "q - k <= 3"),
    ("window(after=2)", "k - q <= 2"),
    ("window(around=2)", "abs(q - k) <= 2"),
    ("window(before=3, after=1)", "-1 <= q - k <= 3"),
    ("first(2)", "k < 2"),
    ("global(2)", "k < 2 | q < 2"),
    ("block(3)", "q // 3 == k // 3"),
    ("dilated(3)", "(q - k) % 3 == 0"),
    ("same(document)", "document(q) == document(k)"),
    ("prefix", "k < prefix_length"),
    ("neighbourhood(1)", "row(q) == row(k) & column(q) == column(k) | q == 6 & k == 3"),  # row 2 is beyond the keys
    ("random_blocks(count=9, size=2, seed=0)", "full"),
]


def seen(text: str, *, q_length: int = 7, k_length: int = 5, heads: int = 2) -> list[list[list[bool]]]:
    """The mask by Python ints, one pair at a time; documents are pairs of tokens."""
    mask = parse(text)
    return [
        [
            [
                mask.allows(
                    q,
                    k,
                    h=h,
                    q_length=q_length,
                    k_length=k_length,
                    document_q=q // 2,
                    document_k=k // 2,
                    carried=catalogue.carried_by_pair(q, k, k_length),
                )
                for k in range(k_length)
            ]
            for q in range(q_length)
        ]
        for h in range(heads)
    ]


@pytest.mark.parametrize(("predicate", "meaning"), EQUIVALENT)
def test_a_predicate_is_the_arithmetic_that_the_reference_gives(predicate, meaning):
    assert seen(predicate) == seen(meaning)


def test_every_predicate_has_its_equivalent_above():
    assert {parse(text).tree.word for text, _ in EQUIVALENT} == set(PREDICATES)


@pytest.mark.parametrize(
    ("text", "as_if"),
    [
        ("causal | first(2) & block(3)", "causal | (first(2) & block(3))"),
        ("~causal & first(2)", "(~causal) & first(2)"),
        ("~k < 2", "~(k < 2)"),
        ("causal & k < 2", "causal & (k < 2)"),
        ("q - k * 2 <= 3 + 1", "(q - (k * 2)) <= (3 + 1)"),
        ("q - k - 1 < 2", "(q - k) - 1 < 2"),
        ("-q % 3 == 0", "(-q) % 3 == 0"),
        ("0 <= q - k <= 3", "0 <= q - k & q - k <= 3"),
        ("q < k < 4 != q", "q < k & k < 4 & 4 != q"),
        ("window(before=by_head(1, 3))", "h == 0 & q - k <= 1 | h == 1 & q - k <= 3"),
        ("min(q, k, 3) == 3 | max(q, k) < 2", "q >= 3 & k >= 3 | q < 2 & k < 2"),
    ],
)
def test_precedence_and_functions(text, as_if):
    assert seen(text) == seen(as_if)


def test_division_and_remainder_floor_as_in_python():
    assert seen("(k - q) // 2 == -2") == seen("-4 <= k - q <= -3")
    assert seen("(k - q) % 4 == 3") == seen("k - q == 3 | k - q == -1 | k - q == -5")


@settings(max_examples=150, deadline=None)
@example("q - (k - 1) < q * (k + 2)")
@example("(causal | full) & ~(causal & full) & ~~causal")
@given(masks)
def test_a_mask_parses_back_from_its_own_text(text):
    mask = parse(text)
    assert parse(str(mask)) == mask
    assert parse(str(mask)).tree == mask.tree
    assert str(parse(str(mask))) == str(mask)


@settings(max_examples=100, deadline=None)
@given(masks)
def test_tensors_see_what_ints_see(text):
    q_length, k_length, heads = 7, 5, 2
    q, k, h = torch.arange(q_length)[:, None], torch.arange(k_length), torch.arange(heads)[:, None, None]
    found = parse(text).allows(q, k, h=h, q_length=q_length, k_length=k_length, document_q=q // 2, document_k=k // 2)
    assert torch.as_tensor(found).expand(heads, q_length, k_length).tolist() == seen(text)


def test_equal_trees_are_equal_masks_and_the_text_is_normal():
    one, other = parse("( causal )&window( before = 3 )"), parse("causal & (window(before=3))")
    assert one == other
    assert hash(one) == hash(other)
    assert one.text == "causal & window(before=3)"
    assert one != parse("window(before=3) & causal")


def test_names_are_what_must_be_passed():
    assert parse("causal & q - k < 3").names == frozenset()
    assert parse("window(before=by_head(1, 2)) & same(document) & k < q_length").names == {"h", "document", "q_length"}


@pytest.mark.parametrize(
    ("text", "column", "rule", "help"),
    [
        ("", 0, "a mask is empty", "write full to see every key"),
        ("causl", 0, "there is no 'causl' in masks", "did you mean 'causal'?"),
        ("causal & postfx", 9, "there is no 'postfx' in masks",
         "masks know full, causal, window, first, global, block, dilated, same, prefix, neighbourhood, random_blocks, "
         "q, k, h, q_length, k_length, abs, min, max, by_head, document, word, segment, prefix_length"),
        ("prefix_length", 0, "a mask takes truths, and 'prefix_length' is an integer",
         "compare it, as in q - k <= 7"),
        ("prefix_length(q) == 1", 0, "'prefix_length' is a number, not a function", "write prefix_length alone"),
        ("words(q, k) == 1", 0, "there is no 'words' in masks", "did you mean 'word'?"),
        ("first(part)", 6, "an argument of first may use h, not 'part'", "write the comparison itself: k < n"),
        ("q % part == 0", 4, "the right side of % must be a positive constant, not 'part'",
         "write a number of 1 or more"),
        ("neighbourhood(4)", 14, "n of neighbourhood must be odd, to have a middle; it is 4", "write an odd number"),
        ("neighbourhood", 0, "'neighbourhood' needs n", "write neighbourhood(9)"),
        ("random_blocks(count=2, size=4)", 0, "random_blocks needs seed",
         "write random_blocks(count=3, size=64, seed=0)"),
        ("random_blocks(count=h, size=4, seed=0)", 20, "count of random_blocks is one number",
         "write random_blocks(count=3, size=64, seed=0)"),
        ("random_blocks(count=0, size=4, seed=0)", 20, "count of random_blocks must be 1 or more; it is 0",
         "write 1 or more"),
        ("causal &", 8, "the mask ends where a term is due", "finish it, or take the last sign away"),
        ("q", 0, "a mask takes truths, and 'q' is an integer", "compare it, as in q - k <= 7"),
        ("causal & (q + 1)", 10, "'&' takes truths, and 'q + 1' is an integer", "compare it, as in q - k <= 7"),
        ("~q", 1, "'~' takes truths, and 'q' is an integer", "compare it, as in q - k <= 7"),
        ("q < (causal)", 5, "'<' takes integers, and 'causal' is true or false", "join truths by & | ~"),
        ("1 + causal < q", 4, "'+' takes integers, and 'causal' is true or false", "join truths by & | ~"),
        ("q = k", 2, "'=' names an argument; it compares nothing", "write =="),
        ("causal and full", 7, "'and' is not a word of masks", "write &"),
        ("not causal", 0, "'not' is not a word of masks", "write ~"),
        ("(causal", 7, "the '(' at column 1 is not closed here", "write ')'"),
        ("causal)", 6, "')' is not expected here", "join two truths by & or |"),
        ("causal causal", 7, "'causal' is not expected here", "join two truths by & or |"),
        ("q < 0.5", 4, "'0.5' is no integer", "masks compute with whole decimal numbers"),
        ("q < ٣", 4, "'٣' is no integer", "masks compute with whole decimal numbers"),
        ("q < 4294967296", 4, "4294967296 is larger than 2147483647", "no row is that long"),
        ("q / 2 < k", 2, "'/' has no meaning in a mask", "write //, floor division"),
        ("same('x')", 5, "''' has no meaning in a mask", "masks have no strings"),
        ("q // k < 1", 5, "the right side of // must be a positive constant, not 'k'", "write a number of 1 or more"),
        ("q % (1 - 1) < 1", 5, "the right side of % must be a positive constant, not '1 - 1'",
         "write a number of 1 or more"),
        ("window(3)", 7, "an argument of window needs its name", "write window(before=8)"),
        ("window(befor=3)", 7, "window has no argument 'befor'", "did you mean 'before'?"),
        ("window(before=1, before=2)", 24, "'before' is given twice", "give it once"),
        ("window(around=1, after=2)", 0, "around is both sides of a window", "write around alone, or before and after"),
        ("window(before=-1)", 14, "before of window must be 0 or more; it is -1", "write 0 or more"),
        ("dilated(by_head(2, 0))", 8, "step of dilated must be 1 or more; it is 0 for head 1", "write 1 or more"),
        ("window(before=q)", 14, "an argument of window may use h, not 'q'",
         "write the comparison itself: q - k <= before, k - q <= after; around=n is both"),
        ("first", 0, "'first' needs n", "write first(8)"),
        ("first()", 6, "an argument is due", "write it, or leave the parentheses out"),
        ("causal(3)", 0, "'causal' takes no argument", "write causal alone"),
        ("q(3) < 1", 0, "'q' is a number, not a function", "write q alone"),
        ("abs < 1", 0, "'abs' is a function", "write abs(...)"),
        ("abs(q, k) < 1", 0, "abs takes one number, not 2", "write abs(q - k)"),
        ("min(q) < 1", 0, "min takes two numbers or more", "write min(q, k)"),
        ("max(a=q, b=k) < 1", 4, "the arguments of max have no names", "leave 'a=' out"),
        ("document == 1", 0, "'document' is a function of a position", "write document(q) or document(k)"),
        ("document(3) == 1", 0, "document takes one position, q or k", "write document(q)"),
        ("same(q)", 5, "same takes an integer that tokens carry, not 'q'", "write same(document)"),
        ("~" * 50 + "causal", 40, "a mask is nested at most 40 deep", "say it flatter"),
        ("q < 1" + " + 1" * 201, 806, "a mask has at most 200 signs of arithmetic", "say it shorter"),
    ],
)  # fmt: skip
def test_a_fault_names_its_column_its_rule_and_the_way_out(text, column, rule, help):
    with pytest.raises(MaskError) as caught:
        parse(text)
    error = caught.value
    assert (error.column, error.rule, error.help) == (column, rule, help)


def test_the_message_shows_the_place():
    with pytest.raises(MaskError) as caught:
        parse("causal\n& dilate(2)")
    assert str(caught.value) == (
        "mask:10: there is no 'dilate' in masks\n  causal & dilate(2)\n           ^\nhelp: did you mean 'dilated'?"
    )


def test_a_field_reads_a_mask_and_writes_its_text():
    field = TypeAdapter(MaskField)
    mask = field.validate_python("causal&first( 4 )")
    assert mask == parse("causal & first(4)")
    assert field.validate_python(mask) is mask
    assert field.dump_python(mask) == "causal & first(4)"


@pytest.mark.parametrize(
    ("value", "context"),
    [
        ("causal & frist(4)",
         {"rule": "there is no 'frist' in masks", "help": "did you mean 'first'?", "column": 9}),
        (3, {"rule": "a mask is an expression, not 3", "help": "write causal, or full", "column": 0}),
    ],
)  # fmt: skip
def test_a_field_reports_rule_help_and_column(value, context):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(MaskField).validate_python(value)
    (fault,) = caught.value.errors()
    assert fault["type"] == "rule"
    assert fault["ctx"] == context


def test_masks_need_no_torch():
    import subprocess
    import sys

    code = "import sys, attncli.spec.masks; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_mask_is_a_mask():
    assert isinstance(parse("full"), Mask)
