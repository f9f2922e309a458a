"""The page as a file: it needs nothing, runs nothing but its own script, and holds the weights that it was given."""

import base64
import hashlib
import html
import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attncli.maps import page
from attncli.maps.claims import Claim, Verdict
from attncli.maps.page import encoding, packing
from attncli.maps.page.further import Further
from attncli.maps.record import Maps, Rows
from tests.maps.made import BAD, attention, maps

HOSTILE = (
    "</script><script>alert(1)</script>", "<!--", "-->", "<img src=x onerror=alert(1)>", "\u2028\u2029",
    "\u202eevil", "a\x00b", "👩\u200d👧", "你好", "&lt;", "{{script}}", "x" * 10_000, "", "\ud800", "\\u003c",
)  # fmt: skip


class Reader(HTMLParser):
    """Elements of a page, and the text in its style and script elements."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._place = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._place = f"{tag} {dict(attrs).get('type', '')}".strip() if tag in ("script", "style", "title") else ""

    def handle_endtag(self, tag: str) -> None:
        self._place = ""

    def handle_data(self, data: str) -> None:
        if self._place:
            self.inside[self._place] = self.inside.get(self._place, "") + data


def data_of(text: str) -> dict[str, Any]:
    return dict(json.loads(Reader(text).inside["script application/json"]))


def shown(whole: Maps) -> list[np.ndarray[Any, Any]]:
    """The weights of every map as the page decodes them."""
    data = data_of(page.assemble(whole))
    return [
        encoding.decode(entry["rows"], tuple(entry["shape"]))
        for sample in data["samples"]
        for entry in sample["attentions"]
    ]


@given(st.text(st.characters(codec=None)))
def test_escaped_json_is_the_same_document_and_cannot_end_its_element(text: str) -> None:
    escaped = page.escape(json.dumps({text: text}, ensure_ascii=False))
    assert not set(escaped) & set("<>&\u2028\u2029")
    assert json.loads(escaped) == {text: text}


@given(st.lists(st.text(st.characters(codec=None)), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_no_token_changes_the_elements_of_the_page(tokens: list[str]) -> None:
    plain = Reader(page.assemble(maps(texts={"text": "a"})))
    other = Reader(page.assemble(maps(attention(tokens, tokens), texts={"text": tokens[0], tokens[0]: "x"})))
    assert [tag for tag, _ in plain.tags] == [tag for tag, _ in other.tags]
    assert plain.inside["script"] == other.inside["script"]


def test_hostile_tokens_are_shown_and_never_markup() -> None:
    text = page.assemble(maps(attention(HOSTILE, HOSTILE), texts={"text": "".join(HOSTILE)}))
    assert "alert(1)</script>" not in text
    assert "\u202e" not in text
    assert "\x00" not in text
    labels = data_of(text)["samples"][0]["axes"][0]
    assert labels[0] == HOSTILE[0]
    assert labels[5] == "⟨U+202E⟩evil"
    assert labels[11] == "x" * 10_000
    text.encode()  # a lone surrogate would not pass


def test_nothing_of_the_page_reaches_for_the_network() -> None:
    text = page.assemble(maps())
    namespace = "http://www.w3.org/2000/svg"  # of the drawings that it makes; a name, no address
    assert "http" not in text.replace("http-equiv", "").replace(namespace, "", 1).lower()
    for forbidden in ("//cdn", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon", "eval(",
                      "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "import("):  # fmt: skip
        assert forbidden not in text, forbidden
    assert not [
        tag for tag, _ in Reader(text).tags if tag in ("link", "img", "iframe", "object", "embed", "base", "form")
    ]


def test_the_policy_admits_this_script_and_this_style_and_nothing_else() -> None:
    read = Reader(page.assemble(maps()))
    policy = next(attrs["content"] for tag, attrs in read.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy or "").split(";"))

    def hash_of(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    assert rules == {
        "default-src": "'none'",
        "script-src": hash_of(read.inside["script"]),
        "style-src": hash_of(read.inside["style"]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert not [attrs for _, attrs in read.tags if any(name == "style" or name.startswith("on") for name in attrs)]


def test_weights_come_back_as_half_floats_and_what_is_above_zero_stays_there() -> None:
    one = attention(heads=3, causal=True, sharp=12.0)
    one.whole()[0, 2, 0] = 1e-30
    (found,) = shown(maps(one))
    np.testing.assert_allclose(found, one.whole(), rtol=1e-3, atol=6e-8)
    assert np.array_equal(found > 0, one.whole() > 0)


@pytest.mark.parametrize("signed", [False, True])
def test_many_weights_are_bytes_on_the_scale_of_their_map(monkeypatch: pytest.MonkeyPatch, signed: bool) -> None:
    monkeypatch.setattr(packing, "HALVES", 30)
    one = attention(list("abcdefgh"), list("abcdefgh"), causal=True)
    if signed:
        one.whole()[0, 3] *= -1
    entry = data_of(page.assemble(maps(one)))["samples"][0]["attentions"][0]
    assert entry["rows"]["encoding"] == ("int8" if signed else "uint8")
    (found,) = shown(maps(one))
    codes = np.frombuffer(b"".join(map(encoding.unpack, entry["rows"]["heads"])), np.int8 if signed else np.uint8)
    assert np.array_equal(codes.reshape(one.whole().shape) != 0, one.whole() != 0)
    levels = encoding.SIGNED_LEVELS if signed else encoding.LEVELS
    np.testing.assert_allclose(found, one.whole(), atol=entry["rows"]["scale"] / levels / 2 * 1.001)


def long_maps(heads: tuple[int, ...] = (), *, queries: range = range(600)) -> Maps:
    """Two maps of 600 places whose full rows fit no page of 450 kB."""
    words = [f"w{i}" for i in range(600)]
    whole = [attention(words, words, heads=3, causal=True, seed=seed, address=f"encoder.{seed}.attention")
             for seed in range(2)]  # fmt: skip
    if heads:
        first = whole[0]
        rows = Rows(heads, queries, first.whole()[list(heads), queries.start : queries.stop])
        whole[0] = replace(first, weights=None, reduced=first.summary, rows_kept=rows)
    return maps(*whole)


def test_a_page_that_has_no_room_for_rows_shows_overviews_and_top_keys() -> None:
    text = page.assemble(long_maps(), 450_000)
    data = data_of(text)
    assert len(text.encode()) <= 450_000
    assert data["shows"] == {"detail": "top", "heads": 0, "left_out": 0}
    for entry, one in zip(data["samples"][0]["attentions"], long_maps().samples[0].attentions, strict=True):
        assert entry["rows"] is None
        summary = one.summary
        keys = np.frombuffer(b"".join(map(encoding.unpack, entry["top"]["keys"])), "<u2")
        assert np.array_equal(keys.reshape(summary.top_keys.shape), summary.top_keys.astype("<u2"))
        weights = encoding.decode(entry["top"]["weights"], summary.top_weights.shape)
        np.testing.assert_allclose(weights, summary.top_weights, atol=entry["top"]["weights"]["scale"] / 500)
        for name in ("largest", "mean"):
            cells = getattr(summary.overview, name)
            seen = entry["overview"][name]
            np.testing.assert_allclose(encoding.decode(seen, cells.shape), cells, atol=seen["scale"] / 500)


def test_rows_of_heads_that_were_named_are_added_while_there_is_room() -> None:
    data = data_of(page.assemble(long_maps((0, 2), queries=range(100, 300)), 450_000))
    first = data["samples"][0]["attentions"][0]
    assert data["shows"] == {"detail": "top", "heads": 2, "left_out": 0}
    assert [text is not None for text in first["rows"]["heads"]] == [True, False, True]
    assert (first["rows"]["first"], first["rows"]["count"]) == (100, 200)
    raw = np.frombuffer(encoding.unpack(first["rows"]["heads"][2]), np.uint8).reshape(200, 600)
    truth = long_maps().samples[0].attentions[0].whole()[2, 100:300]
    np.testing.assert_allclose(np.maximum(raw.astype(float) - 1, 0) * first["rows"]["scale"] / 254, truth,
                               atol=first["rows"]["scale"] / 500)  # fmt: skip
    small = data_of(page.assemble(long_maps((0, 2)), 290_000))["shows"]
    assert small == {"detail": "top", "heads": 0, "left_out": 2}


def test_a_page_too_small_for_top_keys_shows_overviews_alone() -> None:
    text = page.assemble(long_maps(), 250_000)
    assert data_of(text)["shows"]["detail"] == "overview"
    assert len(text.encode()) <= 250_000


def test_maps_of_another_run_stand_beside_these() -> None:
    beside = Maps(maps(attention(seed=5)).samples, {"run": "dates-gru"})
    data = data_of(page.assemble(maps(), beside=beside))
    assert [sample["run"] for sample in data["samples"]] == ["dates", "dates-gru"]
    assert len(data["samples"][1]["attentions"]) == 1
    wrong = Maps(maps(attention(certificate=BAD)).samples, {"run": "dates-gru"})
    assert data_of(page.assemble(maps(), beside=wrong))["certified"] is False


def test_equal_axes_are_stored_once() -> None:
    one, other = attention(), attention(address="encoder.1.attention")
    data = data_of(page.assemble(maps(one, other)))
    assert data["samples"][0]["axes"] == [["a", "b", "c"]]
    assert [entry["queries"] for entry in data["samples"][0]["attentions"]] == [0, 0]


def test_the_page_carries_its_certificate() -> None:
    assert data_of(page.assemble(maps()))["certified"] is True
    wrong = data_of(page.assemble(maps(attention(certificate=BAD))))
    assert wrong["certified"] is False
    assert wrong["samples"][0]["attentions"][0]["faults"] == ["max|map V - output| is 2.5e-01, above 1.0e-05"]


def test_every_script_is_part_of_the_package_and_of_the_page() -> None:
    from importlib.resources import files

    claims = [Verdict(Claim("no_leak", "no_leak"), True, "")]
    all_of_it = Further([{}], {"heads": []}, {"heads": []}, [], {"norm": {}}, claims)
    scripts = (*page.SCRIPTS, *all_of_it.scripts(), "page.js")
    assert sorted(scripts) == sorted(entry.name for entry in files(page).iterdir() if entry.name.endswith(".js"))


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on PATH to parse the script with")
def test_the_script_can_be_parsed() -> None:
    script = Reader(page.assemble(maps())).inside["script"]
    parsed = subprocess.run(["node", "--check", "-"], input=script, capture_output=True, text=True, check=False)
    assert parsed.returncode == 0, parsed.stderr
