"""What every step of the expansion shares: the faults so far, who read what, and how a default is put in."""

from dataclasses import dataclass, field
from typing import Any

from attncli.spec.base import Spec
from attncli.spec.merge import Covered, merge, opened
from attncli.spec.nodes import Broken, Mapping, Node, Place, Scalar, Sequence, derived, leaves
from attncli.spec.report import Found

Words = frozenset[str]


@dataclass
class Work:
    """The state of one expansion."""

    covered: Covered
    faults: list[Found]
    notes: list[str] = field(default_factory=list)
    spent: set[Node] = field(default_factory=set)
    """Written values that did their work above the place where the typed spec holds it."""
    task: str | None = None
    """The word of the task, if it is known."""

    def fault(self, node: Node | Place, says: str, help: str) -> Broken:
        """Report a fault, and stand in for the value that has it."""
        place = node.place if isinstance(node, Node) else node
        self.faults.append(Found(place, says, help))
        return Broken(place)

    def spend(self, *nodes: Node | None) -> None:
        """Note that these values were read."""
        for node in nodes:
            self.spent.update(leaves(node) if node is not None else ())

    def over(self, far: Node | None, near: Node | None, key: str) -> Node | None:
        """`near` laid over `far`; either may be missing."""
        return merge(far, near, key, self.covered) if far is not None or near is not None else None


def filled(node: Mapping, key: str, value: Any, why: str) -> Mapping:
    """The mapping with a default where `key` is not written. None is a value that cannot be known."""
    if key in node.items:
        return node
    return node.plus(key, Broken(node.place) if value is None else _default(value, why, node))


def _default(value: Any, why: str, near: Mapping) -> Node:
    return value if isinstance(value, Node) else derived(value, why, near)


def count(node: Node | None, least: int = 1) -> int | None:
    """The integer that a value is, None for anything else."""
    value = node.value if isinstance(node, Scalar) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= least else None


def word(node: Node | None) -> str | None:
    """The text that a value is, None for anything else."""
    value = node.value if isinstance(node, Scalar) else None
    return value if isinstance(value, str) else None


def kind(node: Node | None, first: str) -> str | None:
    """The kind that a value of a union names, `first` where it names none, None where it cannot be known."""
    if isinstance(node, Mapping):
        return word(node.items["kind"]) if "kind" in node.items else first
    return word(node)


def default(record: type[Spec], key: str) -> Any:
    """The default that the typed class itself has."""
    return record.model_fields[key].default


def number(node: Mapping, key: str, record: type[Spec]) -> int | None:
    """A count of this record: as written, else the default of its class."""
    return count(node.get(key)) if key in node.items else default(record, key)


def union(node: Node | None, key: str, near: Mapping) -> Mapping | None:
    """A value of a union as a mapping; an empty one where nothing is written; None where it is no such value."""
    return Mapping(near.place, {}, {}, why="default") if node is None else opened(node, key)


def words(node: Node | None, every: tuple[str, ...], all_: tuple[Any, ...], none: tuple[Any, ...]) -> Words | None:
    """A list of some words, of which `all_` and `none` hold short forms; None where it is no such list."""
    if isinstance(node, Sequence):
        found = frozenset(word(item) or "" for item in node.items)
        return found if found <= frozenset(every) else None
    value = node.value if isinstance(node, Scalar) else None
    for short, meant in ((all_, every), (none, ())):
        if any(type(value) is type(each) and value == each for each in short):
            return frozenset(meant)
    return None
