"""What a page shows beside maps: training, importance, means over rows, other maps, claims; others have none of it."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from attncli.maps.claims import judge, read_claims
from attncli.maps.page import assemble, encoding
from attncli.maps.page.further import FILMED, LOOKS, Further, film
from attncli.maps.record import Maps, Sample
from attncli.maps.summary import STATISTICS
from tests.maps.browser import AXE, CHROMIUM, WITHOUT, Page, browser
from tests.maps.made import attention
from tests.maps.test_page import HOSTILE, data_of
from tests.maps.test_page_everyone import AUDIT
from tests.maps.test_page_views import SAVED, text_of

ADDRESS, CROSS = "encoder.0.attention", "decoder.0.cross_attention"
SIGN = "looks at one key alone (collapsed)"


@dataclass(frozen=True)
class Made:
    """A map of a method, as attncli/analysis/explaining.py makes them."""

    method: str
    address: str
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    values: np.ndarray[Any, np.dtype[np.float64]]


def line(step: int, entropy: float, alerts: tuple[str, ...] = ()) -> dict[str, Any]:
    heads = {address: {name: [entropy, 0.5] for name in FILMED} for address in (ADDRESS, CROSS)}
    return {"step": step, "split": "heads", "heads": heads, "signs": [], "alerts": list(alerts)}


def sample() -> Sample:
    own = attention(("a", "b", "c"), ("a", "b", "c"))
    cross = attention(("^", "x"), ("a", "b", "c"), kind="cross", address=CROSS, writes=("x", "$"), seed=4)
    return Sample({"source": "abc", "prediction": "x"}, (own, cross), "greedy", -0.5)


def rated() -> dict[str, Any]:
    heads = [
        {"address": address, "head": head, "masked": lost, "masked_low": lost - 0.1, "masked_high": lost + 0.1,
         "gradient": 1e-3, "gradient_low": float("nan"), "gradient_high": float("nan")}
        for address, head, lost in ((CROSS, 1, 0.9), (ADDRESS, 0, 0.4), (ADDRESS, 1, 0.05), (CROSS, 0, -0.01))
    ]  # fmt: skip
    faithful = {"score": 0.25, "low": 0.2, "high": 0.3, "left": [1, 2, 3], "ordered": [0.5, 0.2, 0.1],
                "random": [0.8, 0.6, 0.2], "samples": 4, "orders": 4}  # fmt: skip
    return {"rows": "valid", "heads": heads, "loss": 0.125, "samples": 8, "agreement": 0.5, "agreement_low": 0.1,
            "agreement_high": 0.9, "faithfulness": faithful,
            "faithfulness_of_keys": {"field": "source", **faithful}}  # fmt: skip


def counted() -> dict[str, Any]:
    """What --summary tells, attncli/analysis/overview.py; of the last head one text alone."""
    heads = [
        {"address": address, "head": head, "samples": 8,
         "statistics": dict.fromkeys(STATISTICS, (mean, mean - half, mean + half))}
        for address, head, mean, half in ((ADDRESS, 0, 0.5, 0.1), (ADDRESS, 1, 0.25, 0.02), (CROSS, 0, 0.75, 0.05),
                                          (CROSS, 1, 0.125, float("nan")))
    ]  # fmt: skip
    rates = [{"address": CROSS, "head": None, "row": "written", "alignment_error_rate": 0.25}]
    return {"rows": "valid", "heads": heads, "alignments": rates}


def everything() -> tuple[Maps, Further]:
    whole = Maps((sample(),), {"run": "dates"})
    own, cross = whole.samples[0].attentions
    gradient = np.array([[[3.0, -1.5, 0.25]] * 2, [[0.0, 0.5, 0.0]] * 2])
    maps = (
        (0, Made("gradient", CROSS, cross.queries, cross.keys, gradient)),
        (0, Made("rollout", ADDRESS, own.queries, own.keys, np.full((1, 3, 3), 1 / 3))),
    )
    looks = [line(10 * i, 0.9 - 0.02 * i, (f"{CROSS}:1 {SIGN}",) if 20 <= i < 30 else ()) for i in range(1, 41)]
    refused = {"gradient": {ADDRESS: "its <b>position</b> adds values"}, "rollout": {}}
    claims = judge(whole, read_claims("no_leak; entropy(encoder.0.attention) < 0.1"))
    return whole, Further(looks, rated(), counted(), maps, refused, claims)


def test_a_page_without_them_carries_no_byte_of_them() -> None:
    whole, further = everything()
    plain, other = assemble(whole), assemble(whole, further=Further())
    assert plain == other
    for word in ("film", "importance", "Over rows", "rollout", "Assertions"):
        assert word not in plain.replace("further", "")
        assert word in assemble(whole, further=further)


def test_a_film_has_its_first_and_last_look_and_when_alerts_stood() -> None:
    alert = f"{ADDRESS}:1 {SIGN}"
    made = film(
        [line(step, step / 2000, (alert,) if 500 <= step <= 700 or step > 1990 else ()) for step in range(2000)]
    )
    steps, shape = made["steps"], (LOOKS, 4)
    assert (len(steps), steps[0], steps[-1]) == (LOOKS, 0, 1999)
    values = np.frombuffer(encoding.unpack(made["packed"]["entropy"]), np.uint8).reshape(shape) / encoding.LEVELS
    np.testing.assert_allclose(values[:, 0], np.array(steps) / 2000, atol=0.5 / encoding.LEVELS)
    assert made["places"] == [(ADDRESS, 0), (ADDRESS, 1), (CROSS, 0), (CROSS, 1)]
    first, last = made["alerts"]
    assert (first["row"], first["sign"]) == (1, SIGN)
    assert [abs(steps[first["from"]] - 500) < 6, abs(steps[first["to"]] - 700) < 6] == [True, True]
    assert steps[last["to"]] == 1999


def test_a_map_of_a_method_lies_on_the_weights_or_says_why_not() -> None:
    whole, further = everything()
    ahead = replace(sample().attentions[0], keys=("[key]", "b", "c"), ahead=1)
    learned = Maps((Sample({"text": "abc"}, (ahead,), "forced"),), {"run": "dates"})
    values = np.arange(12.0).reshape(2, 3, 2)
    fitting = Made("norm", ADDRESS, ahead.queries, ("b", "c"), values)
    entry = data_of(assemble(learned, further=Further(explained=((0, fitting),))))["samples"][0]["attentions"][0]
    rows = entry["further"]["norm"]["rows"]
    found = encoding.decode(rows, (2, 3, 3)) * rows["scale"]
    np.testing.assert_allclose(found[:, :, 1:], values, rtol=1e-3)
    assert (found[:, :, 0] == 0).all()
    other = replace(fitting, keys=("b", "d"))
    data = data_of(assemble(learned, further=Further(explained=((0, other),))))
    assert data["further"] == {"norm": {ADDRESS: "the text that was written is read as other tokens"}}
    tight = data_of(assemble(whole, 160_500, further=further))
    assert tight["further"]["rollout"][ADDRESS] == "there was no room for it (--page-budget)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
        yield opened


def show(page: Page, folder: Path, fragment: str, made: tuple[Maps, Further] | None = None) -> None:
    whole, further = made or everything()
    path = folder / "attention.html"
    path.write_text(assemble(whole, further=further), "utf-8")
    page.call("Page.navigate", url="about:blank")
    page.open(path, fragment)
    assert page.complaints() == []


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT)


@needs_browser
def test_the_film_is_walked_through_by_keys_and_said_aloud(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, "#view=film&attention=1&head=0")
    assert text_of(page, "#selected") == (
        f"{CROSS} · head 0 at step 400: entropy 0.10 · peak 0.10 · output 0.10 · nearest 0.10"
    )
    page.value("document.querySelector('#panel .map').focus()")
    page.press("ArrowDown", *["ArrowLeft"] * 15)
    assert text_of(page, "#detail-title") == f"{CROSS} · head 1"
    assert text_of(page, "#selected").startswith(f"{CROSS} · head 1 at step 250: entropy 0.50")
    assert text_of(page, "#selected").endswith(f"alert: {SIGN}")
    page.press("Home", "ArrowUp", "ArrowUp")
    assert text_of(page, "#selected").startswith(f"{ADDRESS} · head 1 at step 10: ")
    assert "200290" in text_of(page, "#panel table")
    page.value("document.querySelector('#panel table button').click()")
    assert text_of(page, "#selected").startswith(f"{CROSS} · head 1 at step 200: ")
    assert page.value("document.getElementById('selected').getAttribute('aria-live')") == "polite"


@needs_browser
def test_heads_are_ranked_by_what_is_lost_without_them(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, "#view=importance&attention=1&head=1")
    assert text_of(page, "#selected") == (
        f"{CROSS} · head 1 rank 1 of 4 · loss without it 0.9000 ± 0.1000 nats a label · |dL/dξ| 1.0e-3"
    )
    assert "0.250 [0.200, 0.300]" in text_of(page, "#panel")
    page.value("document.querySelector('#panel .map').focus()")
    page.press("ArrowDown")
    assert text_of(page, "#detail-title") == f"{ADDRESS} · head 0"
    page.press("End")
    assert text_of(page, "#selected").startswith(f"{CROSS} · head 0 rank 4 of 4 · loss without it -0.0100")
    page.value("{ const sort = document.getElementById('sort'); sort.value = 'lost'; "
               "sort.dispatchEvent(new Event('change')); }")  # fmt: skip
    values = page.value("[...document.querySelectorAll('.head .value')].map((value) => value.textContent)")
    assert values == ["0.9000", "0.4000", "0.0500", "-0.0100"]


@needs_browser
def test_statistics_over_rows_stand_beside_those_of_this_text(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, "#view=rows&attention=0&head=1")
    here = everything()[0].samples[0].attentions[0].summary.statistics["entropy"][1]
    assert text_of(page, "#selected").startswith(
        f"{ADDRESS} · head 1 over 8 texts of valid: entropy 0.250 ± 0.020, here {here:.2f} · information 0.250"
    )
    names = "[...document.querySelectorAll('#panel tbody tr')].map((row) => row.firstChild.textContent)"
    assert page.value(names) == [f"{ADDRESS} · 0", f"{ADDRESS} · 1", f"{CROSS} · 0", f"{CROSS} · 1"]
    page.value("document.querySelector(\"#panel th[data-name='peak'] button\").click()")
    assert page.value(names) == [f"{CROSS} · 0", f"{ADDRESS} · 0", f"{ADDRESS} · 1", f"{CROSS} · 1"]
    assert page.value("document.querySelector(\"#panel th[data-name='peak']\").ariaSort") == "descending"
    page.value("document.querySelector('#panel tbody tr:last-child button').click()")
    assert text_of(page, "#detail-title") == f"{CROSS} · head 1"
    assert text_of(page, "#selected").startswith(f"{CROSS} · head 1 over 8 texts of valid: entropy 0.125, here ")
    assert page.value(names)[0] == f"{CROSS} · 0", "the order stays"
    assert page.value("document.querySelectorAll('#panel tr.chosen').length") == 1
    assert f"{CROSS} · mean of heads" in text_of(page, "#panel")
    assert page.complaints() == []


@needs_browser
def test_another_map_is_chosen_beside_the_weights(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, "#attention=1&head=0&query=0&key=1")
    choose = "{ const pick = document.getElementById('method'); pick.value = '%s'; " \
             "pick.dispatchEvent(new Event('change')); }"  # fmt: skip
    assert page.value("[...document.getElementById('method').options].map((one) => one.textContent)") == [
        "weights", "gradient"]  # fmt: skip
    page.value(choose % "gradient")
    page.press("Home")
    assert "-1.5 · gradient · rank 2 of 3" in text_of(page, "#selected") or "3 · gradient" in text_of(page, "#selected")
    assert "In nats, with a sign" in text_of(page, "#detail")
    assert text_of(page, "#legend span") == "−3"
    for view in ("lines", "text", "pairs", "steps", "compare", "table", "heat"):
        page.value(f"document.getElementById('tab-{view}').click()")
    assert "method=gradient" in page.value("location.hash")
    page.value("document.querySelector(\".head[data-place='0/1']\").click()")
    assert page.value("document.getElementById('method').value") == ""
    assert "its <b>position</b> adds values" in text_of(page, "#detail")
    page.value(choose % "rollout")
    assert "One map for all heads together" in text_of(page, "#detail")
    assert "0.333 · rollout" in text_of(page, "#selected")
    assert page.complaints() == []


@needs_browser
def test_assertions_stand_beside_the_certificate(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, "")
    told = page.value("[...document.querySelectorAll('.claims li')].map((one) => one.textContent)")
    assert told[0].startswith("✓ holds: no_leak · at most 0 weight")
    assert told[1].startswith("✗ fails: entropy(encoder.0.attention) < 0.1 · ")


@needs_browser
@pytest.mark.parametrize("view", ["film", "importance"])
def test_what_they_draw_is_saved(page: Page, tmp_path: Path, view: str) -> None:
    show(page, tmp_path, f"#view={view}")
    kind, text = page.value(SAVED % "save-svg")
    assert kind == "image/svg+xml"
    drawn = ElementTree.fromstring(base64.b64decode(text))
    words = [element.text or "" for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert any(f"{CROSS} · 0" in word for word in words)
    show(page, tmp_path, f"#view={view}")
    kind, text = page.value(SAVED % "save-png")
    assert kind == "image/png"
    assert base64.b64decode(text).startswith(b"\x89PNG")


@needs_browser
def test_hostile_tokens_run_nothing_in_them(page: Page, tmp_path: Path) -> None:
    one = attention(HOSTILE, HOSTILE, heads=1)
    values = one.whole().astype(np.float64)
    further = replace(everything()[1], explained=((0, Made("norm", ADDRESS, HOSTILE, HOSTILE, values)),))
    made = (Maps((Sample({"text": HOSTILE[0]}, (one,), "forced"),), {"run": HOSTILE[3]}), further)
    for fragment in ("#method=norm", "#method=norm&view=text", "#view=film", "#view=importance", "#view=rows",
                     "#method=__proto__"):  # fmt: skip
        show(page, tmp_path, fragment, made)
        assert page.value("document.querySelectorAll('script').length") == 2
        assert page.value("document.querySelectorAll('img').length") == 0


@needs_browser
def test_an_audit_finds_nothing_and_a_phone_needs_no_sideways_scrolling(page: Page, tmp_path: Path) -> None:
    for fragment in ("#view=film", "#view=importance", "#view=rows", "#method=gradient&attention=1"):
        for theme in ("light", "dark"):
            show(page, tmp_path, fragment)
            page.value(f"document.documentElement.dataset.theme = '{theme}'; dispatchEvent(new Event('resize'))")
            page.picture(f"page-{fragment[1:]}-{theme}")
            if AXE.exists():
                page.value(AXE.read_text("utf-8") + ";0")
                assert page.value(AUDIT) == [], fragment
        page.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=2, mobile=True)
        try:
            show(page, tmp_path, fragment)
            assert page.value("document.documentElement.scrollWidth") == 360, fragment
        finally:
            page.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)


@needs_browser
def test_on_paper_they_are_drawn(page: Page, tmp_path: Path) -> None:
    for view in ("film", "importance"):
        show(page, tmp_path, f"#view={view}")
        page.call("Emulation.setEmulatedMedia", media="print")
        try:
            shown = page.value("['#views', '#panel .map', '#selected'].map((what) => "
                               "document.querySelector(what).getClientRects().length > 0)")  # fmt: skip
            assert json.dumps(shown) == "[false, true, true]"
        finally:
            page.call("Emulation.setEmulatedMedia", media="")
