"""Nothing that a token holds is invisible, and nothing of it turns its neighbours around."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attncli.maps.labels import label, shorten, visible


@given(st.text(st.characters(codec=None)))
def test_no_character_without_a_picture_is_left(text: str) -> None:
    shown = visible(text)
    for place, character in enumerate(shown):
        joins = character in "‌‍" and 0 < place < len(shown) - 1
        assert joins or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


@given(st.text())
def test_text_that_can_be_seen_stays_as_it_is(text: str) -> None:
    plain = "".join(c for c in text if unicodedata.category(c)[0] in "LNPSM" and c not in "⟨⟩")
    assert visible(plain) == plain


@given(st.text(st.characters(codec=None)))
def test_a_label_is_never_blank(text: str) -> None:
    assert label(text).strip()


@pytest.mark.parametrize(("token", "shown"), [
    ("", "⟨empty⟩"),
    (" the", "␣the"),
    ("  ", "␣␣"),
    ("a b", "a b"),
    ("\n", "⏎"),
    ("\u202eevil", "⟨U+202E⟩evil"),
    ("a\x00b", "a⟨U+0000⟩b"),
    ("\ud800", "⟨U+D800⟩"),
    ("x\u200b", "x⟨U+200B⟩"),
    ("\u200d", "⟨U+200D⟩"),
    ("👩\u200d👧", "👩\u200d👧"),
    ("\u0301", "◌\u0301"),
    ("你好", "你好"),
    ("</script>", "</script>"),
    ("a\u00a0b", "a⟨U+00A0⟩b"),
])  # fmt: skip
def test_labels(token: str, shown: str) -> None:
    assert label(token) == shown


@given(st.text(), st.integers(1, 20))
def test_shortening_keeps_the_start_and_marks_the_cut(text: str, most: int) -> None:
    short = shorten(text, most)
    assert len(short) <= max(most, 0) or short == text
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))
