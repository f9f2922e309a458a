"""The views of the page in a browser: what a page without all rows shows and says, pairs, steps, comparison, table."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from attncli.maps.page import assemble
from attncli.maps.record import AttentionMap, Maps, Sample
from tests.maps.browser import CHROMIUM, WITHOUT, Page, browser
from tests.maps.made import attention, maps

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT)

SAVED = """(async () => {
  const blobs = [], make = URL.createObjectURL;
  URL.createObjectURL = (blob) => { blobs.push(blob); return 'blob:none'; };
  HTMLAnchorElement.prototype.click = () => {};
  document.getElementById('%s').click();
  while (!blobs.length) await new Promise((done) => setTimeout(done, 10));
  const bytes = new Uint8Array(await blobs[0].arrayBuffer());
  return [blobs[0].type, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))];
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(page: Page, folder: Path, maps: Maps, fragment: str = "", budget: int = 20_000_000) -> None:
    path = folder / "attention.html"
    path.write_text(assemble(maps, budget), "utf-8")
    page.call("Page.navigate", url="about:blank")
    page.open(path, fragment)
    assert page.complaints() == []


def text_of(page: Page, selector: str) -> str:
    return str(page.value(f"document.querySelector({json.dumps(selector)}).textContent"))


def cross(seed: int, written: str = "xyz") -> AttentionMap:
    return attention(tuple("^" + written[:-1]), tuple("abcd"), kind="cross", writes=tuple(written), seed=seed,
                     address="decoder.0.cross_attention")  # fmt: skip


def beams() -> Maps:
    samples = [Sample({"source": "abcd", "prediction": text}, (cross(i, text),), f"beam {i + 1} of 2", -1.0 - i)
               for i, text in enumerate(("xyz", "xw"))]  # fmt: skip
    return Maps(tuple(samples), {"run": "dates"})


def test_a_page_without_all_rows_says_what_it_shows_and_knows_the_top_keys(page: Page, tmp_path: Path) -> None:
    words = [f"w{i}" for i in range(300)]
    one = attention(words, words, heads=2, causal=True)
    query, key = 250, int(one.summary.top_keys[1, 250, 2])
    show(page, tmp_path, maps(one), f"#head=1&query={query}&key={key}", 200_000)
    assert "the 8 largest weights of every row" in text_of(page, "#shows")
    weight = one.summary.top_weights[1, 250, 2]
    shown = text_of(page, "#selected b")
    assert float(shown) == pytest.approx(weight, abs=0.003)
    assert "rank 3 of 300" in text_of(page, "#selected")
    other = next(k for k in range(250) if k not in one.summary.top_keys[1, 250])
    show(page, tmp_path, maps(one), f"#head=1&query={query}&key={other}", 200_000)
    assert text_of(page, "#selected b") == "not on this page"
    assert "not among the 8 largest of its row · its cell of 4 × 4: mean" in text_of(page, "#selected")
    for view in ("lines", "text", "pairs", "steps", "compare", "table", "heat"):
        page.value(f"document.getElementById('tab-{view}').click()")
    assert page.complaints() == []


@pytest.mark.parametrize("spread", [0.05, 2.0, 9.0])
def test_the_page_inflates_what_python_deflates(page: Page, tmp_path: Path, spread: float) -> None:
    """Stored, fixed and dynamic blocks: near-random, ordinary and near-empty arrays."""
    words = [f"w{i}" for i in range(90)]
    one = attention(words, words, heads=1, sharp=spread, causal=spread > 5)
    if spread > 5:  # long runs of zeros
        words = [f"w{i}" for i in range(400)]
        one = attention(words, words, heads=1)
        one.whole()[0] = np.eye(400, k=7, dtype=np.float32) + np.eye(400, k=7 - 400, dtype=np.float32)
    show(page, tmp_path, maps(one), "#view=pairs")
    found = text_of(page, ".alignment").split()
    assert found == [f"{q}-{k}" for q, k in enumerate(one.whole()[0].astype(np.float16).argmax(-1))]


def test_pairs_are_moved_through_by_keys(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, beams(), "#view=pairs&query=0&key=0")
    page.value("document.querySelector('.map').focus()")
    page.press("ArrowRight", "ArrowUp")
    assert text_of(page, "#selected").startswith("y → b ")


def test_steps_show_what_each_hypothesis_had_written(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, beams(), "#view=steps&query=1&key=0")
    shown = page.value("[...document.querySelectorAll('.so-far')].map((line) => line.textContent.trim())")
    assert shown == ["x y", "x w"]
    assert "log-probability -2.000" in text_of(page, ".hypotheses > :last-child .choose")
    page.value("document.querySelector('.stepper input').focus()")
    page.press("ArrowRight")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    assert page.value("document.querySelectorAll('.so-far')[0].textContent.trim()") == "x y z"
    assert "(ended)" in str(page.value("document.querySelectorAll('.so-far')[1].textContent"))


def test_two_samples_are_compared_and_heads_ranked(page: Page, tmp_path: Path) -> None:
    one, two = attention(heads=3, seed=1), attention(heads=3, seed=2)
    two.whole()[1] = one.whole()[1]
    both = Maps((Sample({"text": "a b c"}, (one,), "forced"),), {"run": "first"})
    beside = Maps((Sample({"text": "a b c"}, (two,), "forced"),), {"run": "second"})
    path = tmp_path / "attention.html"
    path.write_text(assemble(both, beside=beside), "utf-8")
    page.call("Page.navigate", url="about:blank")
    page.open(path, "#view=compare&head=0&query=1&key=2")
    assert page.complaints() == []
    a, b = (each.whole()[0, 1, 2].astype(np.float16).astype(float) for each in (one, two))  # as the page has them
    assert text_of(page, "#panel .note").startswith(f"A {a:.3f} · B {b:.3f} · A − B {a - b:.3f}")
    page.value("new Promise((done) => setTimeout(done, 200))")
    ranked = page.value("[...document.querySelectorAll('.ranking tr')].slice(1).map((row) => row.textContent)")
    changed = np.abs(one.whole() - two.whole()).sum(-1).mean(-1) / 2
    assert [int(row[-6]) for row in ranked] == np.argsort(-changed).tolist()
    np.testing.assert_allclose([float(row[-5:]) for row in ranked], np.sort(changed)[::-1], atol=1e-3)


def test_heads_of_two_runs_are_compared_with_those_they_are_like(page: Page, tmp_path: Path) -> None:
    one, two = attention(heads=2, seed=1), attention(heads=2, seed=2)
    text = {"text": "a b c"}
    match = {"address": one.address, "head": 0, "other": 1, "divergence": 0.25, "low": 0.2, "high": 0.3}
    path = tmp_path / "attention.html"
    beside = Maps((Sample(text, (two,), "forced"),), {"run": "second"})
    path.write_text(assemble(Maps((Sample(text, (one,), "forced"),), {"run": "first"}), beside=beside,
                             matches=[match]), "utf-8")  # fmt: skip
    page.call("Page.navigate", url="about:blank")
    page.open(path, "#view=compare&head=0&query=1&key=2")
    a, b = np.float16(one.whole()[0, 1, 2]), np.float16(two.whole()[1, 1, 2])  # as the page has them
    said = f"head 0 of A is most like head 1 of B · A {a:.3f} · B {b:.3f}"
    assert text_of(page, "#panel .note").startswith(said)
    assert "encoder.0.attention · 010.250" in text_of(page, ".ranking")
    assert page.complaints() == []


def test_the_table_sorts_by_any_column_and_names_roles(page: Page, tmp_path: Path) -> None:
    words = tuple("abcdefgh")
    one = attention(words, words, heads=3, causal=True)
    one.whole()[1] = np.eye(8, k=-1, dtype=np.float32)
    one.whole()[1, 0, 0] = 1
    show(page, tmp_path, maps(one), "#view=table")
    page.value("document.querySelector('th[data-name=entropy] button').click()")
    values = page.value(
        "[...document.querySelectorAll('.figures tbody tr')].map((row) => Number(row.children[2].textContent))"
    )
    assert values == sorted(values, reverse=True)
    assert page.value("document.querySelector('th[data-name=entropy]').getAttribute('aria-sort')") == "descending"
    assert "previous 1.00" in text_of(page, ".figures")
    page.value("{ const sort = document.getElementById('sort'); sort.value = 'role:previous'; "
               "sort.dispatchEvent(new Event('change')); }")  # fmt: skip
    assert text_of(page, ".head .name") == "encoder.0.attention · 1"


def test_a_head_is_saved_as_png_and_as_svg(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, maps(attention(("<b>&", "你好"), ('"q"', "x"))))
    kind, text = page.value(SAVED % "save-svg")
    assert kind == "image/svg+xml"
    drawn = ElementTree.fromstring(base64.b64decode(text))
    words = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"<b>&", "你好", '"q"', "x", "0", "1"} <= set(words)
    show(page, tmp_path, maps(attention(("<b>&", "你好"), ('"q"', "x"))))
    kind, text = page.value(SAVED % "save-png")
    assert kind == "image/png"
    assert base64.b64decode(text).startswith(b"\x89PNG")
    assert page.complaints() == []


def test_weights_below_zero_are_shown(page: Page, tmp_path: Path) -> None:
    one = attention()
    one.whole()[0, 1, 1] = -0.25
    show(page, tmp_path, maps(one), "#head=0&query=1&key=1")
    assert text_of(page, "#selected b") == "-0.250"
    assert text_of(page, "#legend span") == "−1"
