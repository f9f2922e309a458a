"""The page for everyone: audited by axe in both themes, by keys alone, on paper, and without a network."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from attncli.maps.page import assemble
from attncli.maps.record import Maps, Sample
from tests.maps.browser import ARTIFACTS, AXE, CHROMIUM, WITHOUT, Page, browser
from tests.maps.made import attention

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT)

VIEWS = ("heat", "lines", "text", "pairs", "steps", "compare", "table")
AUDIT = """axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations.map((one) =>
  `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).slice(0, 3).join(', ')}`))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Two hypotheses of a text in three writing systems."""
    words, written = ("the", "cat", "sat", "你好", "👩"), ("die", "Katze", "saß", "שלום", "[EOS]")
    samples = []
    for number in range(2):
        maps = (attention(words, words, heads=4, seed=number),
                attention(("[BOS]", *written[:-1]), words, kind="cross", heads=4, writes=written, seed=9 + number,
                          address="decoder.0.cross_attention"))  # fmt: skip
        samples.append(Sample({"source": " ".join(words), "prediction": " ".join(written)}, maps, "beam of 2",
                              -1.5 - number))  # fmt: skip
    path = tmp_path_factory.mktemp("page") / "attention.html"
    path.write_text(assemble(Maps(tuple(samples), {"run": "made up"})), "utf-8")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
        opened.open(path)
        yield opened


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core: `make browser` fetches it")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_audit_of_every_view_finds_nothing(page: Page, theme: str) -> None:
    page.value(AXE.read_text("utf-8") + ";0")
    page.value(f"if (document.documentElement.dataset.theme !== '{theme}') document.getElementById('theme').click()")
    page.value(f"if (document.documentElement.dataset.theme !== '{theme}') document.getElementById('theme').click()")
    found: dict[str, Any] = {}
    for view in VIEWS:
        page.value(f"document.getElementById('tab-{view}').click()")
        page.value("new Promise((done) => setTimeout(done, 60))")
        page.picture(f"page-{view}-{theme}")
        if violations := page.value(AUDIT):
            found[view] = violations
    assert found == {}


def test_every_view_is_reached_by_the_tab_key_and_arrows(page: Page) -> None:
    page.value("document.getElementById('tab-heat').click(); document.getElementById('tab-heat').focus()")
    reached = []
    for _ in VIEWS:
        reached.append(page.value("document.querySelector('[role=tab][aria-selected=true]').id"))
        page.press("ArrowRight")
    assert reached == [f"tab-{view}" for view in VIEWS]
    for view in VIEWS:
        page.value(f"document.getElementById('tab-{view}').click(); document.getElementById('detail').focus()")
        page.value("document.getElementById('save-svg').focus()")
        for _ in range(6):
            page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
            if page.value("document.getElementById('panel').contains(document.activeElement)"):
                break
        else:
            pytest.fail(f"{view}: the Tab key does not lead into it")


def test_what_is_selected_is_announced(page: Page) -> None:
    page.value("document.getElementById('tab-heat').click(); document.querySelector('.map').focus()")
    before = page.value("document.getElementById('selected').textContent")
    page.press("ArrowDown", "ArrowRight")
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    lives = [node for node in tree if node.get("role", {}).get("value") == "status"]
    assert any(
        item["name"] == "live" and item["value"]["value"] == "polite" for node in lives for item in node["properties"]
    )
    after = page.value("document.getElementById('selected').textContent")
    assert after != before
    assert page.value("document.activeElement.getAttribute('aria-describedby')") == "selected"


def test_on_paper_there_are_maps_and_no_controls(page: Page) -> None:
    page.value("document.getElementById('tab-heat').click()")
    page.call("Emulation.setEmulatedMedia", media="print")
    try:
        shown = page.value("['#views', '#theme', '#sort', '.map', '#proof', '#legend', '.thumb'].map((what) => "
                           "document.querySelector(what).getClientRects().length > 0)")  # fmt: skip
        assert shown == [False, False, False, True, True, True, True]
        ink = page.value("getComputedStyle(document.body).color")
        assert ink == "rgb(0, 0, 0)"
    finally:
        page.call("Emulation.setEmulatedMedia", media="")
    paper = base64.b64decode(page.call("Page.printToPDF", printBackground=True)["data"])
    assert paper.startswith(b"%PDF")
    ARTIFACTS.mkdir(exist_ok=True)
    (ARTIFACTS / "page.pdf").write_bytes(paper)


def test_a_dark_page_is_drawn_in_light_for_paper_and_dark_again_after_it(page: Page) -> None:
    page.value("document.getElementById('tab-heat').click(); document.getElementById('theme').click()")
    if page.value("document.documentElement.dataset.theme") != "dark":
        page.value("document.getElementById('theme').click()")
    brightness = """(() => { const map = document.querySelector('#panel .map'), size = [map.width, map.height];
      const names = map.getContext('2d').getImageData(0, 0, ...size).data;
      let most = 0;
      for (let i = 0; i < 4 * size[0] * 12; i += 4) if (names[i + 3] > 200) most = Math.max(most, names[i]);
      return most; })()"""
    seen = [page.value(brightness)]
    for event in ("beforeprint", "afterprint"):
        page.value(f"dispatchEvent(new Event('{event}'))")
        seen.append(page.value(brightness))
    assert seen[1] < 140 < seen[0] == seen[2]
    assert page.value("document.documentElement.dataset.theme") == "dark"
    page.value("document.getElementById('theme').click()")


def test_without_a_network_the_page_is_the_same_and_asks_for_nothing(page: Page) -> None:
    page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    try:
        refused = page.value("fetch('https://example.org').then(() => 'answered', () => 'refused')")
        assert refused == "refused"
        path = Path(unquote(urlsplit(page.value("location.href")).path))
        page.call("Page.navigate", url="about:blank")
        page.open(path)
        for view in VIEWS:
            page.value(f"document.getElementById('tab-{view}').click()")
            assert page.value("document.getElementById('panel').children.length > 0"), view
        assert page.complaints() == []
        assert [address.partition("#")[0] for address in page.asked()] == [path.as_uri()]
    finally:
        page.call(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )


def test_the_scale_is_printed_and_its_colours_rise_in_lightness(page: Page) -> None:
    page.value("document.getElementById('tab-heat').click()")
    for name in ("viridis", "cividis", "grey"):
        page.value(f"{{ const pick = document.getElementById('colours'); pick.value = {json.dumps(name)}; "
                   "pick.dispatchEvent(new Event('change')); }")  # fmt: skip
        pixels = page.value("(() => { const canvas = document.querySelector('#legend canvas'); return Array.from("
                            "canvas.getContext('2d').getImageData(0, 0, 256, 1).data); })()")  # fmt: skip
        light = [0.2126 * pixels[i] + 0.7152 * pixels[i + 1] + 0.0722 * pixels[i + 2] for i in range(0, 1024, 4)]
        steps = [b - a for a, b in zip(light[::8], light[8::8], strict=False)]
        assert all(step > 0 for step in steps) or all(step < 0 for step in steps), name
        assert page.value("document.getElementById('legend').textContent").startswith("01")
