"""Pictures with text in any script: figures without a display, and CJK fonts found by name.

Agg draws a character with the first of the figure's fonts that has it, so Latin text keeps its font beside Chinese.
Where no installed font has a character, the picture shows a box; `missing_font_note` names the package that mends it.
SVG keeps text as text, so a reader's own fonts serve there.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LATIN = "DejaVu Sans"
CJK_FAMILIES = (
    "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC",
    "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback",
    "AR PL UMing CN", "AR PL UKai CN", "Noto Serif CJK SC", "Noto Serif CJK JP", "Noto Serif SC",
    "PingFang SC", "Hiragino Sans GB", "Heiti SC", "STHeiti", "Songti SC",
    "Microsoft YaHei", "DengXian", "SimHei", "SimSun", "Arial Unicode MS",
)  # fmt: skip
"""Families with Chinese characters: those of Linux, of macOS, of Windows. A .ttc file shows its first face only."""
PACKAGE = "fonts-noto-cjk"


def cjk_fonts() -> list[str]:
    """The installed families with Chinese characters, in the order of CJK_FAMILIES."""
    from matplotlib import font_manager

    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return [family for family in CJK_FAMILIES if family in installed]


def missing_font_note(text: str) -> str | None:
    """What to install so that pictures can show every character of `text`; None where they can already."""
    missing = sorted({c for c in text if ord(c) > 127 and c.isprintable()} - _drawable(tuple(cjk_fonts())))
    if not missing:
        return None
    shown = "".join(missing[:8]) + ("…" if len(missing) > 8 else "")
    return (
        f"no installed font has {shown}: pictures show boxes in their place (SVG and HTML keep the text)\n"
        f"help: install the package {PACKAGE}, or the font Noto Sans CJK, and run the command again"
    )


@lru_cache(maxsize=4)
def _drawable(families: tuple[str, ...]) -> frozenset[str]:
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    found: set[str] = set()
    for family in (LATIN, *families):
        found.update(map(chr, FT2Font(font_manager.findfont(family)).get_charmap()))
    return frozenset(found)


@contextmanager
def canvas(width: float, height: float) -> "Iterator[Figure]":
    """A figure of this size in inches. Draw and save inside the block, where its fonts and settings hold."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: Any = {
        "font.family": [LATIN, *cjk_fonts()],
        "text.parse_math": False,  # a token may be "$"
        "svg.fonttype": "none",
        "svg.hashsalt": "attncli",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # said by missing_font_note
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def save(figure: "Figure", path: Path, *, dpi: int = 150) -> None:
    """Write the figure in the form its suffix names (.png, .svg); equal figures give equal bytes."""
    metadata = {".png": {"Software": None}, ".svg": {"Date": None}}.get(path.suffix)
    figure.savefig(path, dpi=dpi, metadata=metadata)
