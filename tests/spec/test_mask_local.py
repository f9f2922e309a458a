"""How far a mask reaches, as proved from its text, against every pair of a row."""

import pytest

from attncli.spec.masks import parse
from attncli.spec.masks.local import Local

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
}
FAR = ("full", "window(before=3)", "window(around=3) | first(1)", "global(2)", "same(document)", "dilated(4)",
       "causal", "causal & (block(128) | k % 128 >= 120)", "window(around=3) | h == 1",
       "k < q_length & window(around=3)")  # fmt: skip


@pytest.mark.parametrize(("text", "local"), LOCAL.items())
def test_the_reach_holds_for_every_pair_that_is_seen(text, local):
    mask, length = parse(text), 40
    assert mask.local(3) == local
    for h in range(3):
        for q in range(length):
            for k in range(length):
                if mask.allows(q, k, h=h):
                    assert -local.after <= q - k <= local.before
                    assert (q - k) % local.step == 0
                if local.period is not None:
                    later = mask.allows(q + local.period, k + local.period, h=h)
                    assert bool(later) == bool(mask.allows(q, k, h=h))


@pytest.mark.parametrize("text", FAR)
def test_what_is_not_bounded_on_both_sides_is_not_local(text):
    assert parse(text).local(3) is None
