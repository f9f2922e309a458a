"""The receptive field: how far what stands in one place can travel through a stack of masked layers.

One layer hands a query what its keys held before it, and the residual stream keeps what the query held itself; so the
field of l layers is that of l - 1 layers, read through the mask of the last. Windows of w grow to l w (Beltagy et al.
2020, arXiv:2004.05150, section 3.1).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from attncli.spec.masks.mask import Mask
from attncli.spec.masks.rows import Rows


class Field(NamedTuple):
    """The farthest that any place of a row of `length` tokens reads, over all heads of all layers."""

    length: int
    back: int
    ahead: int
    pairs: int
    """Pairs of a place and one that it reads, itself among them."""


def field_of(masks: Iterable[tuple[Mask, int]], length: int) -> Field:
    """Of layers with these masks and heads, from the first on."""
    held = [1 << place for place in range(length)]
    last: tuple[Mask, int] | None = None
    for each in masks:
        if each == last:
            continue  # the same mask gave nothing new
        grown = _through(_seen(*each, length), held)
        last = each if grown == held else None
        held = grown
    places = range(length)
    back = max(place - _first(bits) for place, bits in zip(places, held, strict=True))
    ahead = max(bits.bit_length() - 1 - place for place, bits in zip(places, held, strict=True))
    return Field(length, back, ahead, sum(bits.bit_count() for bits in held))


def _seen(mask: Mask, heads: int, length: int) -> list[int]:
    """The keys of each query, of all heads together."""
    different = range(heads) if "h" in mask.names else range(1)
    rows = [list(Rows(mask.tree, length, length, head)) for head in different]
    seen = []
    for of_heads in zip(*rows, strict=True):
        bits = 0
        for row in of_heads:
            bits |= row
        seen.append(bits)
    return seen


def _through(seen: Sequence[int], held: Sequence[int]) -> list[int]:
    """What each place holds after a layer."""
    found, known = [], dict[int, int]()
    for place, keys in enumerate(seen):
        if keys not in known:
            bits = 0
            for key in _places(keys):
                bits |= held[key]
            known[keys] = bits
        found.append(held[place] | known[keys])
    return found


def _places(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _first(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
