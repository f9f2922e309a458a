"""The page in a browser: it opens from disk, asks for nothing, and every weight can be reached by keys alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from attncli.maps.page import assemble
from attncli.maps.record import AttentionMap, Maps, Sample
from tests.maps.browser import CHROMIUM, WITHOUT, Page, browser
from tests.maps.made import attention

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT)

VIEWS = ("heat", "lines", "pairs", "steps", "compare", "table", "text")
HOSTILE = ("</script><script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", "\u202eevil", "a\x00b", "👩",
           "你好", "x" * 10_000, "", "&lt;", "שלום")  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def cross() -> AttentionMap:
    read, written = ("[BOS]", "x", "y"), ("x", "y", "[EOS]")
    address = "decoder.0.cross_attention"
    return attention(read, tuple("abcd"), kind="cross", heads=3, address=address, writes=written, seed=3)


def open_page(page: Page, folder: Path, *samples: Sample, fragment: str = "") -> Path:
    path = folder / "attention.html"
    path.write_text(assemble(Maps(samples, {"run": "dates"})), "utf-8")
    page.call("Page.navigate", url="about:blank")
    page.open(path, fragment)
    return path


def text_of(page: Page, element: str) -> str:
    return str(page.value(f"document.getElementById('{element}').textContent"))


def selected(page: Page) -> str:
    return text_of(page, "selected")


def says(one: AttentionMap, head: int, query: int, key: int) -> str:
    row = one.whole()[head, query]
    rank = 1 + int((row > row[key]).sum())
    return f"{one.rows[query]} → {one.keys[key]} {row[key]:.3f} · rank {rank} of {len(row)}"


def test_it_opens_without_a_complaint_and_asks_for_nothing_but_itself(page: Page, tmp_path: Path) -> None:
    path = open_page(page, tmp_path, Sample({"source": "a b"}, (attention(), cross()), "greedy"))
    for view in VIEWS:
        page.value(f"document.getElementById('tab-{view}').click()")
    assert page.complaints() == []
    assert [address.partition("#")[0] for address in page.asked()] == [path.as_uri()]
    assert text_of(page, "seal").startswith("✓ certified")


def test_it_opens_at_the_largest_weight_of_the_most_telling_head(page: Page, tmp_path: Path) -> None:
    one = cross()
    open_page(page, tmp_path, Sample({"source": "a b"}, (attention(), one), "greedy"))
    assert text_of(page, "detail-title").startswith("decoder.0.cross_attention · head ")
    head = int(text_of(page, "detail-title")[-1])
    query, key = divmod(int(one.weights[head].argmax()), 4)
    assert selected(page) == says(one, head, query, key)


def test_keys_reach_every_weight_and_it_is_said_aloud(page: Page, tmp_path: Path) -> None:
    one = cross()
    open_page(page, tmp_path, Sample({"source": "a b"}, (one,), "greedy"), fragment="#head=1&query=0&key=0")
    page.value("document.querySelector('.map').focus()")
    page.press("Home")
    assert selected(page) == says(
        one, 1, int(page.value("new URLSearchParams(location.hash.slice(1)).get('query')")), 0
    )
    page.press("PageUp", "ArrowUp", "ArrowUp", "ArrowUp")
    assert selected(page) == says(one, 1, 0, 0)
    page.press("ArrowRight", "ArrowRight", "ArrowDown")
    assert selected(page) == says(one, 1, 1, 2)
    page.press("End", "ArrowDown", "ArrowDown", "ArrowDown")
    assert selected(page) == says(one, 1, 2, 3)
    page.press("]")
    assert selected(page) == says(one, 2, 2, 3)
    assert page.value("document.getElementById('selected').getAttribute('aria-live')") == "polite"
    assert page.value("document.activeElement.className") == "map"


def test_the_text_view_lists_the_largest_weights_of_a_word(page: Page, tmp_path: Path) -> None:
    one = cross()
    open_page(page, tmp_path, Sample({"source": "a b"}, (one,), "greedy"), fragment="#view=text&head=0")
    page.value("document.querySelectorAll('.flow')[0].children[2].click()")
    rows = page.value("[...document.querySelectorAll('.top tr')].slice(1).map((row) => row.children[0].textContent)")
    weights = one.weights[0, 2]
    assert selected(page) == says(one, 0, 2, int(weights.argmax()))
    assert rows == [one.keys[k] for k in sorted(range(4), key=lambda k: -weights[k]) if weights[k] >= 0.0005]


def test_heads_are_sorted_by_a_statistic(page: Page, tmp_path: Path) -> None:
    open_page(page, tmp_path, Sample({"source": "a b"}, (attention(heads=4), cross()), "greedy"))
    page.value("{ const sort = document.getElementById('sort'); sort.value = 'entropy'; "
               "sort.dispatchEvent(new Event('change')); }")  # fmt: skip
    values = page.value("[...document.querySelectorAll('.head .value')].map((value) => Number(value.textContent))")
    assert len(values) == 7
    assert values == sorted(values, reverse=True)


def test_hostile_tokens_are_shown_and_run_nothing(page: Page, tmp_path: Path) -> None:
    one = attention(HOSTILE, HOSTILE, heads=1)
    for view in VIEWS:
        open_page(
            page, tmp_path, Sample({"text": HOSTILE[0]}, (one,), "forced"), fragment=f"#view={view}&query=2&key=3"
        )
        assert page.complaints() == []
        assert page.value("window.hit === undefined")
        assert page.value("document.querySelectorAll('script').length") == 2
        assert page.value("document.querySelectorAll('img').length") == 0
        assert selected(page).startswith("⟨U+202E⟩evil → a⟨U+0000⟩b ")
    tokens = page.value("[...document.querySelectorAll('.flow')[0].children].map((token) => token.textContent)")
    assert tokens[1] == HOSTILE[1][:27] + "…"
    assert all(len(token) <= 28 for token in tokens)
    page.value("document.querySelectorAll('.flow')[0].children[6].click()")
    assert page.value("document.querySelector('.whole').textContent") == "x" * 10_000


def test_samples_are_chosen_and_the_address_remembers_the_place(page: Page, tmp_path: Path) -> None:
    both = (Sample({"source": "a b"}, (attention(),), "greedy"), Sample({"source": "c d"}, (cross(),), "beam of 4"))
    path = open_page(page, tmp_path, *both)
    page.value("{ const all = document.getElementById('samples'); all.value = '1'; "
               "all.dispatchEvent(new Event('change')); }")  # fmt: skip
    assert "c d" in text_of(page, "texts")
    place = page.value("location.hash")
    assert place.startswith("#sample=1&attention=0&head=")
    page.call("Page.navigate", url="about:blank")
    page.open(path, place)
    assert text_of(page, "detail-title").startswith("decoder.0.cross_attention")
    assert page.value("document.getElementById('samples').value") == "1"


@pytest.mark.parametrize("fragment", ["#sample=9&attention=-4&head=x&query=1e9", "#view=<b>&key=NaN", "#&&=&"])
def test_an_address_that_makes_no_sense_is_brought_into_bounds(page: Page, tmp_path: Path, fragment: str) -> None:
    open_page(page, tmp_path, Sample({"source": "a"}, (attention(),), "greedy"), fragment=fragment)
    assert page.complaints() == []
    assert text_of(page, "detail-title").startswith("encoder.0.attention · head ")


def test_the_theme_can_be_changed_and_text_keeps_its_contrast(page: Page, tmp_path: Path) -> None:
    open_page(page, tmp_path, Sample({"source": "a"}, (attention(),), "greedy"))
    contrast = """(() => {
      const light = (c) => c.match(/\\d+/g).slice(0, 3).map((v) => (v / 255) ** 2.2)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      return ['#about', '.note', '#selected', '.head .name', 'dt', '#seal', 'footer'].map((what) => {
        const element = document.querySelector(what); let back = element;
        while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
        const pair = [getComputedStyle(element).color, getComputedStyle(back).backgroundColor].map(light);
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
      });
    })()"""
    for _ in range(2):
        assert min(page.value(contrast)) > 4.5
        page.value("document.getElementById('theme').click()")


def test_the_text_size_of_a_phone_has_no_sideways_scrolling(page: Page, tmp_path: Path) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=2, mobile=True)
    try:
        for view in VIEWS:
            open_page(page, tmp_path, Sample({"source": "a b"}, (attention(HOSTILE, HOSTILE), cross()), "greedy"),
                      fragment=f"#view={view}&attention=0")  # fmt: skip
            # a phone makes innerWidth as wide as what is too wide
            assert page.value("document.documentElement.scrollWidth") == 360, view
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")
