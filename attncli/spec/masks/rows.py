"""Counting what a mask shows: a row of the mask is one Python integer, whose bit k says that key k is seen.

&, | and ~ of rows are single operations, so 4,096 x 4,096 pairs take milliseconds; what is a band is counted in closed
form. What only data tell is unknown here: every token is taken to lie in one document, and what is said of other
integers of tokens and samples is taken as true, so that what is counted is the most that can be seen.
"""

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cache, reduce
from itertools import pairwise
from typing import Any

from attncli.spec.masks.forms import FALSE, TRUE, All, Bound, Form, Opaque, Some, at_head, form_of
from attncli.spec.masks.linear import Box, linear
from attncli.spec.masks.predicates import RandomBlocks
from attncli.spec.masks.proof import Band, K, Q, band_of
from attncli.spec.masks.tree import NOWHERE, Arithmetic, Integer, Name, Node, Pair, Sample, Token, Truth

Row = Callable[[int], int]
MOST_TABLE = 1 << 28
"""Bits that the table of one inequality may take."""


class Rows:
    """The mask of one head over q_length queries and k_length keys.

    `generous` takes what is said of documents as true too: real ids never show a pair besides.
    """

    def __init__(self, tree: Truth, q_length: int, k_length: int, head: int = 0, *, generous: bool = False) -> None:
        self.q_length, self.k_length = q_length, k_length
        self.all_keys = (1 << k_length) - 1
        self.generous = generous
        self.head = head
        self.form = form_of(at_head(tree, head), Box(q_length, k_length, one_document=not generous))
        self.band = band_of(self.form) if self.form not in (TRUE, FALSE) else None
        self.row: Row = self._row(self.form) if self.band is None else self._band_row(self.band)

    def __iter__(self) -> Iterator[int]:
        return map(self.row, range(self.q_length))

    def visible(self) -> int:
        """Pairs that are seen."""
        if self.form == TRUE:
            return self.q_length * self.k_length
        if self.band is not None:
            return band_pairs(self.band, self.q_length, self.k_length)
        return sum(row.bit_count() for row in self)

    def _band_row(self, band: Band) -> Row:
        def row(q: int) -> int:
            last = self.k_length - 1 if band.after is None else min(self.k_length - 1, q + band.after)
            first = 0 if band.before is None else max(0, q - band.before)
            return (1 << last + 1) - (1 << first) if last >= first else 0

        return row

    def _row(self, form: Form) -> Row:
        match form:
            case All(forms=forms):
                return _joined([self._row(each) for each in forms], operator.and_, self.all_keys)
            case Some(forms=forms):
                return _joined([self._row(each) for each in forms], operator.or_, 0)
            case Bound():
                return self._bound_row(form)
            case Opaque(predicate=RandomBlocks() as predicate, negated=negated):
                return self._drawn_row(predicate, negated)
            case _:
                raise AssertionError(f"no rows of {form}")

    def _drawn_row(self, predicate: RandomBlocks, negated: bool) -> Row:
        size: int = predicate.size.value(NOWHERE)

        @cache
        def row(block: int) -> int:
            drawn = predicate.blocks(Pair(block * size, 0, self.head, self.q_length, self.k_length))
            bits: int = reduce(operator.or_, ((1 << size) - 1 << size * each for each in drawn)) & self.all_keys
            return self.all_keys ^ bits if negated else bits

        return lambda q: row(q // size)

    def _bound_row(self, bound: Bound) -> Row:
        """Keys with `sum >= least` for a query: the cheapest of four exact ways."""
        if any(self._unknown(node) for term, _ in bound.terms for node in term.walk()):
            return lambda q: self.all_keys
        queries, keys = Vector(range(self.q_length)), Vector(range(self.k_length))
        of_k = {term: c for term, c in bound.terms if _reads(term, K)}
        of_q = {term: c for term, c in bound.terms if term not in of_k}
        needed = (queries * 0 + bound.least - self._sum(of_q, queries, 0)).values
        if not of_k:
            return lambda q: self.all_keys if needed[q] <= 0 else 0
        if not any(_reads(term, Q) for term in of_k):
            return self._separate_row(needed, self._sum(of_k, 0, keys).values)
        terms = dict(bound.terms)
        if _shift_invariant(terms):
            return self._shifted_row(terms, bound.least)
        return lambda q: _bits(each >= bound.least for each in self._sum(terms, q, keys).values)

    def _unknown(self, node: Node) -> bool:
        return isinstance(node, Sample) or (isinstance(node, Token) and (self.generous or node.of != "document"))

    def _sum(self, terms: dict[Integer, int], q: Any, k: Any) -> Any:
        at = Pair(q, k, 0, self.q_length, self.k_length, q * 0, k * 0)
        return sum(term.value(at) * c for term, c in terms.items())

    def _shifted_row(self, terms: dict[Integer, int], least: int) -> Row:
        """What depends on q - k alone is one pattern, shifted by one for each query."""
        last = self.q_length - 1
        distances = Vector(range(last, -self.k_length, -1))
        pattern = _bits(each >= least for each in self._sum(terms, distances, 0).values)
        return lambda q: pattern >> (last - q) & self.all_keys

    def _separate_row(self, needed: list[int], amounts: list[int]) -> Row:
        """The keys whose own part of the sum reaches what the query's part leaves."""
        if all(a <= b for a, b in pairwise(amounts)):
            return lambda q: self.all_keys >> (start := bisect_left(amounts, needed[q])) << start
        if all(a >= b for a, b in pairwise(amounts)):
            rising = [-amount for amount in amounts]
            return lambda q: (1 << bisect_right(rising, -needed[q])) - 1
        steps = sorted(set(amounts))
        if len(steps) * self.k_length > MOST_TABLE:
            return lambda q: _bits(amount >= needed[q] for amount in amounts)

        @cache
        def reaching(step: int) -> int:
            return _bits(amount >= steps[step] for amount in amounts) if step < len(steps) else 0

        return lambda q: reaching(bisect_left(steps, needed[q]))


class Vector:
    """Integers side by side, with the operators that an expression uses: what an index tensor is, without torch."""

    def __init__(self, values: Iterable[int]) -> None:
        self.values = list(values)

    def _with(self, other: Any, join: Callable[[int, int], int]) -> "Vector":
        if isinstance(other, Vector):
            return Vector(map(join, self.values, other.values))
        return Vector([join(value, other) for value in self.values])

    def __add__(self, other: Any) -> "Vector":
        return self._with(other, operator.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Vector":
        return self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> "Vector":
        return self._with(other, lambda mine, theirs: theirs - mine)

    def __mul__(self, other: Any) -> "Vector":
        return self._with(other, operator.mul)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> "Vector":
        return self._with(other, operator.floordiv)

    def __mod__(self, other: Any) -> "Vector":
        return self._with(other, operator.mod)

    def __lt__(self, other: Any) -> "Vector":
        return self._with(other, operator.lt)

    def __gt__(self, other: Any) -> "Vector":
        return self._with(other, operator.gt)

    def __neg__(self) -> "Vector":
        return self * -1

    def __abs__(self) -> "Vector":
        return Vector(map(abs, self.values))


def _joined(rows: list[Row], join: Callable[[int, int], int], none: int) -> Row:
    return lambda q: reduce(join, (row(q) for row in rows), none)


def _bits(seen: Iterable[bool]) -> int:
    text = "".join("1" if each else "0" for each in seen)
    return int(text[::-1] or "0", 2)


def _reads(term: Integer, position: Name) -> bool:
    return any(node == position or (isinstance(node, Token) and node.side == position.name) for node in term.walk())


def _shift_invariant(terms: dict[Integer, int]) -> bool:
    """Whether a sum depends on q and k through q - k alone."""
    if terms.get(Q, 0) != -terms.get(K, 0):
        return False
    for term in terms:
        if term in (Q, K) or not (_reads(term, Q) or _reads(term, K)):
            continue
        if not isinstance(term, Arithmetic) or term.operator not in ("//", "%"):
            return False
        if not _shift_invariant(linear(term.left)[0]):
            return False
    return True


def band_pairs(band: Band, q_length: int, k_length: int) -> int:
    """Pairs with -after <= q - k <= before, in closed form."""

    def up_to(distance: int) -> int:
        """Pairs with q - k <= distance: rows that see every key, then rows that lose one key each."""
        whole = min(q_length, max(0, distance + 1))
        first, last = max(0, distance + 1), min(q_length - 1, distance + k_length - 1)
        rows = max(0, last - first + 1)
        return whole * k_length + (2 * (k_length + distance) - first - last) * rows // 2

    before = q_length if band.before is None else band.before
    after = k_length if band.after is None else band.after
    return max(0, up_to(before) - up_to(-after - 1))
