"""How far a mask reaches, and how often it repeats: what a kernel must know to make blocks of it.

Bounds of q - k are read off the form of the mask (forms.py). They hold for rows of any length; what no bound is found
for may still be local, as far as is known here.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from attncli.spec.masks.forms import All, Bound, Form, Some, at_head, form_of
from attncli.spec.masks.linear import linear
from attncli.spec.masks.tree import Arithmetic, Integer, Name, Number, Truth

APART = (({Name("q"): 1, Name("k"): -1}, 0), ({Name("q"): -1, Name("k"): 1}, 0))
"""q - k, and k - q."""


class Local(NamedTuple):
    """Keys with -after <= q - k <= before, and q - k a multiple of `step`; other terms may hide some of them.

    `period`: the least p found with which (q + p, k + p) is seen as (q, k) is; None where there is none.
    """

    before: int
    after: int
    step: int
    period: int | None


@lru_cache(maxsize=512)
def local_of(tree: Truth, heads: int) -> Local | None:
    """The reach of all heads of a mask that reads q, k and h alone; None where it is not bounded on both sides."""
    forms = {form_of(at_head(tree, head)) for head in range(heads)}
    before, after = reach_of(tree, heads)
    if math.inf in (before, after):
        return None
    steps = {_step(form) for form in forms}
    return Local(max(0, int(before)), max(0, int(after)), steps.pop() if len(steps) == 1 else 1, period_of(tree, heads))


@lru_cache(maxsize=512)
def reach_of(tree: Truth, heads: int) -> tuple[float, float]:
    """The most that q - k, and k - q, can be over all heads."""
    before, after = zip(*(_reach(form_of(at_head(tree, head))) for head in range(heads)), strict=True)
    return max(before), max(after)


def _reach(form: Form) -> tuple[float, float]:
    """The most that q - k, and k - q, can be where the form holds."""
    match form:
        case All(forms=()):
            return math.inf, math.inf
        case All(forms=forms):
            back, ahead = zip(*map(_reach, forms), strict=True)
            return min(back), min(ahead)
        case Some(forms=forms):
            back, ahead = zip((0, 0), *map(_reach, forms), strict=True)
            return max(back), max(ahead)
        case Bound():
            return _reach_of(form)
        case _:
            return math.inf, math.inf


def _reach_of(bound: Bound) -> tuple[float, float]:
    """k - q >= c bounds q - k by -c; k // n - q // n >= c bounds it by n - 1 - n c."""
    terms = dict(bound.terms)
    places = {_place(term): coefficient for term, coefficient in terms.items()}
    sizes = {place[1] for place in places if place}
    if len(terms) != 2 or None in places or len(sizes) != 1 or len(places) != 2:
        return math.inf, math.inf
    (size,) = sizes
    of_q, of_k = places[("q", size)], places[("k", size)]
    if of_q + of_k:
        return math.inf, math.inf
    most = size - 1 - size * bound.least // abs(of_q)
    return (most, math.inf) if of_k > 0 else (math.inf, most)


def _place(term: Integer) -> tuple[str, int] | None:
    """q or k, or a quotient of one, with its divisor."""
    match term:
        case Name(name="q" | "k" as name):
            return name, 1
        case Arithmetic(left=Name(name="q" | "k" as name), operator="//", right=Number(number=size)):
            return name, size
        case _:
            return None


def _step(form: Form) -> int:
    """s, where the form asks for (q - k) % s == 0."""
    for each in form.forms if isinstance(form, All) else (form,):
        if isinstance(each, Bound) and each.least == 0 and len(each.terms) == 1 and each.terms[0][1] == -1:
            match each.terms[0][0]:
                case Arithmetic(left=left, operator="%", right=Number(number=step)) if linear(left) in APART:
                    return step
    return 1


def period_of(tree: Truth, heads: int) -> int | None:
    """The least p found with which (q + p, k + p) is seen as (q, k) by every head; None where there is none."""
    periods = [_period(form_of(at_head(tree, head))) for head in range(heads)]
    return None if None in periods else math.lcm(*(each for each in periods if each))


def _period(form: Form) -> int | None:
    bounds = list(_bounds(form))
    if None in bounds:
        return None
    known = [bound for bound in bounds if bound]
    for period in (1, math.lcm(1, *(size for bound in known for term, _ in bound.terms for size in _divisors(term)))):
        if all(_moved(bound, period) == 0 for bound in known):
            return period
    return None


def _bounds(form: Form) -> Iterator[Bound | None]:
    match form:
        case All(forms=forms) | Some(forms=forms):
            for each in forms:
                yield from _bounds(each)
        case _:
            yield form if isinstance(form, Bound) else None


def _divisors(term: Integer) -> Iterator[int]:
    if isinstance(term, Arithmetic):
        if term.operator in ("//", "%") and isinstance(term.right, Number):
            yield term.right.number
        for part in (term.left, term.right):
            yield from _divisors(part)


def _moved(bound: Bound, by: int) -> int | None:
    """What a step of q and k alike adds to the bounded sum; None where that depends on the place."""
    return _total([(coefficient, _step_of(term, by)) for term, coefficient in bound.terms])


def _total(parts: list[tuple[int, int | None]]) -> int | None:
    known = [coefficient * change for coefficient, change in parts if change is not None]
    return sum(known) if len(known) == len(parts) else None


def _step_of(term: Integer, by: int) -> int | None:
    match term:
        case Name(name="q" | "k"):
            return by
        case Number():
            return 0
        case Arithmetic(left=left, operator="//" | "%" as sign, right=Number(number=size)):
            inner = _total([(coefficient, _step_of(each, by)) for each, coefficient in linear(left)[0].items()])
            if inner is None or inner % size:
                return None
            return inner // size if sign == "//" else 0
        case _:
            return None
