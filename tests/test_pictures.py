"""Fonts of pictures: the fallback, and the note where there is none."""

from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.ttLib.tables._g_l_y_f import Glyph
from matplotlib import font_manager

from attncli import pictures


def font(path: Path, family: str, characters: str) -> None:
    """Write a font whose only glyphs are those of `characters`."""
    names = [".notdef", *(f"u{ord(c):x}" for c in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):x}" for c in characters})
    builder.setupGlyf({name: Glyph() for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def only_latin(monkeypatch: pytest.MonkeyPatch) -> None:
    fonts = [entry for entry in font_manager.fontManager.ttflist if entry.name not in pictures.CJK_FAMILIES]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)


@pytest.mark.usefixtures("only_latin")
def test_without_a_cjk_font_the_note_names_the_characters_and_the_package() -> None:
    assert pictures.cjk_fonts() == []
    note = pictures.missing_font_note("Montag, ä 月亮 Ł")
    assert note is not None
    assert note.splitlines()[0] == (
        "no installed font has 亮月: pictures show boxes in their place (SVG and HTML keep the text)"
    )
    assert "install the package fonts-noto-cjk" in note


@pytest.mark.usefixtures("only_latin")
def test_latin_text_needs_no_note() -> None:
    assert pictures.missing_font_note("Sonntag, 22. November — ñ é") is None


@pytest.mark.usefixtures("only_latin")
def test_an_installed_cjk_font_is_found_and_covers_its_characters(tmp_path: Path) -> None:
    font(tmp_path / "zen.ttf", "WenQuanYi Zen Hei", "月亮")
    font_manager.fontManager.addfont(tmp_path / "zen.ttf")
    assert pictures.cjk_fonts() == ["WenQuanYi Zen Hei"]
    assert pictures.missing_font_note("月亮") is None
    note = pictures.missing_font_note("月亮星")
    assert note is not None
    assert "has 星:" in note


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_equal_figures_give_equal_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        with pictures.canvas(2, 1) as figure:
            figure.add_subplot().set_title("Montag 月")
            pictures.save(figure, (tmp_path / name).with_suffix(suffix), dpi=50)
    one, two = ((tmp_path / name).with_suffix(suffix).read_bytes() for name in ("one", "two"))
    assert one == two
    assert len(one) > 500


def test_svg_keeps_text_as_text(tmp_path: Path) -> None:
    with pictures.canvas(2, 1) as figure:
        figure.add_subplot().set_title("月 $x^$")
        pictures.save(figure, tmp_path / "a.svg")
    assert "月 $x^$" in (tmp_path / "a.svg").read_text("utf-8")
