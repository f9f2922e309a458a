"""The layers of a Transformer stack: counts and groups laid flat, and what the stack says handed to each branch."""

from dataclasses import dataclass, field

from attncli.spec.expand.attention import Around, attention
from attncli.spec.expand.work import Work, count, filled, kind, union, word
from attncli.spec.nodes import Broken, Mapping, Node, Scalar, Sequence, derived
from attncli.spec.shapes import Number, Plain
from attncli.spec.tell import expected

DOWN = ("order", "norm", "norm_place", "bias", "dropout", "attention", "cross_attention", "feedforward")
"""Keys of a stack that every layer of it starts from."""
MOST_LAYERS = 10_000
GATED = ("swiglu", "geglu")


@dataclass(frozen=True)
class Stack:
    """What the layers take from their stack and its neighbours."""

    name: str
    width: int | None
    width_at: Node
    """Where the width is written, else the stack."""
    causal: bool
    absolute: bool
    """The input writes its position."""
    widths: dict[str, int | None]
    """Widths of the states of every stack."""
    beside: bool
    """A decoder with an encoder beside it."""
    done: dict[tuple[Node, int], Mapping] = field(default_factory=dict)
    """Layers that are finished, by what they came from and their repeat."""


def layers(work: Work, stack: Mapping, around: Stack) -> Node:
    """The flat list of layers with their branches complete."""
    written = stack.items["layers"]
    above = Mapping(stack.place, {key: stack.items[key] for key in DOWN if key in stack.items}, stack.keys)
    if isinstance(written, Sequence):
        flat = _flat(work, written.items, above)
    elif (depth := count(written, 0)) is not None:
        work.spend(written)
        flat = [(above, depth)] if depth else []
    else:
        return written
    if sum(repeat for _, repeat in flat) > MOST_LAYERS:
        return work.fault(written, f"layers: more than {MOST_LAYERS:,} of them", "write fewer, or a smaller repeat")
    return Sequence(written.place, tuple(_layer(work, node, repeat, around) for node, repeat in flat), why=written.why)


def _flat(work: Work, written: tuple[Node, ...], above: Mapping) -> list[tuple[Node, int]]:
    """Layers with their repeats, groups unfolded."""
    found: list[tuple[Node, int]] = []
    for element in written:
        if not isinstance(element, Mapping):
            found.append((element, 1))
            continue
        repeat = _repeat(work, element)
        own = work.over(above, element.without("repeat", "layers"), "")
        assert isinstance(own, Mapping)
        inner = element.get("layers")
        if inner is None:
            found.append((own, repeat))
        elif isinstance(inner, Sequence):
            group = _flat(work, inner.items, own)
            times = min(repeat, MOST_LAYERS + 1)
            found += [(group[0][0], group[0][1] * times)] if len(group) == 1 else group * times
        else:
            work.fault(
                inner, "layers: a group of layers holds a list of them", "write `layers: [{…}, {…}]`, or repeat alone"
            )
        if len(found) > MOST_LAYERS:
            break
    return found


def _repeat(work: Work, element: Mapping) -> int:
    written = element.get("repeat")
    if written is None or isinstance(written, Broken):
        return 1
    if (times := count(written)) is None:
        work.fault(written, *expected("repeat", Number(True, least=1), written))
        return 1
    work.spend(written)
    return times


def _layer(work: Work, node: Node, repeat: int, around: Stack) -> Node:
    """One layer with its branches, finished once for all places where it stands."""
    if not isinstance(node, Mapping):
        return node
    if (node, 1) not in around.done:
        around.done[node, 1] = _finished(work, node, around)
    if (node, repeat) not in around.done:
        around.done[node, repeat] = around.done[node, 1].plus("repeat", derived(repeat, "layers alike", node))
    return around.done[node, repeat]


def _finished(work: Work, node: Mapping, around: Stack) -> Mapping:
    down = {key: node.items[key] for key in ("norm", "norm_place", "bias", "dropout")}
    if not isinstance(down["bias"], Broken) and not (
        isinstance(down["bias"], Scalar) and isinstance(down["bias"].value, bool)
    ):
        down["bias"] = work.fault(down["bias"], *expected("bias", Plain("flag"), down["bias"]))
    written, cross, feedforward = (node.get(key) for key in ("attention", "cross_attention", "feedforward"))
    work.spend(*(value for value in (written, cross, feedforward) if word(value) == "none"))
    made = {
        "attention": None if word(written) == "none" else _self(work, node, written, around, down),
        "cross_attention": _cross(work, node, written, cross, around, down),
        "feedforward": None if word(feedforward) == "none" else _feedforward(work, node, feedforward, around, down),
    }
    rest = node.without("norm", "norm_place", "bias", *made)
    order = node.get("order")
    named = [word(item) for item in order.items] if isinstance(order, Sequence) else list(made)
    for branch, value in made.items():
        if branch in named:
            rest = rest.plus(branch, value)
    present = [branch for branch, value in made.items() if value is not None]
    return filled(rest, "order", present, "the branches that are written or there by default")


def _self(work: Work, layer: Mapping, written: Node | None, around: Stack, down: dict[str, Node]) -> Node | None:
    node = union(written, "attention", layer)
    if node is None:
        return written
    heads = None if around.width is None else max(1, around.width // 64)
    position = ("none", "the input has positions") if around.absolute else ("rotary", "no position is written")
    return attention(work, node, Around(
        query=around.width, key=around.width, query_why="d_model", at=around.width_at, key_why="d_model",
        heads=heads, heads_why="max(1, d_model // 64)",
        mask="causal" if around.causal else "full", mask_why="in `decoder`" if around.causal else "default",
        position=position[0], position_why=position[1], down=down,
    ))  # fmt: skip


def _cross(
    work: Work, layer: Mapping, own: Node | None, written: Node | None, around: Stack, down: dict[str, Node]
) -> Node | None:
    """A decoder beside an encoder reads it; other stacks read another one where they say so."""
    if word(written) == "none" or (written is None and not around.beside):
        return None
    start = union(own, "attention", layer)
    base: Node | None = None
    if word(own) != "none" and start is not None and kind(start, "multi_head") == "multi_head":
        base = start.without("mask", "position", "norm", "norm_place")
    node = union(work.over(base, written, "cross_attention"), "cross_attention", layer)
    if node is None:
        return written
    node = _reads(work, node, around)
    read = word(node.get("stack"))
    heads = None if around.width is None else max(1, around.width // 64)
    return attention(work, node, Around(
        query=around.width, key=around.widths.get(read or ""), query_why="d_model", key_why=f"the width of {read}",
        at=around.width_at, heads=heads, heads_why="max(1, d_model // 64)", mask="full", mask_why="default",
        position="none", position_why="two stacks share no positions", down=down,
    ))  # fmt: skip


def _reads(work: Work, node: Mapping, around: Stack) -> Mapping:
    """Which stack is read: the encoder, unless another one is named."""
    if "stack" not in node.items and (around.name == "encoder" or "encoder" not in around.widths):
        says = f"cross_attention: there is no encoder beside '{around.name}' to read"
        return node.plus("stack", work.fault(node, says, "write an encoder, or take cross_attention away"))
    return filled(node, "stack", "encoder", "default")


def _feedforward(work: Work, layer: Mapping, written: Node | None, around: Stack, down: dict[str, Node]) -> Node | None:
    node = union(written, "feedforward", layer)
    if node is None:
        return written
    node = filled(node, "kind", "swiglu", "default")
    width = around.width
    if word(node.items["kind"]) in GATED:
        node = filled(node, "d_ff", width and -(-8 * width // 96) * 32, "8/3 d_model, up to a multiple of 32")
    else:
        node = filled(node, "d_ff", width and 4 * width, "4 d_model")
    node = filled(node, "bias", down["bias"], "the stack's")
    node = filled(node, "dropout", down["dropout"], "the stack's")
    node = node.plus("norm", work.over(down["norm"], node.get("norm"), "norm"))
    return filled(node, "norm_place", down["norm_place"], "the stack's")
