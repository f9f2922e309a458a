"""How much memory an inspection may take for maps, and which rows are kept whole.

Maps that fit are kept whole, in the order of the model; of the others there is a summary. Half of the budget is for
whole rows, since whatever writes them holds them once more; the blocks in which maps are made take the rest.
"""

import re
from dataclasses import dataclass, field

from attncli.errors import InputError

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
LEAST = 16 * 10**6
"""Bytes below which the blocks of a map would be too small to be worth their calls."""
PAGE = 10**6
"""Bytes below which a page has little room beside its own script."""


def bytes_of(text: str, place: str, least: int = LEAST, use: str = "maps") -> int:
    """`512MB` as a number. Errors: InputError where it is no size, or one below `least`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    if found is None or found[2].upper() not in UNITS:
        raise InputError(f"{place} {text}: this is no size", help="write a number and its unit: 512MB, 2GB, 64MiB")
    size = float(found[1]) * UNITS[found[2].upper()]
    if size < least:
        raise InputError(f"{place} {text}: this is less than {shown(least)}, the least in which {use} can be made",
                         help=f"give {shown(least)} or more")  # fmt: skip
    return int(size)


def shown(size: int) -> str:
    """A size in words: 1.5 GB."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= UNITS[unit]:
            return f"{size / UNITS[unit]:.3g} {unit}"
    return f"{size} B"


@dataclass
class Budget:
    """Bytes for all maps of an inspection; `grant` gives them away."""

    size: int = 2 * 10**9
    used: int = field(default=0, init=False)

    @property
    def block(self) -> int:
        """Weights that may be made at a time: with their copies and masks some 40 bytes each."""
        return min(1 << 22, max(1 << 16, self.size // 4 // 40))

    def grant(self, size: int) -> bool:
        """Whether this many bytes are left for whole rows; they are taken then."""
        if self.used + size > self.size // 2:
            return False
        self.used += size
        return True


@dataclass(frozen=True)
class Choice:
    """Rows that are kept whole, whatever fits: of some heads (all without a word) and some queries."""

    heads: tuple[int, ...] | None = None
    queries: slice | None = None

    def heads_of(self, heads: int, place: str) -> tuple[int, ...]:
        """Those of an attention. Errors: InputError where it has one of them not."""
        chosen = tuple(range(heads)) if self.heads is None else self.heads
        for head in chosen:
            if head >= heads:
                raise InputError(
                    f"--heads {head}: {place} has heads 0 to {heads - 1}", help="name others, or narrow --only"
                )
        return chosen

    def queries_of(self, queries: int, place: str) -> range:
        """Those of a text. Errors: InputError where there is none."""
        chosen = range(queries)[self.queries or slice(None)]
        if not chosen:
            assert self.queries is not None
            raise InputError(
                f"--queries {_written(self.queries)}: {place} has queries 0 to {queries - 1}", help="name some of these"
            )
        return chosen


def choice_of(heads: str | None, queries: str | None) -> Choice | None:
    """What `--heads 0,3` and `--queries 0:128` choose; None where nothing is. Errors: InputError."""
    if heads is None and queries is None:
        return None
    return Choice(None if heads is None else _heads(heads), None if queries is None else _queries(queries))


def _heads(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if wrong := [word for word in words if not re.fullmatch(r"\d{1,6}", word)]:
        named = ", ".join(f"'{word}'" for word in wrong)
        raise InputError(
            f"--heads {text}: {named}: no number of a head",
            help="write numbers with commas between them, 0,3; --only ADDRESS beside it names one attention",
        )
    return tuple(sorted({int(word) for word in words}))


def _queries(text: str) -> slice:
    found = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", text)
    if found is None:
        raise InputError(
            f"--queries {text}: this is no range", help="write the first and the one after the last: 0:128"
        )
    first, last = (int(number) if number else None for number in found.groups())
    if last is not None and last <= (first or 0):
        raise InputError(f"--queries {text}: this range is empty", help="the number after the colon must be the larger")
    return slice(first, last)


def _written(chosen: slice) -> str:
    first, last = ("" if end is None else end for end in (chosen.start, chosen.stop))
    return f"{first}:{last}"
