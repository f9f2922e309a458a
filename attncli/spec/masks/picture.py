"""A mask drawn in a terminal: a block where a key is seen, a shade where only some of a cell's pairs are."""

from attncli.spec.masks.rows import Rows

SHADES = "·░▒▓█"
"""Of the pairs of a cell: none, some, at least a third, at least two thirds, all."""


def draw(rows: Rows, *, width: int) -> list[str]:
    """The lines of the drawing, keys to the right and queries down. Longer sides are drawn in cells of equal size."""
    size = max(1, -(-max(rows.k_length, rows.q_length) // width))
    margin = len(str(rows.q_length - 1)) + 2
    lines = [" " * margin + _ruler(rows.k_length, size)]
    for start in range(0, rows.q_length, size):
        group = [rows.row(q) for q in range(start, min(start + size, rows.q_length))]
        cells = (_shade(group, k, min(k + size, rows.k_length)) for k in range(0, rows.k_length, size))
        lines.append(f"{start:>{margin - 2}}  {''.join(cells)}")
    if size > 1:
        lines.append(f"one cell is {size} x {size} positions")
    return lines


def _ruler(k_length: int, size: int) -> str:
    """The first key of every eighth cell."""
    ruler = ""
    for cell in range(0, -(-k_length // size), 8):
        ruler = f"{ruler:<{cell}}{cell * size}" if len(ruler) <= cell else ruler
    return ruler


def _shade(group: list[int], first: int, last: int) -> str:
    cell = ((1 << last - first) - 1) << first
    seen, most = sum((row & cell).bit_count() for row in group), len(group) * (last - first)
    return SHADES[1 + 3 * seen // most] if seen else SHADES[0]
