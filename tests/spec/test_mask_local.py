"""How far a mask reaches, as proved from its text, against every pair of a row."""

import itertools

import pytest
from hypothesis import given, settings

from attncli.spec.masks import parse
from attncli.spec.masks.local import Local
from tests.spec.mask_texts import masks

LOCAL = {
    "causal & window(before=127)": Local(127, 0, 1, 1),
    "window(around=3)": Local(3, 3, 1, 1),
    "k < q & window(before=3)": Local(3, 0, 1, 1),
    "block(4)": Local(3, 3, 1, 4),
    "block(4) & causal": Local(3, 0, 1, 4),
    "causal & window(before=16) & dilated(4)": Local(16, 0, 4, 1),
    "causal & window(before=by_head(1, 5, 9))": Local(9, 0, 1, 1),
    "window(around=2) | block(3)": Local(2, 2, 1, 3),
    "abs(q // 16 - k // 16) <= 1": Local(31, 31, 1, 16),
    "abs(q - k) <= h": Local(2, 2, 1, 1),
    "0 <= q - k & q - k < 8": Local(7, 0, 1, 1),
    "h % 2 == 0 & window(around=9) | h % 2 == 1 & window(around=8) & dilated(8)": Local(9, 9, 1, 1),
    "causal & window(before=9) & k % 3 == 0": Local(9, 0, 1, 3),
    "causal & window(before=9) & k * q > 7": Local(9, 0, 1, None),
    "causal & window(before=9) & ~first(2)": Local(9, 0, 1, None),
    "window(around=3) | first(1)": Local(3, 3, 1, 1, columns=1),
    "window(around=3) | q < 2": Local(3, 3, 1, 1, rows=2),
    "window(around=3) | global(2)": Local(3, 3, 1, 1, columns=2, rows=2),
    "causal & (window(before=7) | first(4))": Local(7, 0, 1, 1, columns=4),
    "causal & (window(before=7) | first(by_head(4, 1, 2)))": Local(7, 0, 1, 1, columns=4),
    "abs(q // 4 - k // 4) <= 1 | q // 4 == 0 | k // 4 == 0": Local(7, 7, 1, 4, columns=4, rows=4),
    "window(around=3) & dilated(3) | h == 1 & 2 * k < 5": Local(3, 3, 1, 1, columns=3),
    "window(around=1) | k < 9 & q < 9": Local(1, 1, 1, 1, columns=9),
    "(window(around=3) | global(1)) & ~(q < 1)": Local(3, 3, 1, 1, columns=1, rows=1),
    "first(3)": Local(0, 0, 1, 1, columns=3),
    "global(2)": Local(0, 0, 1, 1, columns=2, rows=2),
}
FAR = {
    "full": None,
    "window(before=3)": None,
    "same(document)": None,
    "dilated(4)": None,
    "causal": None,
    "causal | first(2)": "'causal' may show keys at any distance",
    "~first(3)": None,
    "causal & (block(128) | k % 128 >= 120)": "'k % 128 >= 120' may show keys at any distance",
    "window(around=3) | h == 1": "'h == 1' may show keys at any distance",
    "causal & (window(before=3) | prefix)": "'prefix' may show keys at any distance",
    "window(around=3) | first(2) | random_blocks(count=1, size=4, seed=0)": "'random_blocks(count=1,",
    "k < q_length & window(around=3)": "the mask is local, but it reads q_length",
}


def holds_everywhere(text: str, local: Local, length: int, heads: int) -> None:
    mask = parse(text)
    for h, q, k in itertools.product(range(heads), range(local.rows, length), range(local.columns, length)):
        if mask.allows(q, k, h=h):
            assert -local.after <= q - k <= local.before
            assert (q - k) % local.step == 0
        if local.period is not None:
            later = mask.allows(q + local.period, k + local.period, h=h)
            assert bool(later) == bool(mask.allows(q, k, h=h))


@pytest.mark.parametrize(("text", "local"), LOCAL.items())
def test_the_reach_holds_for_every_pair_that_is_seen(text, local):
    assert parse(text).local(3) == local
    holds_everywhere(text, local, 40, 3)


@settings(max_examples=200, deadline=None)
@given(masks)
def test_the_reach_of_any_mask_holds(text):
    local = parse(text).local(2)
    if local is not None:
        holds_everywhere(text, local, 25, 2)


@pytest.mark.parametrize(("text", "why"), FAR.items())
def test_what_is_not_bounded_on_both_sides_is_not_local(text, why):
    mask = parse(text)
    assert mask.local(3) is None
    assert why in (mask.far(3) or "") if why else mask.far(3) is None
