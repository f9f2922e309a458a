"""How far a mask reaches, and how often it repeats: what a kernel must know to make blocks of it.

Bounds of q - k are read off the form of the mask (forms.py). They hold for rows of any length; what no bound is found
for may still be local, as far as is known here. A few first keys may be seen, and a few first queries may see, at any
distance: what is left then is the form where q and k start behind them.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from attncli.spec.masks.forms import All, Bound, Form, Some, at_head, form_of
from attncli.spec.masks.linear import ANYWHERE, Box, linear
from attncli.spec.masks.tree import And, Arithmetic, Integer, Name, Number, Or, Truth

APART = (({Name("q"): 1, Name("k"): -1}, 0), ({Name("q"): -1, Name("k"): 1}, 0))
"""q - k, and k - q."""


MOST_ENDS = 4
"""Of more numbers of first keys (queries) that a mask sets apart, the largest alone is tried."""


class Local(NamedTuple):
    """Keys with -after <= q - k <= before, and q - k a multiple of `step`; other terms may hide some of them.

    `period`: the least p found with which (q + p, k + p) is seen as (q, k) is; None where there is none. All this is
    said of q >= rows and k >= columns: the first `columns` keys are seen from any distance, and the first `rows`
    queries see at any.
    """

    before: int
    after: int
    step: int
    period: int | None
    columns: int = 0
    rows: int = 0


@lru_cache(maxsize=512)
def local_of(tree: Truth, heads: int) -> Local | None:
    """The reach of all heads of a mask that reads q, k and h alone; None where it is not bounded on both sides.

    Of several ways to set first keys and queries apart: one that has a period, whose queries read the fewest keys.
    """
    forms = [form_of(at_head(tree, head)) for head in range(heads)]
    found = []
    for rows, columns in product(_ends(forms, "q"), _ends(forms, "k")):
        box = Box(q_first=rows, k_first=columns)
        before, after = reach_of(tree, heads, box)
        if math.inf not in (before, after):
            steps = {1} if rows or columns else {_step(form) for form in forms}
            step = steps.pop() if len(steps) == 1 else 1
            reach = max(0, int(before)), max(0, int(after))
            found.append(Local(*reach, step, period_of(tree, heads, box), columns, rows))
    read = {each: (each.period is None, each.before + each.after + each.columns + each.rows) for each in found}
    return min(found, key=read.__getitem__, default=None)


@lru_cache(maxsize=4096)
def reach_of(tree: Truth, heads: int, box: Box = ANYWHERE) -> tuple[float, float]:
    """The most that q - k, and k - q, can be over all heads, for places in the box."""
    before, after = zip(*(_reach(form_of(at_head(tree, head), box), box) for head in range(heads)), strict=True)
    return max(before), max(after)


def far_of(tree: Truth, heads: int) -> Truth | None:
    """What of a mask shows keys at any distance though other parts of it are local; None where no part is."""
    parts = tree.parts if isinstance(tree, And) else (tree,)
    for place, part in enumerate(parts):
        if isinstance(part, Or):
            others = (*parts[:place], *parts[place + 1 :])
            far = [each for each in part.parts if local_of(And((each, *others)), heads) is None]
            return far[0] if 0 < len(far) < len(part.parts) else None
    return None


def _ends(forms: list[Form], name: str) -> list[int]:
    """0, and the n for which q < n (k < n) occurs in the forms."""
    found = sorted({end for form in forms for bound in _bounds(form) if bound for end in _end(bound, name)})
    return [0, *(found if len(found) <= MOST_ENDS else found[-1:])]


def _end(bound: Bound, name: str) -> Iterator[int]:
    ((term, coefficient), *more) = bound.terms
    place = _place(term)
    if not more and coefficient < 0 and place and place[0] == name and bound.least <= 0:
        yield (1 - bound.least) * place[1]


def _reach(form: Form, box: Box) -> tuple[float, float]:
    """The most that q - k, and k - q, can be where the form holds."""
    match form:
        case All(forms=()):
            return math.inf, math.inf
        case All(forms=forms):
            back, ahead = zip(*(_reach(each, box) for each in forms), strict=True)
            return min(back), min(ahead)
        case Some(forms=forms):
            back, ahead = zip((0, 0), *(_reach(each, box) for each in forms), strict=True)
            return max(back), max(ahead)
        case Bound():
            return _reach_of(form, box)
        case _:
            return math.inf, math.inf


def _reach_of(bound: Bound, box: Box) -> tuple[float, float]:
    """k - q >= c bounds q - k by -c; k // n - q // n >= c bounds it by n - 1 - n c; q < n by n - 1 - the first key."""
    for end in _end(bound, "q"):
        return end - 1 - box.k_first, math.inf
    for end in _end(bound, "k"):
        return math.inf, end - 1 - box.q_first
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


def period_of(tree: Truth, heads: int, box: Box = ANYWHERE) -> int | None:
    """The least p found with which (q + p, k + p) is seen as (q, k) by every head in the box; None: there is none."""
    periods = [_period(form_of(at_head(tree, head), box)) for head in range(heads)]
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
