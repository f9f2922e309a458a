"""What an explanation is made of."""

from dataclasses import dataclass

Value = str | float | list[str] | list[float] | list[list[float]]


@dataclass(frozen=True)
class Option:
    """A key that may be written in a kind."""

    key: str
    takes: str
    default: str
    """As it is written in a spec; what it follows from where it is derived; `required` where there is none."""
    about: str


@dataclass(frozen=True)
class Step:
    """One line of a worked example: a name and what it is."""

    name: str
    value: Value


@dataclass(frozen=True)
class Entry:
    """One thing explained."""

    name: str
    what: str
    """`a kind of score`, `a key`, …"""
    where: str
    """The key under which it is written, from the top of a spec."""
    chinese: tuple[str, ...]
    text: str
    """Equation, shapes, source."""
    options: tuple[Option, ...] = ()
    notes: tuple[str, ...] = ()
    """What readers get wrong, and where the founding article errs."""
    example: tuple[Step, ...] = ()
    drawing: tuple[str, ...] = ()
