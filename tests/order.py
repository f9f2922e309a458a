"""The order of one attention as a picture, drawn from the order that attncli/spec/attention.py states.

python -m tests.order > docs/pictures/order.svg
"""

import re
from html import escape

from attncli.spec import attention
from attncli.spec.attention import MultiHead
from attncli.spec.shapes import keys_of

LANES = {
    "project": ("queries, keys, values", "#dbe9f6"),
    "score with its scale": ("scores of query and key", "#fde3c8"),
    "mask with padding and documents": ("which keys are seen", "#e6e0f0"),
    "sink": ("weights of the keys", "#d9f0dc"),
    "times the values": ("what each query is given", "#f9d9dc"),
}
"""The first step of each lane, what the lane makes, and its colour."""
LEFT, WIDTH, BOX, GAP, LINE = 188, 900, 30, 10, 7.3


def steps() -> list[str]:
    """The steps in their order."""
    found = re.search(r"The order of one attention is fixed: (.*?)\.\s", attention.__doc__ or "", re.S)
    assert found is not None, "the module says its order"
    return [" ".join(step.split()) for step in found[1].split(",")]


def lanes() -> list[tuple[str, str, list[str]]]:
    """What each lane makes, its colour and its steps."""
    found: list[tuple[str, str, list[str]]] = []
    for step in steps():
        if step in LANES:
            found.append((*LANES[step], []))
        found[-1][2].append(step)
    return found


def picture() -> str:
    """The picture as SVG: a lane for each thing that is made, a box for each step, keys of a spec in a fixed font."""
    parts, y, keys = [], 16, set(keys_of(MultiHead))
    last: tuple[float, float] | None = None
    for told, colour, own in lanes():
        rows, x = [[]], LEFT + 14.0
        for step in own:
            wide = 18 + LINE * len(step)
            if x + wide > WIDTH - 14:
                rows.append([])
                x = LEFT + 14.0
            rows[-1].append((step, x, wide))
            x += wide + 2 * GAP
        height = len(rows) * (BOX + GAP) + GAP
        parts.append(f'<rect x="8" y="{y}" width="{WIDTH - 16}" height="{height}" rx="8" fill="{colour}"/>')
        parts.append(f'<text x="20" y="{y + height / 2 + 5:.0f}" class="lane">{escape(told)}</text>')
        for number, row in enumerate(rows):
            top = y + GAP + number * (BOX + GAP)
            for step, x, wide in row:
                if last is not None:
                    parts.append(_arrow(last, (x, top + BOX / 2)))
                key = "key" if step.split()[0] in keys else "step"
                parts.append(f'<rect x="{x:.0f}" y="{top}" width="{wide:.0f}" height="{BOX}" rx="5" class="box"/>')
                parts.append(f'<text x="{x + wide / 2:.0f}" y="{top + 20}" class="{key}">{escape(step)}</text>')
                last = (x + wide, top + BOX / 2)
        y += height + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">\n'
        "<title>The order of one attention</title>\n"
        "<style>text{font:13px sans-serif;fill:#222}.lane{font-style:italic}.key{font:12px monospace;"
        "text-anchor:middle}.step{text-anchor:middle}.box{fill:#fff;stroke:#555}.arrow{fill:none;stroke:#555}</style>\n"
        '<defs><marker id="tip" markerWidth="7" markerHeight="6" refX="6" refY="3" orient="auto">'
        '<path d="M0,0 L7,3 L0,6 z" fill="#555"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Straight within a row; round the row's end and along the gap between rows to the next one."""
    (x, y), (to, below) = start, end
    if y == below:
        way = f"M{x:.0f},{y:.0f} H{to:.0f}"
    else:
        between = below - BOX / 2 - GAP / 2
        way = f"M{x:.0f},{y:.0f} h6 V{between:.0f} H{to - 9:.0f} V{below:.0f} H{to:.0f}"
    return f'<path d="{way}" class="arrow" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    print(picture(), end="")
