"""What a mask comes down to: all or any of linear inequalities over q, k, h and terms that stay opaque.

Predicates are written out (symbols.py), ~ is pushed down to the inequalities, and abs, min and max are split into
cases, so that proofs (proof.py) and counting (rows.py) know one shape only:

    form = Bound(sum of coefficient * term >= least) | Opaque(predicate) | All(forms) | Some(forms)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

from attncli.spec.masks.linear import ANYWHERE, Box, linear
from attncli.spec.masks.predicates import Predicate, Prefix
from attncli.spec.masks.symbols import written_out
from attncli.spec.masks.tree import (
    And,
    Arithmetic,
    ByHead,
    Call,
    Comparison,
    Integer,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Sample,
    Token,
    Truth,
)

MOST_CASES = 6
"""A comparison with more abs, min and max than this keeps them opaque: each doubles the cases."""

Terms = tuple[tuple[Integer, int], ...]


@dataclass(frozen=True)
class Bound:
    """sum of coefficient * term >= least, in lowest terms."""

    terms: Terms
    least: int


@dataclass(frozen=True)
class Opaque:
    """A predicate that no inequalities say, or its negation."""

    predicate: Predicate
    negated: bool


@dataclass(frozen=True)
class All:
    """Every one of these; all of none is true."""

    forms: tuple["Form", ...]


@dataclass(frozen=True)
class Some:
    """At least one of these; some of none is false."""

    forms: tuple["Form", ...]


Form = Bound | Opaque | All | Some
TRUE, FALSE = All(()), Some(())


def with_number(tree: Truth, of: Integer, number: int) -> Truth:
    """The same tree with a name replaced by its value."""

    def change(node: Node) -> Node | None:
        if of == Sample("prefix_length") and isinstance(node, Prefix):
            return Comparison((Name("k"), Number(number)), ("<",))
        return Number(number) if node == of else None

    return cast(Truth, _changed(tree, change))


def at_head(tree: Truth, head: int) -> Truth:
    """The same tree with h and by_head replaced by what they are for one head."""

    def change(node: Node) -> Node | None:
        match node:
            case Name(name="h"):
                return Number(head)
            case ByHead(values=values):
                return _changed(values[head], change) if head < len(values) else Number(0)
            case _:
                return None

    return cast(Truth, _changed(tree, change))


def with_key(tree: Truth, key: Integer) -> Truth:
    """The comparisons of the tree with another integer for k: what the mask says of that key."""

    def change(node: Node) -> Node | None:
        match node:
            case Name(name="k"):
                return key
            case Token(of=of, side="k"):
                return Token(of, "q") if key == Name("q") else None
            case Predicate(opaque=False):
                written = written_out(node)
                return And(()) if written is True else _changed(cast(Node, written), change)
            case _:
                return None

    return cast(Truth, _changed(tree, change))


def _changed(value: Any, change: Callable[[Node], Node | None]) -> Any:
    """The tree with every node for which `change` gives another one replaced by it."""
    if isinstance(value, tuple):
        return tuple(_changed(each, change) for each in value)
    if not isinstance(value, Node):
        return value
    other = change(value)
    if other is not None:
        return other
    return type(value)(**{name: _changed(each, change) for name, each in vars(value).items()})


@lru_cache(maxsize=512)
def form_of(truth: Truth, box: Box = ANYWHERE, negated: bool = False) -> Form:
    """The form of a tree, or of its negation, with all that the box already decides taken out."""
    match truth:
        case Not(operand=operand):
            return form_of(operand, box, not negated)
        case And(parts=parts) | Or(parts=parts):
            forms = [form_of(part, box, negated) for part in parts]
            return join(forms, every=isinstance(truth, And) != negated)
        case Comparison(operands=operands, relations=relations):
            links = zip(pairwise(operands), relations, strict=True)
            return join([_relation(a, relation, b, box, negated) for (a, b), relation in links], every=not negated)
        case Predicate(opaque=True):
            return Opaque(truth, negated)
        case Predicate():
            written = written_out(truth)
            if isinstance(written, bool):
                return TRUE if written != negated else FALSE
            return form_of(written, box, negated)
        case _:
            raise AssertionError(f"a truth of an unknown class: {truth!r}")


def join(forms: list[Form], *, every: bool) -> Form:
    """All or some of the forms, flat, without repetition and without what decides nothing."""
    kind, neutral, deciding = (All, TRUE, FALSE) if every else (Some, FALSE, TRUE)
    flat: dict[Form, None] = {}
    for form in forms:
        for each in form.forms if isinstance(form, kind) else (form,):
            flat[each] = None
    if deciding in flat:
        return deciding
    flat.pop(neutral, None)
    return next(iter(flat)) if len(flat) == 1 else kind(tuple(flat))


def _relation(left: Integer, relation: str, right: Integer, box: Box, negated: bool) -> Form:
    """left R right as bounds on left - right."""
    opposite = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
    difference, mirrored = Arithmetic(left, "-", right), Arithmetic(right, "-", left)
    match opposite[relation] if negated else relation:
        case ">=":
            return _bound(difference, 0, box)
        case ">":
            return _bound(difference, 1, box)
        case "<=":
            return _bound(mirrored, 0, box)
        case "<":
            return _bound(mirrored, 1, box)
        case "==":
            return join([_bound(difference, 0, box), _bound(mirrored, 0, box)], every=True)
        case _:
            return join([_bound(difference, 1, box), _bound(mirrored, 1, box)], every=False)


def _bound(node: Integer, least: int, box: Box) -> Form:
    """node >= least, with abs, min and max split into cases."""
    terms, constant = linear(node)
    choices = [term for term in terms if isinstance(term, Call)]
    if choices and sum(len(call.arguments) for call in choices) <= MOST_CASES:
        call = choices[0]
        cases = (call.arguments[0], Negative(call.arguments[0])) if call.function == "abs" else call.arguments
        rest = [Arithmetic(Number(coefficient), "*", term) for term, coefficient in terms.items() if term != call]
        forms = []
        for case in cases:
            total: Integer = Arithmetic(Number(terms[call]), "*", case)
            for each in rest:
                total = Arithmetic(total, "+", each)
            forms.append(_bound(total, least - constant, box))
        return join(forms, every=(terms[call] > 0) == (call.function == "min"))
    return _decided(terms, least - constant, box)


def _decided(terms: dict[Integer, int], least: int, box: Box) -> Form:
    low, high = box.reach(terms)
    if low >= least:
        return TRUE
    if high < least:
        return FALSE
    shared = math.gcd(*terms.values())
    ordered = sorted(terms, key=str)
    return Bound(tuple((term, terms[term] // shared) for term in ordered), -(-least // shared))
