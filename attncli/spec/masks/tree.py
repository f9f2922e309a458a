"""The tree of a mask expression: arithmetic gives integers, comparisons and predicates give truths.

Every node evaluates on Python ints and on index tensors alike, since it uses operators only; negation is `^ True`,
since `~True` is -2. A node knows the column where it was written, which takes no part in equality.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from operator import add, and_, eq, floordiv, ge, gt, le, lt, mod, mul, ne, or_, sub
from typing import Any, ClassVar, Literal

Index = Any
"""A Python int, or a tensor of them that broadcasts with the others."""
Seen = Any
"""A Python bool, or a boolean tensor."""

ARITHMETIC: dict[str, Callable[[Index, Index], Index]] = {"+": add, "-": sub, "*": mul, "//": floordiv, "%": mod}
RELATIONS: dict[str, Callable[[Index, Index], Seen]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
Side = Literal["q", "k"]


@dataclass(frozen=True)
class Pair:
    """Where a mask is asked: a query, a key and a head, with what else an expression may name.

    Positions count tokens of the sample. Each value is an int or a tensor; what the mask does not name may be None.
    """

    q: Index
    k: Index
    h: Index = 0
    q_length: Index = None
    k_length: Index = None
    document_q: Index = None
    document_k: Index = None
    layer: Index = 0
    carried: Mapping[str, Index] = field(default_factory=dict)
    """What the data say: `row(q)` and `row(k)` of two tokens, `prefix_length` of a sample, `most row` of its tokens."""

    def token(self, of: str, side: "Side") -> Index:
        """An integer that the query's or the key's token carries."""
        if of == "document":
            return self.document_q if side == "q" else self.document_k
        return self.carried[f"{of}({side})"]

    def sample(self, name: str) -> Index:
        """An integer of the sample that both belong to."""
        return self.carried[name]

    def read(self, integer: "Integer") -> Index:
        """The value of an argument here."""
        return integer.value(self)


NOWHERE = Pair(0, 0)
"""Where a constant is read."""


@dataclass(frozen=True)
class Node(ABC):
    """A part of the expression."""

    column: int = field(default=0, compare=False, repr=False, kw_only=True)
    """0-based place in the text that was parsed."""
    binding: ClassVar[int] = 6
    """How tight the node holds together: | 0, & 1, ~ 2, comparison 3, sum 4, product 5, the rest 6."""

    def children(self) -> Iterator["Node"]:
        for each in fields(self):
            value = getattr(self, each.name)
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Node):
                    yield one

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, from left to right."""
        yield self
        for child in self.children():
            yield from child.walk()

    @property
    def start(self) -> int:
        """The column of its first character in the text, parentheses left out."""
        return min(each.column for each in self.walk())

    @abstractmethod
    def __str__(self) -> str: ...


def shown(node: Node, least: int) -> str:
    """The text of a node where one that binds as tight as `least` is due."""
    return str(node) if node.binding >= least else f"({node})"


class Integer(Node):
    """A node whose value is an integer."""

    @abstractmethod
    def value(self, at: Pair) -> Index: ...


class Truth(Node):
    """A node that is true or false."""

    @abstractmethod
    def allows(self, at: Pair) -> Seen: ...


@dataclass(frozen=True)
class Number(Integer):
    number: int

    def value(self, at: Pair) -> Index:
        return self.number

    def __str__(self) -> str:
        return str(self.number)


@dataclass(frozen=True)
class Name(Integer):
    """q, k, h, q_length or k_length; inside a predicate also layer."""

    name: str

    def value(self, at: Pair) -> Index:
        return getattr(at, self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Token(Integer):
    """An integer that each token carries, such as document(q)."""

    of: str
    side: Side

    def value(self, at: Pair) -> Index:
        return at.token(self.of, self.side)

    def __str__(self) -> str:
        return f"{self.of}({self.side})"


@dataclass(frozen=True)
class Sample(Integer):
    """An integer of the whole sample, such as prefix_length."""

    name: str

    def value(self, at: Pair) -> Index:
        return at.sample(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Negative(Integer):
    operand: Integer

    def value(self, at: Pair) -> Index:
        return -self.operand.value(at)

    def __str__(self) -> str:
        return f"-{shown(self.operand, 6)}"


@dataclass(frozen=True)
class Arithmetic(Integer):
    left: Integer
    operator: str
    right: Integer

    @property
    def binding(self) -> int:  # type: ignore[override]  # a class variable elsewhere; here it depends on the operator
        return 4 if self.operator in "+-" else 5

    def value(self, at: Pair) -> Index:
        return ARITHMETIC[self.operator](self.left.value(at), self.right.value(at))

    def __str__(self) -> str:
        return f"{shown(self.left, self.binding)} {self.operator} {shown(self.right, self.binding + 1)}"


@dataclass(frozen=True)
class Call(Integer):
    """abs(a), min(a, b, ...) or max(a, b, ...)."""

    function: str
    arguments: tuple[Integer, ...]

    def value(self, at: Pair) -> Index:
        values = [argument.value(at) for argument in self.arguments]
        match self.function:
            case "abs":
                return abs(values[0])
            case "min":
                return reduce(lambda a, b: a + (b - a) * (b < a), values)
            case _:
                return reduce(lambda a, b: a + (b - a) * (b > a), values)

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True)
class ByHead(Integer):
    """One value for each head, in the order of the heads."""

    values: tuple[Integer, ...]

    def value(self, at: Pair) -> Index:
        return sum((at.h == head) * each.value(at) for head, each in enumerate(self.values))

    def __str__(self) -> str:
        return f"by_head({', '.join(map(str, self.values))})"


@dataclass(frozen=True)
class Comparison(Truth):
    """A chain a < b <= c: every neighbouring pair holds."""

    operands: tuple[Integer, ...]
    relations: tuple[str, ...]
    binding: ClassVar[int] = 3

    def allows(self, at: Pair) -> Seen:
        values = [operand.value(at) for operand in self.operands]
        return reduce(and_, map(lambda a, relation, b: RELATIONS[relation](a, b), values, self.relations, values[1:]))

    def __str__(self) -> str:
        rest = (f" {relation} {operand}" for relation, operand in zip(self.relations, self.operands[1:], strict=True))
        return f"{self.operands[0]}{''.join(rest)}"


@dataclass(frozen=True)
class Not(Truth):
    operand: Truth
    binding: ClassVar[int] = 2

    def allows(self, at: Pair) -> Seen:
        return self.operand.allows(at) ^ True

    def __str__(self) -> str:
        return f"~{self.operand}" if isinstance(self.operand, Not) else f"~{shown(self.operand, 6)}"


@dataclass(frozen=True)
class And(Truth):
    parts: tuple[Truth, ...]
    binding: ClassVar[int] = 1

    def allows(self, at: Pair) -> Seen:
        return reduce(and_, (part.allows(at) for part in self.parts))

    def __str__(self) -> str:
        return " & ".join(shown(part, 2) for part in self.parts)


@dataclass(frozen=True)
class Or(Truth):
    parts: tuple[Truth, ...]
    binding: ClassVar[int] = 0

    def allows(self, at: Pair) -> Seen:
        return reduce(or_, (part.allows(at) for part in self.parts))

    def __str__(self) -> str:
        return " | ".join(shown(part, 1) for part in self.parts)
