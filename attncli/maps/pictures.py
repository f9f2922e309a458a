"""Maps as pictures: one figure an attention with all its heads, tokens on both axes, the scale, the certificate.

An SVG keeps its text as text. A PNG needs fonts: characters that no installed font has are written as their numbers,
and the figure says which package brings them.
"""

import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attncli.maps.labels import label, shorten, visible
from attncli.maps.record import AttentionMap, Sample, Weights
from attncli.maps.statistics import statistics

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLUMNS = 4
LONGEST = 14
"""Characters of a token on an axis."""
MOST_TICKS = 60
"""Above this, only every n-th token is written."""
CELL = 0.19
"""Side of a weight in inches, where the tokens are few."""

LARGEST = 6.0
"""Side of a head in inches at the most."""

Shown = Callable[[str], str]


def draw(attention: AttentionMap, sample: Sample, kind: Literal["png", "svg"]) -> bytes:
    """The picture of all heads. Equal maps give equal bytes."""
    from attncli.pictures import PACKAGE, canvas

    heads, queries, keys = attention.shape
    columns = min(heads, COLUMNS)
    rows = math.ceil(heads / columns)
    width, height = (min(max(places * CELL, 1.8), LARGEST) for places in (keys, queries))
    missing = missing_characters(attention, sample) if kind == "png" else set()
    note = f"characters that no font has are written as numbers; Chinese, Japanese, Korean: install {PACKAGE}"

    def shown(text: str) -> str:
        return "".join(f"U+{ord(c):04X}" if c in missing else c for c in text)

    with canvas(columns * (width + 0.3) + 1.6, rows * (height + 0.3) + 1.4) as figure:
        grid: Any = figure.subplots(rows, columns, squeeze=False)
        _draw_heads(figure, grid, attention, shown)
        _title(figure, attention, sample, shown, note if missing else "")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()


def pictured(attention: AttentionMap) -> tuple[Weights, tuple[int, int]]:
    """The weights of all heads, or where they were not kept the largest of each cell; places a cell, on both sides."""
    if attention.weights is not None:
        return attention.weights, (1, 1)
    overview = attention.summary.overview
    return overview.largest, (overview.query_cell, overview.key_cell)


def missing_characters(attention: AttentionMap, sample: Sample) -> set[str]:
    """Characters of the figure that no installed font has."""
    from attncli.pictures import missing_font_note

    tokens = (label(token)[:LONGEST] for token in (*attention.rows, *attention.keys))
    texts = (visible(text) for text in sample.texts.values())
    return {c for c in set("".join((*tokens, *texts))) if missing_font_note(c) is not None}


def _draw_heads(figure: "Figure", grid: Any, attention: AttentionMap, shown: Shown) -> None:
    """Names stand at the left and at the bottom of the grid, since all heads have the same; a weight of 0 is white."""
    from matplotlib import colormaps

    entropy = statistics(attention)["entropy"]
    weights, every = pictured(attention)
    columns, largest = grid.shape[1], max(1.0, float(weights.max(initial=0.0)))
    colours = colormaps["viridis"].with_extremes(under="white")
    picture: Any = None
    for head, axes in enumerate(grid.flat):
        if head >= attention.heads:
            axes.set_axis_off()
            continue
        picture = axes.imshow(
            weights[head],
            cmap=colours,
            vmin=np.finfo(np.float32).tiny,
            vmax=largest,
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_title(f"head {head}   entropy {entropy[head]:.2f}", fontsize=8, loc="left")
        left, bottom = head % columns == 0, head + columns >= attention.heads
        keys, rows = attention.keys[:: every[1]] if bottom else (), attention.rows[:: every[0]] if left else ()
        _name(axes.xaxis, keys, "key" if bottom else "", shown, upright=True)
        _name(axes.yaxis, rows, attention.row_name if left else "", shown, upright=False)
        axes.tick_params(length=0)
    bar = figure.colorbar(
        picture, ax=grid, fraction=0.02, pad=0.01, aspect=30, ticks=[largest * step / 4 for step in range(5)]
    )
    bar.set_label("weight", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _name(axis: "Axis", tokens: tuple[str, ...], title: str, shown: Shown, *, upright: bool) -> None:
    every = max(1, math.ceil(len(tokens) / MOST_TICKS))
    names = [shorten(shown(label(token)), LONGEST) for token in tokens[::every]]
    axis.set_ticks(range(0, len(tokens), every), labels=names, fontsize=7)
    for tick in axis.get_ticklabels() if upright else ():
        tick.set_rotation(90 if len(tick.get_text()) > 2 else 0)
    axis.set_label_text(title, fontsize=8)


def _title(figure: "Figure", attention: AttentionMap, sample: Sample, shown: Shown, note: str) -> None:
    certificate = attention.certificate
    faults = list(certificate.faults())
    texts = "   ".join(f"{name}: {shorten(visible(text), 60)}" for name, text in sample.texts.items() if text)
    proof = (
        "NOT CERTIFIED: " + "; ".join(faults)
        if faults
        else f"max|rows - 1| {certificate.row_sum_error:.1e}   max|map V - output| {certificate.output_error:.1e}   "
        f"kernel {attention.kernel}"
    )
    _, every = pictured(attention)
    cells = "" if every == (1, 1) else f"each cell is the largest weight of {every[0]} queries and {every[1]} keys"
    lines = [attention.address, shown(texts), cells, proof, certificate.missing, note]
    figure.suptitle(
        "\n".join(line for line in lines if line), fontsize=8, x=0.01, ha="left", color="#b00020" if faults else "black"
    )
