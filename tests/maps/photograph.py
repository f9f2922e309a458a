"""The pictures of docs/page.md: two trained models inspected end to end, and their pages as Chromium shows them.

attncli train specs/dates.yaml --run runs/dates-watched -o train.watch.every=30
attncli train specs/translation.yaml
python -m tests.maps.photograph runs/dates-watched runs/translation
"""

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from attncli.cli import commands
from attncli.maps.page import assemble
from tests.maps.browser import ROOT, Page, browser

PICTURES = ROOT / "docs" / "pictures"
GERMAN, CHINESE = "de Sunday, November 22, 2026", "zh Nov 22, 2026"
DATES = ["--text", GERMAN, "--text", CHINESE, "--roles", "--importance", "--limit", "64", "--explain-by", "norm",
         "--explain-by", "gradient", "--explain-by", "rollout", "--assert", "no_leak; no_empty_rows"]  # fmt: skip
BEAM = ["--text", CHINESE, "--decoding", "beam", "--n-best", "3"]
SENTENCE = ["--text", "Could not open the file for writing"]


def inspected(run: str, folder: Path, *words: str) -> Path:
    """The page of an inspection."""
    commands(["inspect", run, "--device", "cpu", *words, "--format", "html", "--out", str(folder)],
             standalone_mode=False)  # fmt: skip
    return folder / "attention.html"


def long_page(folder: Path) -> Path:
    """2,048 tokens, made up as the benchmark of the page makes them."""
    from benchmarks.page import maps_of

    folder.mkdir()
    path = folder / "attention.html"
    path.write_text(assemble(maps_of(4, 8, 2048)), "utf-8")
    return path


@contextmanager
def opened() -> Iterator[Page]:
    """A window of the size of the pictures."""
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as page:
        yield page


def photograph(page: Page, path: Path, fragment: str, name: str, *, dark: bool = False, high: int = 900) -> None:
    """One picture."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.call("Emulation.setEmulatedMedia", features=[scheme])
    page.call("Emulation.setDeviceMetricsOverride", width=1280, height=high, deviceScaleFactor=1, mobile=False)
    page.call("Page.navigate", url="about:blank")
    page.open(path, fragment)
    page.value("new Promise((done) => setTimeout(done, 400))")
    assert page.complaints() == []
    with Image.open(io.BytesIO(page.picture(name))) as seen:
        seen.convert("RGB").quantize(192).save(PICTURES / f"{name}.png", optimize=True)


def main(dates: str, translation: str) -> None:
    """All pictures."""
    with tempfile.TemporaryDirectory() as folder, opened() as page:
        place = Path(folder)
        both = inspected(dates, place / "dates", *DATES)
        photograph(page, both, "#view=heat", "page")
        photograph(page, both, "#view=film", "page-training", high=960)
        photograph(page, both, "#view=importance", "page-importance", high=960)
        photograph(page, both, "#attention=5&method=norm&view=heat", "page-norm", dark=True)
        photograph(page, inspected(dates, place / "beam", *BEAM), "#view=steps&query=6", "page-steps")
        compared = inspected(dates, place / "compared", "--text", CHINESE, "--compare", f"{dates}@1200")
        photograph(page, compared, "#view=compare", "page-compare")
        photograph(page, inspected(translation, place / "pair", *SENTENCE), "#view=pairs", "page-pair")
        photograph(page, long_page(place / "long"), "", "page-long", dark=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
