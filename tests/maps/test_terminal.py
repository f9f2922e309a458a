"""The terminal's heat map: square cells, names above and beside them, and a count of what does not fit."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from attncli.maps.terminal import VIRIDIS, cell, fitted, heat_map, show, upright
from tests.maps.made import attention, maps


def drawn(width: int = 80, **options: object) -> list[str]:
    one = attention(**options)
    return heat_map(one, 0, width=width, colour=False).plain.split("\n")


def test_every_row_is_as_wide_as_its_keys_and_shows_its_weights() -> None:
    one = attention(("a", "bb", "日本"), ("x", "y", "z", "w"), kind="cross")
    lines = heat_map(one, 1, width=80, colour=False).plain.split("\n")
    assert lines[0] == "encoder.0.attention · head 1 of 2"
    assert [line.split()[0] for line in lines[3:]] == ["a", "bb", "日本"]
    for row, line in enumerate(lines[3:]):
        cells = line[-8:]
        assert cell_len(line) == 4 + 1 + 8
        for key in range(4):
            assert cells[2 * key : 2 * key + 2] == cell(float(one.weights[1, row, key]), False)[0]


@pytest.mark.parametrize(
    ("weight", "shade"), [(0.0, " "), (0.06, " "), (0.07, "·"), (0.2, "░"), (0.3, "▒"), (0.6, "▓"), (1.0, "█")]
)
def test_shades_rise_with_the_weight(weight: float, shade: str) -> None:
    assert cell(weight, False) == (shade * 2, "")


def test_colours_rise_with_the_weight_and_nothing_is_blank() -> None:
    assert cell(0.0, True) == ("  ", "")
    styles = [cell(weight, True)[1] for weight in (0.001, 0.55, 1.0)]
    assert [style.bgcolor.name for style in styles] == [VIRIDIS[0], VIRIDIS[5], VIRIDIS[9]]


def test_a_weight_that_is_no_number_is_marked() -> None:
    assert cell(float("nan"), True)[0] == "??"


@pytest.mark.parametrize("width", [10, 20, 40, 79])
def test_a_narrow_terminal_shows_the_first_keys_and_counts_the_rest(width: int) -> None:
    tokens = [f"t{place}" for place in range(50)]
    lines = drawn(width, queries=tokens, keys=tokens)
    shown = (width - 4) // 2
    assert all(cell_len(line) <= width for line in lines[2:-1])
    assert lines[-1] == f"not shown: {50 - shown} more keys; a wider terminal shows more keys, --out shows all"


def test_very_many_rows_are_counted_too() -> None:
    lines = drawn(queries=["a"] * 70, keys=["a", "b"])
    assert lines[-1] == "not shown: 6 more rows; a wider terminal shows more keys, --out shows all"
    assert len(lines) == 2 + 1 + 64 + 1


def test_names_stand_upright_and_end_on_one_line() -> None:
    assert upright(["ab", "c", "你好吗"]) == ["    你", "a   好", "b c 吗"]


def test_long_names_are_cut_and_marks_stay_on_their_letter() -> None:
    lines = upright(["abcdefghij", "e\u0301x"])
    assert [line[0] for line in lines] == list("abcdefg…")
    assert lines[-2][2:].rstrip() == "e\u0301"


@pytest.mark.parametrize(
    ("name", "width", "cut"), [("abcdef", 6, "abcdef"), ("abcdefg", 6, "abcde…"), ("你好你好", 6, "你好…")]
)
def test_names_are_cut_by_the_columns_they_take(name: str, width: int, cut: str) -> None:
    assert fitted(name, width) == cut
    assert cell_len(fitted(name, width)) <= width


def test_show_prints_texts_the_most_telling_head_and_the_errors() -> None:
    out = io.StringIO()
    cross = attention(("x",), ("a", "b"), kind="cross", address="decoder.0.cross_attention", heads=1)
    show(maps(attention(), cross, texts={"source": "a\u202eb"}), Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert lines[0] == "source: a⟨U+202E⟩b"
    assert lines[1] == "decoder.0.cross_attention · head 0 of 1"
    assert lines[-1] == "max|rows - 1| 3.0e-07, max|map V - output| 5.0e-07"
