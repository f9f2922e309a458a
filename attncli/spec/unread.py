"""Written values that nobody reads: no key may do nothing."""

from collections.abc import Iterator

from attncli.spec.expand import Work
from attncli.spec.expand.model import CLASSES
from attncli.spec.expand.work import kind
from attncli.spec.merge import opened
from attncli.spec.nodes import Mapping, Node, Place, Scalar, Sequence
from attncli.spec.report import Found
from attncli.spec.shapes import keys_of
from attncli.spec.words import listed

Lost = tuple[tuple[str, ...], Place, list[Node]]


def unread(written: Mapping, final: Mapping, work: Work) -> Iterator[Found | str]:
    """What is written in the model and reaches no stack: a fault, or a note where it came by `extends`."""
    model = written.get("model")
    if not isinstance(model, Mapping):
        return
    read = set(work.spent)
    _reach(final, read)
    for path, place, lost in _lost(model, (), model.place, read)[1]:
        covers = [cover for leaf in lost for cover in work.covered.by.get(leaf, ())]
        if any(cover.source is not place.source for cover in covers):
            continue
        says, help = f"{path[-1]}: {_reason(path, model, covers)}", "take it away"
        if place.source.rank == 0 or place.source.flag:
            yield Found(place, says, help)
        else:
            yield f"{place}: {says}; it is not used"


def _reach(node: Node, reached: set[Node]) -> None:
    """Gather every node of a tree; layers that stand in many places are gone through once."""
    if node in reached:
        return
    reached.add(node)
    inner = node.items.values() if isinstance(node, Mapping) else node.items if isinstance(node, Sequence) else ()
    for item in inner:
        _reach(item, reached)


def _lost(node: Node, path: tuple[str, ...], place: Place, read: set[Node]) -> tuple[bool, list[Lost]]:
    """Whether all of a value is lost, and the largest parts that are."""
    if isinstance(node, Scalar):
        gone = node.why is None and node not in read
        return gone, [(path, place, [node])] if gone else []
    inner: list[tuple[bool, list[Lost]]] = []
    if isinstance(node, Mapping):
        inner = [_lost(item, (*path, key), node.key_place(key), read) for key, item in node.items.items()]
    elif isinstance(node, Sequence):
        inner = [_lost(item, path, item.place, read) for item in node.items]
    parts = [part for _, found in inner for part in found]
    if inner and path and all(gone for gone, _ in inner):
        return True, [(path, place, [leaf for _, _, lost in parts for leaf in lost])]
    return False, parts


def _reason(path: tuple[str, ...], model: Mapping, covers: list[Place]) -> str:
    stacks = [opened(model.get(name), name) for name in ("encoder", "decoder")]
    kinds = list(dict.fromkeys(kind(stack, "transformer") for stack in stacks if stack is not None))
    readers = [name for name, record in CLASSES.items() if path[0] in keys_of(record)]
    if len(path) == 1 and readers and not set(readers) & set(kinds):
        return f"no stack reads this: it is a key of {listed(readers)} stacks"
    if covers:
        lines = sorted({str(cover.line) for cover in covers}, key=int)
        return f"nothing reads this: line {listed(lines)} says otherwise for every place that could"
    return "nothing reads this: `order` leaves it out, or no stack has such a part"
