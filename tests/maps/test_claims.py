"""Claims about maps: what holds, what does not and where, and what is no claim."""

from dataclasses import replace

import numpy as np
import pytest

from attncli.errors import InputError
from attncli.maps.claims import judge, read_claims
from attncli.maps.record import Maps
from tests.maps.made import BAD, GOOD, attention, maps


def aligned() -> Maps:
    """A cross-attention whose second head is a diagonal, and a self-attention."""
    one = attention(kind="cross", address="decoder.2.cross_attention", queries="abcd", keys="abcd")
    weights = np.stack([np.full((4, 4), 0.25), np.eye(4)]).astype(np.float32)
    return maps(replace(one, weights=weights), attention(address="decoder.2.attention"))


@pytest.mark.parametrize(
    ("text", "holds", "found"),
    [
        ("certified", True, "every check of every map holds"),
        ("no_leak", True, "at most 0 weight"),
        ("no_empty_rows", True, "at most 0 rows"),
        ("role(decoder.2.cross, monotonic) > 0.8", True, "1.000 (decoder.2.cross_attention, head 1)"),
        ("role(decoder.2.cross, monotonic, 0) > 0.8", False, "0.000 (decoder.2.cross_attention, head 0)"),
        ("entropy(decoder.2.cross) <= 1", False, f"{np.log(4):.3f} (0/decoder.2.cross_attention, head 0)"),
        ("entropy(*.cross_attention, 1) < 1e-3", True, "head 1"),
        ("peak(decoder.2.cross)>=0.25", True, "0.250"),
    ],
)
def test_verdicts(text: str, holds: bool, found: str) -> None:
    (verdict,) = judge(aligned(), read_claims(text))
    assert verdict.holds is holds
    assert found in verdict.found


def test_a_leak_a_wrong_map_and_an_empty_row_are_found() -> None:
    leaking = maps(attention(certificate=replace(GOOD, forbidden_weight=0.2, empty_rows=3)), attention(certificate=BAD))
    verdicts = judge(leaking, read_claims("no_leak; no_empty_rows;certified"))
    assert [verdict.holds for verdict in verdicts] == [False, False, False]
    assert "0.2" in verdicts[0].found


def test_all_that_is_no_claim_is_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_claims("no_leaks; certified; role(decoder, monotonous) > 1; loss(decoder) > 1")
    assert all(fault in str(caught.value) for fault in ("'no_leaks'", "role 'monotonous'", "no 'loss'"))
    assert str(caught.value).count("help: ") == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ; ", "nothing is claimed"),
        ("no_leaks", "'no_leaks' is no claim"),
        ("role(decoder, monotonous) > 1", "no role 'monotonous'"),
        ("loss(decoder) > 1", "there is no 'loss'"),
        ("entropy() > 1", "names nothing"),
        ("role(decoder) > 1", "names decoder"),
        ("entropy(decoder, first) > 1", "names decoder, first"),
    ],
)
def test_what_is_no_claim_is_said(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_claims(text)


@pytest.mark.parametrize("text", ["entropy(encoder) > 1", "entropy(decoder.2, 2) > 1", "role(decoder.2.a, copy) > 0"])
def test_claims_of_what_there_is_not(text: str) -> None:
    with pytest.raises(InputError):
        judge(aligned(), read_claims(text))
