"""The one rule by which values are laid over each other: in `extends`, `-o`, model over stack, stack over layer.

A mapping over a mapping goes key by key. A kind that is named replaces what it covers; a mapping that names none keeps
the kind below it. Everything else replaces.
"""

from collections.abc import Iterable
from pathlib import Path

from attncli.spec.nodes import Mapping, Node, Place, Scalar, Sequence, Source, leaves
from attncli.spec.reader import read_value
from attncli.spec.report import Found, Stop
from attncli.spec.shapes import unions


class Covered:
    """Remembers which written values lie under nearer ones, and where those are."""

    def __init__(self) -> None:
        self.by: dict[Node, list[Place]] = {}

    def __call__(self, far: Node, near: Node) -> None:
        for leaf in leaves(far):
            self.by.setdefault(leaf, []).append(near.place)


def merge(far: Node | None, near: Node | None, key: str, covered: Covered) -> Node:
    """`near` laid over `far`, both values of `key`."""
    if far is None or near is None or far is near:
        found = near if near is not None else far
        assert found is not None
        return found
    below = opened(far, key) if isinstance(near, Mapping) and not names_kind(near, key) else None
    if below is None:
        covered(far, near)
        return near
    assert isinstance(near, Mapping)
    items = dict(below.items)
    for name, value in near.items.items():
        role = "" if key == "fields" else name  # the names of fields are the user's own
        items[name] = merge(items.get(name), value, role, covered)
    return Mapping(near.place, items, below.keys | near.keys, why=near.why)


def opened(node: Node | None, key: str) -> Mapping | None:
    """The value as a mapping: itself, or a word that names a kind; None for anything else."""
    if isinstance(node, Mapping):
        return node
    kinds = unions().get(key)
    if kinds is None or not isinstance(node, Scalar) or not isinstance(node.value, str):
        return None
    if node.value == "none" and "none" not in kinds:
        return None
    return Mapping(node.place, {"kind": node}, {}, why=node.why)


def names_kind(node: Mapping, key: str) -> bool:
    """Whether this is a value of a union that names its kind, and so replaces what lies below."""
    return "kind" in node.items and key in unions()


def overridden(root: Mapping, overrides: Iterable[str], faults: list[Found], covered: Covered) -> Mapping:
    """The spec with every `-o key.sub=value` laid over it, from left to right."""
    for rank, text in enumerate(overrides):
        source = Source(f"-o {text}", tuple(text.splitlines()) or ("",), Path.cwd(), rank=1000 + rank, flag=True)
        key, sign, value = text.partition("=")
        steps = key.strip().split(".")
        if not sign or not all(steps):
            faults.append(Found(Place(source, 1, 1), "this is not key=value", "write -o train.duration=200"))
            continue
        try:
            node = read_value(" " * (len(key) + 1) + value, source, faults)
            laid = _laid(root, steps, node, "", source, 1, covered)
        except Stop as stop:
            faults.append(stop.found)
            continue
        assert isinstance(laid, Mapping)
        root = laid
    return root


def _laid(
    node: Node | None, steps: list[str], value: Node, key: str, source: Source, column: int, covered: Covered
) -> Node:
    """`node` with `value` laid over what the steps lead to; they begin at `column` of the text of the flag."""
    if not steps:
        return merge(node, value, key, covered)
    step, rest = steps[0], steps[1:]
    place, after = Place(source, 1, column), column + len(step) + 1
    if isinstance(node, Sequence) and step.isdigit():
        return _element(node, step, rest, value, place, after, covered)
    base = opened(node, key)
    if step.isdigit() and (base is None or step not in base.items):
        says = f"'{key}' is no list here, so it has no element {step}" if key else f"there is no list to take {step} of"
        raise Stop(Found(place, says, "an integer addresses an element that a list in the file already has"))
    if node is not None and (base is None or (step == "kind" and key in unions())):
        covered(node, value)
        base = None
    items = base.items if base else {}
    keys = base.keys if base else {}
    inner = _laid(items.get(step), rest, value, "" if key == "fields" else step, source, after, covered)
    return Mapping(base.place if base else place, items | {step: inner}, keys | {step: place})


def _element(
    node: Sequence, step: str, rest: list[str], value: Node, place: Place, after: int, covered: Covered
) -> Node:
    index = int(step)
    if index >= len(node.items):
        says = f"there is no element {step}: the list has {len(node.items)}, counted from 0"
        raise Stop(Found(place, says, "an integer addresses an element that a list in the file already has"))
    changed = _laid(node.items[index], rest, value, "", place.source, after, covered)
    return Sequence(node.place, (*node.items[:index], changed, *node.items[index + 1 :]), why=node.why)
