"""What is proved and counted of a mask without running it, against trying every pair."""

import time

import pytest
from hypothesis import given, settings

from attncli.spec.masks import parse
from attncli.spec.masks.forms import All, Bound, Form, Some, form_of
from attncli.spec.masks.proof import Band
from attncli.spec.masks.tree import Pair
from tests.spec.mask_texts import masks

Q, K, HEADS = 7, 5, 2


def pairs(text, q_length=Q, k_length=K, heads=HEADS):
    """Every (q, k, h) that the mask shows, all tokens in one document."""
    mask = parse(text)
    return {
        (q, k, h)
        for h in range(heads)
        for q in range(q_length)
        for k in range(k_length)
        if mask.allows(q, k, h=h, q_length=q_length, k_length=k_length, document_q=0, document_k=0)
    }


def holds(form: Form, at: Pair) -> bool:
    match form:
        case Bound(terms=terms, least=least):
            return sum(coefficient * term.value(at) for term, coefficient in terms) >= least
        case All(forms=forms):
            return all(holds(each, at) for each in forms)
        case Some(forms=forms):
            return any(holds(each, at) for each in forms)


@settings(max_examples=150, deadline=None)
@given(masks)
def test_visible_is_the_count_of_all_pairs(text):
    assert parse(text).visible(Q, K, heads=HEADS) == len(pairs(text))


@settings(max_examples=100, deadline=None)
@given(masks)
def test_rows_are_the_mask_bit_by_bit(text):
    found = {
        (q, k, h)
        for h in range(HEADS)
        for q, row in enumerate(parse(text).rows(Q, K, h))
        for k in range(K)
        if row >> k & 1
    }
    assert found == pairs(text)


@settings(max_examples=100, deadline=None)
@given(masks)
def test_a_form_says_what_its_tree_says(text):
    mask = parse(text)
    for h in range(HEADS):
        for q in range(Q):
            for k in range(K):
                at = Pair(q, k, h, Q, K, q // 2, k // 2)
                assert holds(form_of(mask.tree), at) == mask.tree.allows(at)


@settings(max_examples=150, deadline=None)
@given(masks)
def test_a_proof_of_causality_is_never_wrong_and_a_witness_is_the_first(text):
    mask, length = parse(text), 6
    ahead = {(q, k, h) for q, k, h in pairs(text, length, length) if k > q}
    witness = mask.causal(length=length, heads=HEADS)
    if witness is None:
        assert not ahead
    elif "document" not in mask.names:
        assert witness == min(ahead)


@settings(max_examples=100, deadline=None)
@given(masks)
def test_the_empty_row_is_the_first_one(text):
    shown = {(q, h) for q, _, h in pairs(text)}
    empty = sorted((q, -1, h) for q in range(Q) for h in range(HEADS) if (q, h) not in shown)
    assert parse(text).empty_rows(Q, K, heads=HEADS) == (empty[0] if empty else None)
    assert parse(text).shows_nothing(Q, K, heads=HEADS) == (not shown)


@settings(max_examples=150, deadline=None)
@given(masks, masks, masks)
def test_an_idle_term_can_be_left_out(one, other, third):
    for sign in "&|":
        parts = [f"({part})" for part in (one, other, third)]
        starts = [len(f" {sign} ".join(["", *parts[:index]])) for index in range(3)]
        whole = f" {sign} ".join(parts)
        for idle in parse(whole).idle(Q, K):
            for index, part in enumerate(parts):
                inside = starts[index] < idle.term.start < starts[index] + len(part)
                if inside and parse(part).tree == idle.term and "the other" not in idle.reason:
                    assert pairs(f" {sign} ".join(parts[:index] + parts[index + 1 :])) == pairs(whole)


@pytest.mark.parametrize(
    "text",
    [
        "causal", "k < q", "k <= q - 3", "window(after=0)", "q - k >= 0", "k == q", "0 <= q - k <= 7", "~(k > q)",
        "causal & (window(before=3) | first(2))", "causal & dilated(2) | k < q & first(1)",
        "window(before=by_head(1, 2), after=0)", "h % 2 == 0 & causal | h % 2 == 1 & k < q", "~full",
    ],
)  # fmt: skip
def test_these_are_causal_by_structure(text):
    assert parse(text).causal(length=0) is None  # no row to search: this is the proof


@pytest.mark.parametrize(
    ("text", "witness"),
    [
        ("full", (0, 1, 0)),
        ("window(around=2)", (0, 1, 0)),
        ("causal | first(3)", (0, 1, 0)),
        ("dilated(4)", (0, 4, 0)),
        ("causal | k == q + 3 & q >= 5", (5, 8, 0)),
        ("same(document)", (0, 1, 0)),
        ("~same(document)", (0, 1, 0)),
        ("window(after=by_head(0, 0, 2))", (0, 1, 2)),
        ("k <= 900 & q >= 890 & k > q", (890, 891, 0)),
    ],
)
def test_the_first_pair_that_looks_ahead(text, witness):
    assert parse(text).causal() == witness


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("causal", Band(None, 0)),
        ("causal & window(before=3)", Band(3, 0)),
        ("window(around=2)", Band(2, 2)),
        ("k < q", Band(None, -1)),
        ("-1 <= 2 * (q - k) <= 5", Band(2, 0)),
        ("full", None),
        ("causal & first(3)", None),
        ("causal & same(document)", None),
    ],
)
def test_a_band_is_recognized(text, band):
    assert parse(text).band == band


@pytest.mark.parametrize(
    ("text", "full"), [("full", True), ("causal | k > q", False), ("k >= 0", True), ("causal", False)]
)
def test_a_full_mask_is_recognized(text, full):
    assert parse(text).full is full


@pytest.mark.parametrize(
    "text", ["causal", "window(before=2)", "window(before=2, after=1)", "k < q - 1", "window(after=3)"]
)
@pytest.mark.parametrize(("q_length", "k_length"), [(1, 1), (2, 9), (9, 2), (6, 6)])
def test_bands_are_counted_in_closed_form(text, q_length, k_length):
    assert parse(text).visible(q_length, k_length, heads=3) == 3 * len(pairs(text, q_length, k_length, heads=1))


@pytest.mark.parametrize(
    "text",
    [
        "full", "causal", "causal & window(before=127)", "block(64)", "dilated(8)", "first(4)", "global(3)",
        "causal & (window(before=127) | first(4))", "causal & (block(128) | k % 128 >= 120)",
        "window(around=64) & dilated(2) | global(2)",
    ],
)  # fmt: skip
def test_counting_4096_squared_is_quick(text):
    start = time.process_time()
    assert 0 < parse(text).visible(4096) <= 4096**2
    assert time.process_time() - start < 0.2  # 0.05 s on an idle machine
