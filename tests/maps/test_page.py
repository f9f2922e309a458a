"""The page as a file: it needs nothing, runs nothing but its own script, and holds the weights that it was given."""

import base64
import hashlib
import html
import json
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attncli.maps import page
from attncli.maps.record import Maps
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
        page.decode(entry["weights"], entry["scale"], tuple(entry["shape"]), data["encoding"])
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
    assert "http" not in text.replace("http-equiv", "").lower()
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
    one.weights[0, 2, 0] = 1e-30
    (found,) = shown(maps(one))
    np.testing.assert_allclose(found, one.weights, rtol=1e-3, atol=6e-8)
    assert np.array_equal(found > 0, one.weights > 0)


def test_many_weights_are_bytes_on_the_scale_of_their_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "BUDGET", 30)
    one = attention(list("abcdefgh"), list("abcdefgh"), causal=True)
    text = page.assemble(maps(one))
    entry = data_of(text)["samples"][0]["attentions"][0]
    assert data_of(text)["encoding"] == "uint8"
    codes = np.frombuffer(base64.b64decode(entry["weights"]), np.uint8).reshape(one.weights.shape)
    assert np.array_equal(codes > 0, one.weights > 0)
    (found,) = shown(maps(one))
    np.testing.assert_allclose(found, one.weights, atol=entry["scale"] / page.LEVELS / 2 * 1.001)


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

    assert sorted(page.SCRIPTS) == sorted(entry.name for entry in files(page).iterdir() if entry.name.endswith(".js"))


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on PATH to parse the script with")
def test_the_script_can_be_parsed() -> None:
    script = Reader(page.assemble(maps())).inside["script"]
    parsed = subprocess.run(["node", "--check", "-"], input=script, capture_output=True, text=True, check=False)
    assert parsed.returncode == 0, parsed.stderr
