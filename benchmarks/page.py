"""The page of `inspect`: bytes a weight, time to make it, to open it, and to answer a key; beside BertViz.

    python -m benchmarks.page                full: 6 layers x 12 heads x 512 tokens; and 12 x 12 x 2,048 within 20 MB
    python -m benchmarks.page --quick        the first alone, at 256 tokens

Weights are softmax rows of random scores, causal, scores of standard deviation 2. BertViz is measured where it is
installed (PYTHONPATH may name its place), on one layer, since its page grows by the same bytes a weight. Opening is
measured in a headless Chromium, where there is one: from the request to the first heat map painted.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from attncli.maps.page import assemble
from attncli.maps.record import AttentionMap, Certificate, Maps, Sample
from benchmarks.harness import Row, contestant, main

BYTES, FASTER = 0.7, 10.0
"""Bytes a weight at the most, and how much faster than BertViz a page is made at the least."""
OPEN, ANSWER, BUDGET = 3.0, 0.1, 20_000_000
"""Seconds, seconds, bytes."""


def maps_of(layers: int, heads: int, tokens: int) -> Maps:
    """Made-up maps, each with its summary."""
    words, good = tuple(f"word{i}" for i in range(tokens)), Certificate(0.0, 1e-5, 0.0, 1e-5)
    rng, hidden = np.random.default_rng(0), np.triu(np.ones((tokens, tokens), dtype=bool), 1)
    found = []
    for layer in range(layers):
        weights = np.exp(2 * rng.standard_normal((heads, tokens, tokens), dtype=np.float32))
        weights[:, hidden] = 0
        weights /= weights.sum(-1, keepdims=True)
        one = AttentionMap(f"text.{layer}.attention", "self", words, words, weights, good, "fused", "float32")
        # as the tap does: a long map is reduced as it is taken
        found.append(one if tokens <= 512 else AttentionMap(
            one.address, "self", words, words, None, good, "fused", "float32", reduced=one.summary))  # fmt: skip
    return Maps((Sample({"text": " ".join(words)}, tuple(found), "forced"),), {"run": "benchmark"})


def made(maps: Maps, path: Path) -> tuple[float, int]:
    """Seconds to make the page, and its bytes."""
    began = time.perf_counter()
    path.write_bytes(assemble(maps, BUDGET).encode())
    return time.perf_counter() - began, path.stat().st_size


def bertviz(maps: Maps) -> tuple[float, int]:
    """The same of BertViz's model view."""
    import torch
    from bertviz import model_view

    sample = maps.samples[0]
    layers = tuple(torch.from_numpy(one.whole())[None] for one in sample.attentions)
    began = time.perf_counter()
    html = model_view(layers, list(sample.attentions[0].keys), html_action="return").data
    return time.perf_counter() - began, len(html.encode())


def opened(path: Path) -> tuple[float, float]:
    """Seconds to open a page, and the most that it takes to answer a key or show another head, a second later."""
    from tests.maps.browser import CHROMIUM, browser

    if CHROMIUM is None:
        raise FileNotFoundError("no Chromium on PATH")
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as page:
        page.open(path)
        began = time.perf_counter()
        page.call("Page.navigate", url="about:blank")
        page.call("Page.navigate", url=path.as_uri())
        while not page.value("document.readyState === 'complete' && !!document.querySelector('.map')"):
            time.sleep(0.01)
        page.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        took = time.perf_counter() - began
        time.sleep(1)
        answers = "(async () => { const times = []; for (const does of [%s]) {" \
            " const began = performance.now(); does();" \
            " await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));" \
            " times.push(performance.now() - began); } return times; })()"  # fmt: skip
        press = "() => document.querySelector('.map').dispatchEvent(new KeyboardEvent('keydown', {key: '%s'}))"
        acts = [press % "ArrowDown", press % "PageDown", "() => document.getElementById('next').click()",
                "() => document.getElementById('zoom-in').click()", press % "ArrowRight",
                "() => document.getElementById('previous').click()"]  # fmt: skip
        return took, max(page.value(answers % ", ".join(acts))) / 1000


def full(folder: Path, layers: int, tokens: int) -> None:
    """Every weight on the page."""
    maps = maps_of(layers, 12, tokens)
    row = Row("page, full", f"{layers} layers x 12 heads x {tokens} tokens: seconds to make it", "s")
    weights = layers * 12 * tokens * tokens
    began = time.perf_counter()
    assert all(one.summary for _, _, one in maps.items())
    row.notes.append(
        f"attncli: statistics of all heads, which BertViz has none of, apart: {time.perf_counter() - began:.1f} s"
    )
    seconds, size = made(maps, folder / "full.html")
    row.values["attncli"] = seconds
    row.notes.append(f"attncli: {size / weights:.3f} bytes a weight (at most {BYTES})")
    with contestant("BertViz", row.notes):
        one = Maps((Sample(maps.samples[0].texts, maps.samples[0].attentions[:1], "forced"),), {})
        theirs, bytes_ = bertviz(one)
        row.values["BertViz"] = theirs * layers
        row.ratios["BertViz"] = (theirs * layers / seconds, FASTER)
        row.notes.append(f"BertViz: {bytes_ * layers / weights:.1f} bytes a weight; one layer, times {layers}")
    _open(folder / "full.html", row)
    row.tell()


def within(folder: Path) -> None:
    """A long text within the budget."""
    maps = maps_of(12, 12, 2048)
    row = Row("page, within 20 MB", "12 layers x 12 heads x 2,048 tokens: seconds to make it", "s")
    row.values["attncli"], size = made(maps, folder / "within.html")
    row.notes.append(f"attncli: {size / 1e6:.1f} MB, {size / (144 * 2048 * 2048):.3f} bytes a weight")
    _open(folder / "within.html", row)
    row.tell()


def _open(path: Path, row: Row) -> None:
    with contestant("Chromium", row.notes):
        opening, answer = opened(path)
        row.notes.append(f"opens in {opening:.2f} s (at most {OPEN}), slowest answer {1000 * answer:.0f} ms "
                         f"(at most {1000 * ANSWER:.0f})")  # fmt: skip


def measure(quick: bool) -> None:
    """The rows."""
    with tempfile.TemporaryDirectory() as folder:
        full(Path(folder), 6, 256 if quick else 512)
        if not quick:
            within(Path(folder))


if __name__ == "__main__":
    main(measure)
