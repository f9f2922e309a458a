"""What every branch takes from its layer: its norm, where that stands, and how it joins the stream."""

from dataclasses import dataclass

from attncli.spec.expand.work import Work, filled, word
from attncli.spec.nodes import Mapping, Node, Sequence

HANDED = ("norm", "norm_place", "residual", "bias", "dropout")
"""Keys of a layer that its branches start from."""


def joined(work: Work, node: Mapping, down: dict[str, Node]) -> Mapping:
    """A branch with norm, norm_place and residual."""
    node = filled(node, "norm_place", down["norm_place"], "the stack's")
    if word(node.items["norm_place"]) == "none":
        node = filled(node, "norm", {"kind": "none"}, "norm_place is none")
    else:
        node = node.plus("norm", work.over(down["norm"], node.get("norm"), "norm"))
    return node.plus("residual", work.over(down["residual"], node.get("residual"), "residual"))


@dataclass(frozen=True)
class Entry:
    """A branch as `order` writes it: its word, what is written there beside it, and where."""

    word: str | None
    over: Node | None
    node: Node


def entry(node: Node) -> Entry:
    """An element of `order`; one that is no branch has no word."""
    if isinstance(node, Mapping) and len(node.items) == 1:
        ((name, over),) = node.items.items()
        return Entry(name, over, node)
    return Entry(word(node), None, node)


def entries(order: Node | None) -> list[Entry]:
    """Every branch of an `order`, those side by side too."""
    if not isinstance(order, Sequence):
        return []
    return [found for item in order.items for found in (entries(item) if isinstance(item, Sequence) else [entry(item)])]
