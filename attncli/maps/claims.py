"""Claims about maps, for tests of a model's attention: `no_leak; role(decoder.2.cross, monotonic) > 0.8`.

    claims := claim { ";" claim }
    claim  := "certified" | "no_leak" | "no_empty_rows"
            | "role" "(" address "," role [ "," head ] ")" comparison
            | statistic "(" address [ "," head ] ")" comparison
    comparison := ( "<" | "<=" | ">" | ">=" ) number

An address is one of the maps, the beginning of one, or a pattern (`decoder.*.cross_attention`). A role is that of the
head that has it most (attncli/maps/roles.py); a statistic (attncli/maps/statistics.py) must be so in every head and
sample. A head is a number, counted from 0.
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from attncli.errors import InputError
from attncli.maps.record import AttentionMap, Maps
from attncli.maps.roles import CROSS, SELF, roles
from attncli.maps.summary import STATISTICS

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
PLAIN = ("certified", "no_leak", "no_empty_rows")
ROLES = tuple(dict.fromkeys((*SELF, *CROSS)))
FORM = re.compile(r"(\w+)\s*\(([^()]*)\)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d*)?(?:[eE]-?\d+)?)")


@dataclass(frozen=True)
class Claim:
    """One claim, as it was written and as it is meant."""

    text: str
    name: str
    address: str = "*"
    role: str = ""
    head: int | None = None
    comparison: str = ""
    bound: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What was found of one claim."""

    claim: Claim
    holds: bool
    found: str
    """The number that decided, and where."""


def read_claims(text: str, option: str = "--assert") -> list[Claim]:
    """The claims of a text.

    Raises:
        InputError: everything that is no claim, with what there is to choose from.
    """
    found, faults = [], []
    for part in filter(None, map(str.strip, text.split(";"))):
        try:
            found.append(_read(part, option))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n\n".join(faults))
    if not found:
        raise InputError(f"{option}: nothing is claimed", help=f"write a claim such as {PLAIN[1]}")
    return found


def _read(text: str, option: str) -> Claim:
    if text in PLAIN:
        return Claim(text, text)
    match = FORM.fullmatch(text)
    if match is None:
        names = ", ".join((*PLAIN, "role(ADDRESS, ROLE) > NUMBER", "STATISTIC(ADDRESS) < NUMBER"))
        raise InputError(f"{option}: '{text}' is no claim", help=f"write {names}")
    name, given, comparison, bound = match.groups()
    words = [word.strip() for word in given.split(",")]
    if name != "role" and name not in STATISTICS:
        raise InputError(f"{option}: there is no '{name}'", help=f"choose role, or from {', '.join(STATISTICS)}")
    count = 2 if name == "role" else 1
    head = words[count] if len(words) == count + 1 else None
    if len(words) not in (count, count + 1) or not all(words) or not (head is None or head.isdecimal()):
        form = "role(ADDRESS, ROLE) or role(ADDRESS, ROLE, HEAD)" if count == 2 else f"{name}(ADDRESS, HEAD)"
        raise InputError(f"{option}: '{text}' names {given or 'nothing'}", help=f"write {form}")
    if count == 2 and words[1] not in ROLES:
        raise InputError(f"{option}: there is no role '{words[1]}'", help=f"choose from {', '.join(ROLES)}")
    role = words[1] if count == 2 else ""
    return Claim(text, name, words[0], role, None if head is None else int(head), comparison, float(bound))


def judge(maps: Maps, claims: list[Claim], option: str = "--assert") -> list[Verdict]:
    """What the maps say of each claim.

    Raises:
        InputError: a claim about an attention or a head that there is not, or a role of maps that were not kept whole.
    """
    return [_judge(maps, claim, option) for claim in claims]


def _judge(maps: Maps, claim: Claim, option: str) -> Verdict:
    match claim.name:
        case "certified":
            faults = maps.faults()
            return Verdict(claim, not faults, faults[0] if faults else "every check of every map holds")
        case "no_leak":
            return _largest(
                maps, claim, "weight where nothing may be seen", lambda one: one.certificate.forbidden_weight
            )
        case "no_empty_rows":
            return _largest(maps, claim, "rows that see no key", lambda one: float(one.certificate.empty_rows))
        case "role":
            return _role(maps, claim, option)
        case _:
            return _statistic(maps, claim, option)


def _largest(maps: Maps, claim: Claim, what: str, of: Callable[[AttentionMap], float]) -> Verdict:
    value, name = max(((of(one), name) for name, _, one in maps.items()), default=(0.0, "no map"))
    return Verdict(claim, value == 0, f"at most {value:.3g} {what} ({name})")


def _addressed(maps: Maps, claim: Claim, option: str) -> Iterator[tuple[str, AttentionMap]]:
    pattern = claim.address if any(sign in claim.address for sign in "*?[") else claim.address + "*"
    found = [(name, one) for name, _, one in maps.items() if fnmatchcase(one.address, pattern)]
    known = sorted({one.address for _, _, one in maps.items()})
    if not found:
        raise InputError(f"{option}: no map has the address '{claim.address}'", help=f"there are {', '.join(known)}")
    for name, one in found:
        if claim.head is not None and claim.head >= one.heads:
            rule = f"{option}: {one.address} has no head {claim.head}"
            raise InputError(rule, help=f"its heads are 0 to {one.heads - 1}")
        yield name, one


def _role(maps: Maps, claim: Claim, option: str) -> Verdict:
    addresses = {one.address for _, one in _addressed(maps, claim, option)}
    found = [
        role
        for role in roles(maps)
        if role.address in addresses and role.name == claim.role and claim.head in (None, role.head)
    ]
    if not found:
        rule = f"{option}: nothing can be said of the role {claim.role} of {claim.address}"
        raise InputError(rule, help="it needs whole maps of the right kind, with keys that the role is about")
    best = max(found, key=lambda role: role.score)
    holds = COMPARISONS[claim.comparison](best.score, claim.bound)
    return Verdict(claim, holds, f"{best.score:.3f} ({best.address}, head {best.head})")


def _statistic(maps: Maps, claim: Claim, option: str) -> Verdict:
    values = [
        (float(value), f"{name}, head {head}")
        for name, one in _addressed(maps, claim, option)
        for head, value in enumerate(one.summary.statistics[claim.name])
        if claim.head in (None, head)
    ]
    hardest = (max if claim.comparison in ("<", "<=") else min)(values)
    return Verdict(claim, COMPARISONS[claim.comparison](hardest[0], claim.bound), f"{hardest[0]:.3f} ({hardest[1]})")
