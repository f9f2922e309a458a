"""Equal layers that follow each other become one that is repeated. Each different layer is validated once."""

from pydantic import ValidationError

from attncli.spec.nodes import Mapping, Node, Sequence, derived, plain
from attncli.spec.stacks import Layer

Typed = dict[Node, Layer]


def folded(root: Mapping) -> tuple[Mapping, Typed]:
    """The spec with its layers folded, and its valid layers, typed, by their nodes."""
    typed: Typed = {}
    model = root.get("model")
    if not isinstance(model, Mapping):
        return root, typed
    for name in ("encoder", "decoder"):
        stack = model.get(name)
        layers = stack.get("layers") if isinstance(stack, Mapping) else None
        if isinstance(stack, Mapping) and isinstance(layers, Sequence):
            flat = Sequence(layers.place, tuple(_runs(layers.items, typed)), why=layers.why)
            model = model.plus(name, stack.plus("layers", flat))
    return root.plus("model", model), typed


def _runs(layers: tuple[Node, ...], typed: Typed) -> list[Node]:
    seen: dict[Node, Layer | None] = {}
    found: list[Node] = []
    last: Layer | None = None
    for node in layers:
        if node not in seen:
            seen[node] = _layer(node)
        layer = seen[node]
        if layer is not None and last is not None and _alike(layer, last):
            before = found.pop()
            assert isinstance(before, Mapping)
            layer = layer.model_copy(update={"repeat": last.repeat + layer.repeat})
            node = before.plus("repeat", derived(layer.repeat, "equal layers", before))
        found.append(node)
        if layer is not None:
            typed[node] = layer
        last = layer
    return found


def _alike(one: Layer, other: Layer) -> bool:
    if one.share != "none" or other.share != "none":
        return False  # each has a set of weights of its own
    return one is other or one.model_copy(update={"repeat": other.repeat}) == other


def _layer(node: Node) -> Layer | None:
    """The typed layer; None if it has faults, which the validation of the whole spec will tell."""
    try:
        return Layer.model_validate(plain(node)) if isinstance(node, Mapping) else None
    except ValidationError:
        return None
