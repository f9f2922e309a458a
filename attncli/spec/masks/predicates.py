"""The predicates of the mask language, one class each. To add one, write its class and name it in PREDICATES.

`allows` uses operators only, so that it runs on ints, on index tensors, and on the symbols of a proof (proof.py).
"""

from dataclasses import dataclass, fields
from functools import reduce
from operator import and_, or_
from typing import ClassVar

from attncli.spec.masks.drawn import drawn_blocks
from attncli.spec.masks.tree import Index, Integer, Name, Pair, Seen, Truth

HEAD, LAYER = Name("h"), Name("layer")


class Predicate(Truth):
    """A named truth. Its fields are its arguments; they may use h, not q or k."""

    word: ClassVar[str]
    least: ClassVar[int] = 1
    """The smallest value of an argument."""
    summary: ClassVar[str]
    """What it sees, in the language's own terms."""
    reads: ClassVar[tuple[str, ...]] = ()
    """What it reads besides q, k and its arguments, as `Mask.names` tells it."""
    opaque: ClassVar[bool] = False
    """Whether proofs take it as it is, since no comparison of positions says what it shows."""

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        return tuple(each.name for each in fields(cls) if each.name not in ("column", "head", "layer"))

    @classmethod
    def fault_of(cls, name: str, value: int) -> str | None:
        """What is wrong with the value of an argument, and nothing if it is right."""
        return None if value >= cls.least else f"must be {cls.least} or more; it is {value}"

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
        return at.token(self.of, "q") == at.token(self.of, "k")

    def __str__(self) -> str:
        return f"same({self.of})"


@dataclass(frozen=True)
class Prefix(Predicate):
    """The keys of the prompt, of which every query sees all. Raffel et al. 2020, arXiv:1910.10683, section 3.2.1.

    `causal | prefix` is a prefix language model: the prompt is read from both sides, the answer is written. The prompt
    of a language model, BOS counted, has prefix_length tokens. Its tokens are not predicted (`loss_on: answer`), or
    their losses would be read off the keys.
    """

    word: ClassVar[str] = "prefix"
    summary: ClassVar[str] = "k < prefix_length"
    reads: ClassVar[tuple[str, ...]] = ("prefix_length",)

    def allows(self, at: Pair) -> Seen:
        return at.k < at.sample("prefix_length")


@dataclass(frozen=True)
class Neighbourhood(Predicate):
    """The n x n cells around the query's own in a grid, moved inward at its borders. Hassani et al. 2023,
    arXiv:2204.07143, section 3.1.

    Cells are told by the fields `row` and `column`, counted from 0; the grid is as large as the sample's tokens say.
    Where it has fewer than n rows (columns), all are seen. n is odd, so that the query's cell is the middle. BOS and
    EOS have row -1: no cell sees them, and they see what a cell in the corner sees.
    """

    n: Integer
    word: ClassVar[str] = "neighbourhood"
    summary: ClassVar[str] = "n x n cells around row(q), column(q)"
    reads: ClassVar[tuple[str, ...]] = ("row", "column", "most row", "most column")

    @classmethod
    def fault_of(cls, name: str, value: int) -> str | None:
        return super().fault_of(name, value) or (None if value % 2 else f"must be odd, to have a middle; it is {value}")

    def allows(self, at: Pair) -> Seen:
        n = at.read(self.n)
        return self._near(at, "row", n) & self._near(at, "column", n)

    def _near(self, at: Pair, of: str, n: Index) -> Seen:
        """start <= cell of k < start + n, with start = max(0, min(cell of q - n // 2, cells - n))."""
        q, k, last = at.token(of, "q"), at.token(of, "k"), at.sample(f"most {of}")
        after_start = (k >= q - n // 2) | (k > last - n)
        before_end = (k < n) | (k <= q + n // 2)
        return (k >= 0) & after_start & before_end


@dataclass(frozen=True)
class RandomBlocks(Predicate):
    """`count` blocks of `size` keys for each block of `size` queries, drawn at random. Zaheer et al. 2020,
    arXiv:2007.14062, section 2.

    Drawn without repetition among all blocks of the sample, by seed, layer, head and query block; a number of the
    expression, not a random state, so every forward pass, machine and batch sees the same. They may fall on what other
    terms show; BigBird's code draws beside its window and global blocks.
    """

    count: Integer
    size: Integer
    seed: Integer
    head: Integer = HEAD
    layer: Integer = LAYER
    word: ClassVar[str] = "random_blocks"
    summary: ClassVar[str] = "blocks drawn by seed, layer, head and q // size"
    reads: ClassVar[tuple[str, ...]] = ("k_length",)
    opaque: ClassVar[bool] = True

    @classmethod
    def fault_of(cls, name: str, value: int) -> str | None:
        return None if name == "seed" else super().fault_of(name, value)

    def blocks(self, at: Pair) -> list[Index]:
        """The key blocks that the query's block sees."""
        size, count = at.read(self.size), self.count.value(at)
        of = (at.read(self.seed), at.read(self.layer), at.read(self.head), at.q // size)
        return drawn_blocks(of, count=count, among=(at.k_length + size - 1) // size)

    def allows(self, at: Pair) -> Seen:
        block = at.k // at.read(self.size)
        return reduce(or_, (block == drawn for drawn in self.blocks(at)))

    def __str__(self) -> str:
        return f"random_blocks({', '.join(f'{name}={value}' for name, value in self.arguments().items())})"


PREDICATES: dict[str, type[Predicate]] = {
    predicate.word: predicate
    for predicate in (
        *(Full, Causal, Window, First, Global, Block, Dilated, Same),
        *(Prefix, Neighbourhood, RandomBlocks),
    )
}
TOKENS = ("document", "word", "segment")
"""Integers that each token carries, besides those of data.fields."""
SAMPLES = ("prefix_length",)
"""Integers of each sample, besides those of data.fields."""
