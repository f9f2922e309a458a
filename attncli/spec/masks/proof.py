"""Proofs over forms: does one imply another? Sound, not complete: `False` means that no proof was found."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from attncli.spec.masks.forms import FALSE, TRUE, All, Bound, Form, Some, form_of, join
from attncli.spec.masks.linear import ANYWHERE, Box
from attncli.spec.masks.predicates import Full
from attncli.spec.masks.tree import And, Name, Not, Or, Truth

Q, K = Name("q"), Name("k")


class Witness(NamedTuple):
    """A query, a key and a head that show it; k is -1 where the claim is of the whole row."""

    q: int
    k: int
    h: int


class Band(NamedTuple):
    """Keys with -after <= q - k <= before; None is no limit."""

    before: int | None
    after: int | None


def implies(given: Form, goal: Form, box: Box = ANYWHERE) -> bool:
    """Whether wherever `given` holds, `goal` holds too, as far as it can be proved."""
    if goal in (given, TRUE) or given == FALSE:
        return True
    match given, goal:
        case _, All(forms=goals):
            return all(implies(given, each, box) for each in goals)
        case Some(forms=cases), _:
            return all(implies(each, goal, box) for each in cases)
        case _, Some(forms=goals) if any(implies(given, each, box) for each in goals):
            return True
        case All(forms=known), _:
            return any(implies(each, goal, box) for each in known)
        case Bound(), Bound():
            return _implies_bound(given, goal, box)
        case _:
            return False


def _implies_bound(given: Bound, goal: Bound, box: Box) -> bool:
    """goal's sum is given's sum plus a rest; given.least plus the least of the rest must reach goal.least."""
    rest = dict(goal.terms)
    for term, coefficient in given.terms:
        rest[term] = rest.get(term, 0) - coefficient
    low, _ = box.reach({term: coefficient for term, coefficient in rest.items() if coefficient})
    return given.least + low >= goal.least


def band_of(form: Form) -> Band | None:
    """The band that a form is, if all it bounds is q - k."""
    before = after = None
    for bound in form.forms if isinstance(form, All) else (form,):
        terms = dict(bound.terms) if isinstance(bound, Bound) else {}
        if not isinstance(bound, Bound) or terms not in ({Q: 1, K: -1}, {Q: -1, K: 1}):
            return None
        if terms[Q] > 0:
            after = -bound.least if after is None else min(after, -bound.least)
        else:
            before = -bound.least if before is None else min(before, -bound.least)
    return Band(before, after)


@dataclass(frozen=True)
class Idle:
    """A term that changes nothing, where it stands, and why."""

    term: Truth
    reason: str
    help: str


def idle_terms(tree: Truth, box: Box = ANYWHERE) -> Iterator[Idle]:
    """Every term of & and | that provably changes nothing: the later of two equal ones, the wider of two windows."""
    match tree:
        case Not(operand=operand):
            yield from idle_terms(operand, box)
        case And(parts=parts) | Or(parts=parts):
            yield from _idle_parts(isinstance(tree, And), list(parts), box)
        case _ if form_of(tree, box) == TRUE and not isinstance(tree, Full):
            yield Idle(tree, f"is always true{_within(tree, box)}", "write full")


def _idle_parts(every: bool, parts: list[Truth], box: Box) -> Iterator[Idle]:
    neutral, deciding = (TRUE, FALSE) if every else (FALSE, TRUE)
    for index in reversed(range(len(parts))):
        if len(parts) == 1:
            break
        part, others = parts[index], parts[:index] + parts[index + 1 :]
        form = form_of(part, box)
        if form in (neutral, deciding):
            always = f"is always {'true' if form == TRUE else 'false'}{_within(part, box)}"
            rest = "" if form == neutral else ", so the other terms change nothing"
            yield Idle(part, always + rest, "leave it out" if form == neutral else "leave them out, or it")
        elif culprit := _culprit(form, others, box, every):
            yield Idle(part, f"changes nothing beside {culprit}", "leave it out")
        else:
            yield from idle_terms(part, box)
            continue
        del parts[index]


def _culprit(form: Form, others: list[Truth], box: Box, every: bool) -> str | None:
    """What already says it."""
    for other in others:
        known = form_of(other, box)
        if implies(known, form, box) if every else implies(form, known, box):
            return f"'{other}'"
    rest = join([form_of(other, box) for other in others], every=every)
    return "the other terms" if (implies(rest, form, box) if every else implies(form, rest, box)) else None


def _within(part: Truth, box: Box) -> str:
    """Names the length that decides it, if the term would not be idle without one."""
    if form_of(part) in (TRUE, FALSE) or box.k_length is None:
        return ""
    return f" in rows of at most {max(box.k_length, box.q_length or 0):,} tokens"
