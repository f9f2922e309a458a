"""The predicates of the mask language, one class each. To add one, write its class and name it in PREDICATES.

`allows` uses operators only, so that it runs on ints, on index tensors, and on the symbols of a proof (proof.py).
"""

from dataclasses import dataclass, fields
from functools import reduce
from operator import and_
from typing import ClassVar

from attncli.spec.masks.tree import Integer, Pair, Seen, Truth


class Predicate(Truth):
    """A named truth. Its fields are its arguments; they may use h, not q or k."""

    word: ClassVar[str]
    least: ClassVar[int] = 1
    """The smallest value of an argument."""
    summary: ClassVar[str]
    """What it sees, in the language's own terms."""

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        return tuple(each.name for each in fields(cls) if each.name != "column")

    def arguments(self) -> dict[str, Integer]:
        """The arguments that are written."""
        values = {name: getattr(self, name) for name in self.parameters()}
        return {name: value for name, value in values.items() if isinstance(value, Integer)}

    def __str__(self) -> str:
        return f"{self.word}({', '.join(map(str, self.arguments().values()))})" if self.parameters() else self.word


@dataclass(frozen=True)
class Full(Predicate):
    """Every key. The value is a plain True, on tensors too."""

    word: ClassVar[str] = "full"
    summary: ClassVar[str] = "every key"

    def allows(self, at: Pair) -> Seen:
        return True


@dataclass(frozen=True)
class Causal(Predicate):
    """The query itself and the keys before it. Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3."""

    word: ClassVar[str] = "causal"
    summary: ClassVar[str] = "k <= q"

    def allows(self, at: Pair) -> Seen:
        return at.k <= at.q


@dataclass(frozen=True)
class Window(Predicate):
    """At most `before` keys before the query and `after` keys after it; a side not written is not limited.

    Units: tokens besides the query. A published width W that counts the query is before=W-1.
    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1.
    """

    before: Integer | None = None
    after: Integer | None = None
    around: Integer | None = None
    word: ClassVar[str] = "window"
    least: ClassVar[int] = 0
    summary: ClassVar[str] = "q - k <= before, k - q <= after; around=n is both"

    def allows(self, at: Pair) -> Seen:
        before, after = self.before or self.around, self.after or self.around
        sides = []
        if before is not None:
            sides.append(at.q - at.k <= at.read(before))
        if after is not None:
            sides.append(at.k - at.q <= at.read(after))
        return reduce(and_, sides)

    def __str__(self) -> str:
        return f"window({', '.join(f'{name}={value}' for name, value in self.arguments().items())})"


@dataclass(frozen=True)
class First(Predicate):
    """The first n keys, as attention sinks. Xiao et al. 2024, arXiv:2309.17453, section 3.2."""

    n: Integer
    word: ClassVar[str] = "first"
    summary: ClassVar[str] = "k < n"

    def allows(self, at: Pair) -> Seen:
        return at.k < at.read(self.n)


@dataclass(frozen=True)
class Global(Predicate):
    """The first n tokens see all and are seen by all. Beltagy et al. 2020, arXiv:2004.05150, section 3.1."""

    n: Integer
    word: ClassVar[str] = "global"
    summary: ClassVar[str] = "k < n | q < n"

    def allows(self, at: Pair) -> Seen:
        return (at.k < at.read(self.n)) | (at.q < at.read(self.n))


@dataclass(frozen=True)
class Block(Predicate):
    """Keys of the query's own block of n tokens. Qiu et al. 2020, arXiv:1911.02972, section 3.1."""

    n: Integer
    word: ClassVar[str] = "block"
    summary: ClassVar[str] = "q // n == k // n"

    def allows(self, at: Pair) -> Seen:
        return at.q // at.read(self.n) == at.k // at.read(self.n)


@dataclass(frozen=True)
class Dilated(Predicate):
    """Keys a multiple of `step` tokens away from the query. Beltagy et al. 2020, arXiv:2004.05150, section 3.1.

    step=1 sees every key. Combine with `window` for a bounded reach.
    """

    step: Integer
    word: ClassVar[str] = "dilated"
    summary: ClassVar[str] = "(q - k) % step == 0"

    def allows(self, at: Pair) -> Seen:
        return (at.q - at.k) % at.read(self.step) == 0


@dataclass(frozen=True)
class Same(Predicate):
    """Keys that carry the query's own id, such as the tokens of one document. Krell et al. 2021, arXiv:2107.02027."""

    of: str
    word: ClassVar[str] = "same"
    summary: ClassVar[str] = "equal ids of the two tokens, as document(q) == document(k)"

    def allows(self, at: Pair) -> Seen:
        return getattr(at, f"{self.of}_q") == getattr(at, f"{self.of}_k")

    def __str__(self) -> str:
        return f"same({self.of})"


PREDICATES: dict[str, type[Predicate]] = {
    predicate.word: predicate for predicate in (Full, Causal, Window, First, Global, Block, Dilated, Same)
}
TOKENS = ("document",)
"""Integers that each token carries."""
