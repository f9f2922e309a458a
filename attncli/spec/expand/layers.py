"""The layers of a Transformer stack: counts and groups laid flat, and what the stack says handed to each branch."""

from dataclasses import dataclass, field

from attncli.spec.base import kind_of
from attncli.spec.expand.attention import Around, attention
from attncli.spec.expand.branches import HANDED, Entry, entries, entry, joined
from attncli.spec.expand.work import Work, count, filled, kind, union, word
from attncli.spec.feedforward import GATED as GATED_KINDS
from attncli.spec.nodes import Broken, Mapping, Node, Scalar, Sequence, derived
from attncli.spec.shapes import Number, Plain
from attncli.spec.tell import expected

BODIES = ("attention", "cross_attention", "feedforward")
DOWN = ("order", *HANDED, *BODIES)
"""Keys of a stack that every layer of it starts from."""
GATED = tuple(kind_of(record) for record in GATED_KINDS)
OWN = (
    "mask", "position", "selective", "select", "span", "key_dropout", "persistent", "second_projections", "kv_from",
    "short_convolution", "value_residual", "norm", "norm_place", "residual",
)  # fmt: skip
"""Keys of a layer's attention that its cross_attention does not start from."""
MOST_LAYERS = 10_000
Flat = tuple[Node, int]
"""A layer as written, with what stands above it, and its repeat."""


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


def _flat(work: Work, written: tuple[Node, ...], above: Mapping, start: int = 0) -> list[Flat]:
    """Layers with their repeats, groups unfolded; `start` layers come before them."""
    found: list[Flat] = []
    for element in written:
        if not isinstance(element, Mapping):
            found.append((element, 1))
            continue
        repeat = _repeat(work, element)
        inner = element.get("layers")
        own = work.over(above, element.without("repeat", "layers", *(("share",) if inner is not None else ())), "")
        assert isinstance(own, Mapping)
        if inner is None:
            found.append((own, repeat))
        elif isinstance(inner, Sequence):
            group = _flat(work, inner.items, own, start + sum(repeat for _, repeat in found))
            times = min(repeat, MOST_LAYERS + 1)
            share = element.get("share")
            work.spend(share)
            if share is not None and word(share) != "none":
                found += _visited(work, group, times, share, start + sum(repeat for _, repeat in found))
            else:
                found += _repeated(group, times)
        else:
            work.fault(
                inner, "layers: a group of layers holds a list of them", "write `layers: [{…}, {…}]`, or repeat alone"
            )
        if len(found) > MOST_LAYERS:
            break
    return found


def _visited(work: Work, group: list[Flat], times: int, share: Node, start: int) -> list[Flat]:
    """A group that is repeated with one set of weights: each later visit names the layers of the first."""
    if times == 1:
        work.fault(share, "share: one visit has nobody to share with", "write repeat, or leave share out")
    if any(isinstance(layer, Mapping) and "share" in layer.items for layer, _ in group):
        work.fault(share, "share: a layer of this group says so itself", "write share once")
    found = list(group)
    for _ in range(times - 1):
        number = start
        for layer, repeat in group:
            if isinstance(layer, Mapping):
                same = derived(number, "the first visit of the group", layer)
                layer = layer.plus("same_as", same).plus("share", share)
            found.append((layer, repeat))
            number += repeat
        if len(found) > MOST_LAYERS:
            break
    return found


def _repeated(group: list[Flat], times: int) -> list[Flat]:
    """A group several times, each with weights of its own; layers that share among themselves do so in each."""
    (first, repeat), *others = group
    if others or not isinstance(first, Mapping) or "share" in first.items:
        return group * times
    return [(first, repeat * times)]


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
    down = {key: node.items[key] for key in HANDED}
    if not isinstance(down["bias"], Broken) and not (
        isinstance(down["bias"], Scalar) and isinstance(down["bias"].value, bool)
    ):
        down["bias"] = work.fault(down["bias"], *expected("bias", Plain("flag"), down["bias"]))
    parts = _Parts(work, node, around, down)
    order = node.get("order")
    present = parts.present()
    named = [each.word for each in entries(order) if each.over is None] if isinstance(order, Sequence) else present
    rest = node.without("norm", "norm_place", "residual", "bias", *BODIES)
    for name in (*BODIES, "norm"):
        if name in named:
            rest = rest.plus(name, parts.made(name))
    if isinstance(order, Sequence):
        rest = rest.plus("order", Sequence(order.place, tuple(parts.placed(item) for item in order.items)))
    return filled(rest, "order", present, "the branches that are written or there by default")


@dataclass(frozen=True)
class _Parts:
    """The branches of one layer."""

    work: Work
    layer: Mapping
    around: Stack
    down: dict[str, Node]

    def present(self) -> list[str]:
        """The branches that a layer has whose order is not written."""
        gone = [name for name in BODIES if word(self.layer.get(name)) == "none"]
        self.work.spend(*(self.layer.get(name) for name in gone))
        if self.layer.get("cross_attention") is None and not self.around.beside:
            gone.append("cross_attention")
        return [name for name in BODIES if name not in gone]

    def made(self, name: str, over: Node | None = None) -> Node | None:
        """A branch complete, with what `order` says of it laid over what the layer says."""
        if name == "norm":
            norm = self.work.over(self.down["norm"], over, "norm")
            return None if word(norm) == "none" else norm
        written = self.layer.get(name)
        if over is not None:
            written = self.work.over(None if word(written) == "none" else written, over, name)
        if word(written) == "none" or (name == "cross_attention" and written is None and not self.around.beside):
            return None
        match name:
            case "attention":
                return _self(self.work, self.layer, written, self.around, self.down)
            case "cross_attention":
                own = self.layer.get("attention")
                return _cross(self.work, self.layer, own, written, self.around, self.down)
            case _:
                return feedforward(self.work, self.layer, written, self.around.width, self.down)

    def placed(self, item: Node) -> Node:
        """An element of `order` with its overrides complete."""
        if isinstance(item, Sequence):
            return Sequence(item.place, tuple(self.placed(one) for one in item.items))
        one: Entry = entry(item)
        if one.over is None or one.word not in (*BODIES, "norm") or not isinstance(item, Mapping):
            return item
        part = self.made(one.word, one.over)
        return item if part is None else item.plus(one.word, part)


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
    """A decoder reads the encoder; other stacks read another one where they say so."""
    start = union(own, "attention", layer)
    base: Node | None = None
    if word(own) != "none" and start is not None and kind(start, "multi_head") in ("multi_head", "differential"):
        base = start.without(*OWN)
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


def feedforward(
    work: Work, near: Mapping, written: Node | None, width: int | None, down: dict[str, Node], *, branch: bool = True,
    shared: bool = False,
) -> Node | None:  # fmt: skip
    """A feed-forward map; a `branch` joins the stream, an expert does not; `shared` serves all tokens beside them."""
    node = union(written, "feedforward", near)
    if node is None:
        return written
    node = filled(node, "kind", "swiglu", "default")
    if word(node.items["kind"]) == "experts":
        return joined(work, _experts(work, node, width, down), down)
    if not branch and (odd := [key for key in ("norm", "norm_place", "residual") if key in node.items]):
        work.fault(node.items[odd[0]], f"{odd[0]}: an expert is no branch of the stream", "write it beside `experts`")
    if not shared and "gate" in node.items and word(node.items["gate"]) != "none":
        says = "gate: only the shared map of experts has one; here the map itself can do what it would"
        work.fault(node.items["gate"], says, "leave gate out, or take a gated kind such as swiglu")
    if word(node.items["kind"]) in GATED:
        node = filled(node, "d_ff", width and -(-8 * width // 96) * 32, "8/3 d_model, up to a multiple of 32")
    else:
        node = filled(node, "d_ff", width and 4 * width, "4 d_model")
    node = filled(node, "bias", down["bias"], "the stack's")
    node = filled(node, "dropout", down["dropout"], "the stack's")
    return joined(work, node, down) if branch else node


def _experts(work: Work, node: Mapping, width: int | None, down: dict[str, Node]) -> Mapping:
    """Experts with the maps that they are made of complete."""
    made = feedforward(work, node, node.get("expert"), width, down, branch=False)
    node = node.plus("expert", made)
    if (shared := node.get("shared")) is not None and word(shared) != "none":
        node = node.plus("shared", feedforward(work, node, shared, width, down, branch=False, shared=True))
    return node
