"""A head as a heat map in the terminal: two columns a weight, so that a Chinese token fits above its own column.

With colour, cells are viridis on a scale from 0 to 1; without, they are shades. What does not fit is counted, not
squeezed.
"""

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from attncli.maps.claims import Verdict
from attncli.maps.labels import label, visible
from attncli.maps.record import AttentionMap, Maps, Weights
from attncli.maps.roles import Role
from attncli.maps.statistics import most_telling

SHADES = " ·░▒▓█"
"""For weights from (0, 1/16, 1/8, 1/4, 1/2, 3/4) on."""
STEPS = (0.0625, 0.125, 0.25, 0.5, 0.75)
VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
WIDEST = 16
"""Columns of a row's name."""
TALLEST = 8
"""Lines of the keys' names, which stand upright."""
MOST_ROWS = 64


def show(maps: Maps, console: Console) -> None:
    """For each sample its texts, the map of its most telling head, and what was checked."""
    colour = console.color_system is not None and not console.no_color
    for sample in maps.samples:
        for name, text in sample.texts.items():
            console.print(Text(f"{name}: {visible(text)}"))
        if sample.attentions:
            console.print(heat_map(*most_telling(sample.attentions), width=console.width, colour=colour))
    for line in maps.missing():
        console.print(Text(line))
    console.print(f"max|rows - 1| {maps.row_sum_error:.1e}, max|map V - output| {maps.output_error:.1e}")


def show_roles(named: Sequence[Role], maps: Maps, console: Console) -> None:
    """The heads that have a role, with the share of their mass that tells so and its interval."""
    heads = sum({one.address: one.heads for _, _, one in maps.items()}.values())
    count = len(maps.samples)
    console.print(f"{len(named)} of {heads} heads have a role, on {count} {'text' if count == 1 else 'texts'}")
    wide = max((len(role.address) for role in named), default=0)
    for role in named:
        shown = f"{role.address:{wide}}  head {role.head}  {role.name:10} {role.score:.2f}"
        console.print(Text(f"{shown} [{role.low:.2f}, {role.high:.2f}], chance {role.chance:.2f}"))


def show_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """Each claim, whether it holds, and the number that decided."""
    for one in verdicts:
        word = Text("holds", style="green") if one.holds else Text("fails", style="bold red")
        console.print(Text.assemble(word, f"  {one.claim.text}: {one.found}"))


def heat_map(attention: AttentionMap, head: int, *, width: int, colour: bool) -> Text:
    """The map of one head, at most `width` columns wide."""
    names = [fitted(label(token), WIDEST) for token in attention.rows]
    margin = max((cell_len(name) for name in names), default=0) + 1
    shown = max(1, min(len(attention.keys), (width - margin) // 2))
    rows = min(len(names), MOST_ROWS)
    text = Text(no_wrap=True)
    text.append(f"{attention.address} · head {head} of {attention.heads}\n", style="bold" if colour else "")
    text.append(f"rows: {attention.row_name}, columns: key; {_legend(colour)}\n", style="dim" if colour else "")
    for line in upright([label(token) for token in attention.keys[:shown]]):
        text.append(" " * margin + line.rstrip() + "\n")
    for row in range(rows):
        text.append(" " * (margin - 1 - cell_len(names[row])) + names[row] + " ")
        for weight in row_of(attention, head, row)[:shown].tolist():
            text.append(*cell(weight, colour))
        text.append("\n")
    if hidden := _hidden(len(attention.keys) - shown, len(names) - rows):
        text.append(hidden + "\n")
    text.right_crop(1)
    return text


def row_of(attention: AttentionMap, head: int, query: int) -> Weights:
    """One row: as it was kept, or as its top keys tell it."""
    if attention.weights is not None:
        row: Weights = attention.weights[head, query]
        return row
    row, summary = np.zeros(len(attention.keys), np.float32), attention.summary
    there = summary.top_keys[head, query] >= 0
    row[summary.top_keys[head, query][there]] = summary.top_weights[head, query][there]
    return row


def cell(weight: float, colour: bool) -> tuple[str, Style | str]:
    """Two columns for a weight. Exactly 0 is blank either way."""
    if weight != weight:
        return "??", ""
    if not colour:
        shade = SHADES[sum(weight >= step for step in STEPS)]
        return shade * 2, ""
    if weight == 0:
        return "  ", ""
    return "  ", Style(bgcolor=VIRIDIS[min(len(VIRIDIS) - 1, int(weight * len(VIRIDIS)))])


def upright(names: list[str]) -> list[str]:
    """Lines that spell the names downwards in columns two wide, ending on the same line."""
    spelt = [_characters(name) for name in names]
    tall = max((len(name) for name in spelt), default=0)
    lines = []
    for line in range(tall):
        at = [name[line - tall + len(name)] if line >= tall - len(name) else "" for name in spelt]
        lines.append("".join(character + " " * (2 - cell_len(character)) for character in at))
    return lines


def _characters(name: str) -> list[str]:
    """At most TALLEST cells of one character each; a mark stays with the letter that it sits on."""
    cells: list[str] = []
    for character in name:
        if cell_len(character) == 0 and cells:
            cells[-1] += character
        else:
            cells.append(character)
    return cells if len(cells) <= TALLEST else [*cells[: TALLEST - 1], "…"]


def fitted(name: str, width: int) -> str:
    """A name cut to columns of the terminal, where a Chinese character has two."""
    if cell_len(name) <= width:
        return name
    kept = ""
    for character in name:
        if cell_len(kept + character) > width - 1:
            break
        kept += character
    return kept + "…"


def _legend(colour: bool) -> str:
    return "dark is 0, bright is 1 or more, blank is exactly 0" if colour else "· from 1/16, ░ 1/8, ▒ 1/4, ▓ 1/2, █ 3/4"


def _hidden(keys: int, rows: int) -> str:
    counted = ((keys, "key"), (rows, "row"))
    parts = [f"{count} more {name}{'s' if count > 1 else ''}" for count, name in counted if count]
    return f"not shown: {' and '.join(parts)}; a wider terminal shows more keys, --out shows all" if parts else ""
