"""Writing a predicate out: asked with symbols instead of numbers, it answers with the tree that it stands for."""

from dataclasses import dataclass
from typing import Any

from attncli.spec.masks.predicates import Predicate
from attncli.spec.masks.tree import (
    And,
    Arithmetic,
    Comparison,
    Integer,
    Name,
    Node,
    Number,
    Or,
    Pair,
    Sample,
    Side,
    Token,
    Truth,
)


def written_out(predicate: Predicate) -> Truth | bool:
    """The comparisons that a predicate stands for, or its constant."""
    found = predicate.allows(_ANYWHERE)
    return found if isinstance(found, bool) else _truth(found)


class Symbol:
    """Stands for an integer or a truth; its operators build the tree instead of computing."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def _arithmetic(self, sign: str, other: Any) -> "Symbol":
        return Symbol(Arithmetic(_node(self), sign, _node(other)))

    def _compare(self, relation: str, other: Any) -> "Symbol":
        return Symbol(Comparison((_node(self), _node(other)), (relation,)))

    def __add__(self, other: Any) -> "Symbol":
        return self._arithmetic("+", other)

    def __sub__(self, other: Any) -> "Symbol":
        return self._arithmetic("-", other)

    def __floordiv__(self, other: Any) -> "Symbol":
        return self._arithmetic("//", other)

    def __mod__(self, other: Any) -> "Symbol":
        return self._arithmetic("%", other)

    def __lt__(self, other: Any) -> "Symbol":
        return self._compare("<", other)

    def __le__(self, other: Any) -> "Symbol":
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> "Symbol":
        return self._compare(">", other)

    def __ge__(self, other: Any) -> "Symbol":
        return self._compare(">=", other)

    def __eq__(self, other: Any) -> "Symbol":  # type: ignore[override]  # builds a comparison, as tensors do
        return self._compare("==", other)

    __hash__ = None  # type: ignore[assignment]  # what does not compare by value has no hash

    def __and__(self, other: "Symbol") -> "Symbol":
        return Symbol(And((_truth(self), _truth(other))))

    def __or__(self, other: "Symbol") -> "Symbol":
        return Symbol(Or((_truth(self), _truth(other))))


def _node(value: Any) -> Integer:
    node = value.node if isinstance(value, Symbol) else Number(value)
    assert isinstance(node, Integer)
    return node


def _truth(value: Symbol) -> Truth:
    assert isinstance(value.node, Truth)
    return value.node


@dataclass(frozen=True)
class _Symbols(Pair):
    """The pair (q, k) itself; an argument stays its expression."""

    def read(self, integer: Integer) -> Symbol:
        return Symbol(integer)

    def token(self, of: str, side: Side) -> Symbol:
        return Symbol(Token(of, side))

    def sample(self, name: str) -> Symbol:
        return Symbol(Sample(name))


_ANYWHERE = _Symbols(Symbol(Name("q")), Symbol(Name("k")))
