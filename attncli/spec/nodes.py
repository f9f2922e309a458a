"""The tree between YAML text and the typed spec: values that know where they were written, or why they are there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True, eq=False)
class Source:
    """A text that values come from: a file, or one `-o key=value`."""

    name: str
    """As messages call it."""
    lines: tuple[str, ...]
    folder: Path
    """Relative paths start here."""
    rank: int = 0
    """Faults are reported source by source in this order."""
    flag: bool = False
    """A `-o key=value`, which has one line and no number for it."""


class Place(NamedTuple):
    """A character of a source; line and column count from 1."""

    source: Source
    line: int
    column: int

    def __str__(self) -> str:
        return self.source.name if self.source.flag else f"{self.source.name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value and its place. A derived value has a reason as well; its place is that of what it follows from."""

    place: Place
    why: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Scalar(Node):
    """Text, a number, true or false."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True, eq=False)
class Mapping(Node):
    """Keys with their values, and the places of the keys."""

    items: dict[str, Node]
    keys: dict[str, Place]

    def get(self, key: str) -> Node | None:
        """The value of `key`, or None."""
        return self.items.get(key)

    def key_place(self, key: str) -> Place:
        """Where `key` is written; the mapping's own place where it is not."""
        return self.keys.get(key, self.place)

    def without(self, *keys: str) -> "Mapping":
        """The same mapping without some keys."""
        return Mapping(self.place, {k: v for k, v in self.items.items() if k not in keys}, self.keys, why=self.why)

    def plus(self, key: str, value: Node | None) -> "Mapping":
        """The same mapping with one more value, or with another one in its place; None adds nothing."""
        return self if value is None else Mapping(self.place, self.items | {key: value}, self.keys, why=self.why)


@dataclass(frozen=True, slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Broken(Node):
    """Stands where a fault has been reported or a value cannot be known, so that nothing further is said about it."""


def derived(value: Any, why: str, near: Node) -> Node:
    """A value that nobody wrote, with its reason; faults in it are shown at `near`."""
    match value:
        case dict():
            items = {key: item if isinstance(item, Node) else derived(item, why, near) for key, item in value.items()}
            return Mapping(near.place, items, {}, why=why)
        case list() | tuple():
            items_ = tuple(item if isinstance(item, Node) else derived(item, why, near) for item in value)
            return Sequence(near.place, items_, why=why)
        case _:
            return Scalar(near.place, value, why=why)


def plain(node: Node, made: "dict[Node, Any] | None" = None) -> Any:
    """The value without places. Broken values leave their mapping, and break the list that they stand in.

    `made` holds the finished values of some nodes.
    """
    if made and node in made:
        return made[node]
    match node:
        case Scalar():
            return node.value
        case Mapping():
            return {key: plain(item, made) for key, item in node.items.items() if not is_broken(item)}
        case Sequence():
            return [plain(item, made) for item in node.items]
        case _:
            raise AssertionError("a broken value has no plain form")


def is_broken(node: Node) -> bool:
    """Whether this value, or an element of this list, is broken."""
    return isinstance(node, Broken) or (isinstance(node, Sequence) and any(is_broken(item) for item in node.items))


def leaves(node: Node) -> Iterator[Node]:
    """Every node below that holds no others: scalars, and empty mappings and lists."""
    match node:
        case Mapping(items=items) if items:
            for item in items.values():
                yield from leaves(item)
        case Sequence(items=elements) if elements:
            for item in elements:
                yield from leaves(item)
        case _:
            yield node
