"""Masks as an SVG picture: a panel for each different mask of a model. Imports no torch and no drawing library."""

from collections.abc import Iterator
from html import escape

from attncli.profiling.masks import Panel, panels
from attncli.spec.masks.rows import Rows
from attncli.spec.run import Run

LENGTH = 64
"""Positions that a panel shows at the most."""
SIDE = 256
"""Width and height of a panel, in pixels; its text stands above it."""
TITLE, GAP, COLUMNS = 56, 24, 3


def svg_of(run: Run, address: str = "") -> str:
    """The picture of one attention's mask, or of all masks. Errors: InputError where there is no such attention."""
    found = list(panels(run, address, length=LENGTH))
    columns = min(COLUMNS, max(1, len(found)))
    wide = columns * (SIDE + GAP) + GAP
    high = -(-len(found) // columns) * (SIDE + TITLE + GAP) + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        f"<title>The masks of {escape(run.name)}: queries down, keys to the right, blue where a key is seen</title>",
        f'<rect width="{wide}" height="{high}" fill="white"/>',
    ]
    for number, panel in enumerate(found):
        left = GAP + number % columns * (SIDE + GAP)
        top = GAP + number // columns * (SIDE + TITLE + GAP)
        lines += _panel(panel, left, top)
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, left: int, top: int) -> Iterator[str]:
    size = SIDE / max(panel.rows.q_length, panel.rows.k_length)
    yield f'<g transform="translate({left} {top})">'
    for place, text in enumerate((panel.title, panel.mask, panel.note)):
        weight = ' font-weight="bold"' if place == 0 else ""
        short = text if len(text) <= 44 else f"{text[:43]}…"
        yield f'<text y="{12 + 16 * place}"{weight}>{escape(short)}<title>{escape(text)}</title></text>'
    yield f'<g transform="translate(0 {TITLE})">'
    wide, high = panel.rows.k_length * size, panel.rows.q_length * size
    yield f'<path fill="#1f5fa8" d="{"".join(_runs(panel.rows, size))}"/>'
    yield f'<rect width="{wide:g}" height="{high:g}" fill="none" stroke="#888"/>'
    yield "</g></g>"


def _runs(rows: Rows, size: float) -> Iterator[str]:
    """Each run of keys that follow each other, as one rectangle of the path."""
    for q, row in enumerate(rows):
        start = 0
        while row >> start:
            rest = row >> start
            start += (rest & -rest).bit_length() - 1
            run = ((~(row >> start) & -~(row >> start)).bit_length()) - 1
            yield f"M{start * size:g} {q * size:g}h{run * size:g}v{size:g}h{-run * size:g}z"
            start += run
