"""Pictures: whatever the tokens are, both axes carry them, and the figure says whether it can be trusted."""

import re
from xml.etree import ElementTree

import pytest

from attncli.maps.pictures import draw, missing_characters
from attncli.maps.record import AttentionMap
from tests.maps.made import BAD, attention, maps

HOSTILE = ("$x$", "</text><script>", "\u202eevil", "a\x00b", "", "x" * 10_000, "\\alpha", "&amp;", "שלום")


def svg(one: AttentionMap, **texts: str) -> str:
    return draw(one, maps(one, texts=texts).samples[0], "svg").decode()


def words(text: str) -> list[str]:
    """The text elements of an SVG."""
    root = ElementTree.fromstring(text)
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_an_svg_keeps_its_tokens_as_text_on_both_axes() -> None:
    found = words(svg(attention(("你", "好", "吗"), ("w", "x", "y", "z"), kind="cross", heads=3)))
    for token in ("你", "好", "吗", "w", "x", "y", "z"):
        assert found.count(token) == (1 if token in "你好吗" else 3)
    assert [word.split("   ")[0] for word in found if word.startswith("head ")] == ["head 0", "head 1", "head 2"]
    assert "query" in found
    assert "weight" in found


def test_hostile_tokens_are_text_and_no_formula_and_long_ones_are_cut() -> None:
    drawn = svg(attention(HOSTILE, HOSTILE, heads=1))
    found = words(drawn)
    for token in ("$x$", "</text><script>"[:13] + "…", "⟨U+202E⟩evil", "a⟨U+0000⟩b", "⟨empty⟩", "\\alpha", "&amp;"):
        assert found.count(token) == 2, token
    assert "x" * 13 + "…" in found
    assert "<script" not in drawn
    assert len(drawn) < 100_000


def test_the_same_map_gives_the_same_bytes() -> None:
    one = attention(heads=5)
    for kind in ("png", "svg"):
        assert draw(one, maps(one).samples[0], kind) == draw(one, maps(one).samples[0], kind)


def test_a_figure_says_what_it_shows_and_how_exact_it_is() -> None:
    found = " ".join(words(svg(attention(), source="a b c")))
    assert "encoder.0.attention" in found
    assert "source: a b c" in found
    assert "max|rows - 1| 3.0e-07" in found
    assert "max|map V - output| 5.0e-07" in found
    assert "kernel fused" in found


def test_a_figure_that_is_not_certified_says_so() -> None:
    assert "NOT CERTIFIED: max|map V - output| is 2.5e-01" in " ".join(words(svg(attention(certificate=BAD))))


def test_a_png_without_a_font_writes_numbers_and_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    one = attention(("你", "好"), ("a", "b"))
    sample = maps(one, texts={"text": "你好"}).samples[0]
    monkeypatch.setattr("attncli.pictures.cjk_fonts", list)
    assert missing_characters(one, sample) == {"你", "好"}
    said: list[str] = []
    monkeypatch.setattr("matplotlib.figure.Figure.suptitle", lambda self, text, **_: said.append(text))
    monkeypatch.setattr("matplotlib.axis.Axis.set_ticks", lambda self, ticks, labels=(), **_: said.extend(labels))
    assert draw(one, sample, "png").startswith(b"\x89PNG")
    assert "U+4F60" in said
    assert "你" not in "".join(said)
    assert "fonts-noto-cjk" in "".join(said)


def test_many_tokens_are_thinned_not_piled_up() -> None:
    tokens = [f"t{place}" for place in range(300)]
    found = words(svg(attention(tokens, tokens, heads=1)))
    shown = [word for word in found if re.fullmatch(r"t\d+", word)]
    assert shown == [f"t{place}" for place in range(0, 300, 5)] * 2
