"""One stack with everything that it leaves out: its input, its norms, its layers, or its cell and readout."""

from typing import get_args

from attncli.spec.expand.attention import Around, attention
from attncli.spec.expand.branches import entries
from attncli.spec.expand.layers import DOWN, Stack, layers
from attncli.spec.expand.work import Work, count, default, filled, kind, number, union, word
from attncli.spec.nodes import Mapping, Node, Sequence, derived
from attncli.spec.norms import NormPlace
from attncli.spec.recurrent import Recurrent
from attncli.spec.stacks import Transformer

READER_ONLY = ("cross_attention", "query", "input_feeding")
"""Keys of a recurrent stack that only one with cross_attention reads."""


def width(stack: Mapping) -> int | None:
    """Width of the states of a stack, before its defaults are put in; None where it cannot be known."""
    match kind(stack, "transformer"):
        case "transformer":
            return number(stack, "d_model", Transformer)
        case "recurrent":
            hidden = number(stack, "d_hidden", Recurrent)
            direction = union(stack.get("direction"), "direction", stack)
            if hidden is None or direction is None:
                return None
            both = (
                kind(direction, "forward") == "both"
                and (word(direction.get("merge")) or "concatenate") == "concatenate"
            )
            return 2 * hidden if both else hidden
        case _:
            return None


def transformer(work: Work, written: Mapping, around: Stack, field: str) -> Mapping:
    """A stack of Transformer layers."""
    node = filled(written, "kind", "transformer", "default")
    node = filled(node, "d_model", default(Transformer, "d_model"), "default")
    node = filled(node, "dropout", default(Transformer, "dropout"), "default")
    node = filled(node, "bias", False, "default")
    node = filled(node, "norm_place", "pre", "default")
    first = ("none", "norm_place is none") if word(node.items["norm_place"]) == "none" else ("rms_norm", "default")
    node = node.plus("norm", work.over(derived({"kind": first[0]}, first[1], node), node.get("norm"), "norm"))
    node = filled(node, "residual", {"kind": "add"}, "default")
    node = filled(node, "layers", 6, "default")
    node = _input(node, field, around.width, "d_model")
    flat = layers(work, node, around)
    node = _final_norm(work, node, flat).plus("layers", flat)
    return node.without("order", "bias", "attention", "cross_attention", "feedforward")


def _final_norm(work: Work, node: Mapping, layers: Node) -> Mapping:
    place = word(node.items["norm_place"])
    last = layers.items[-1] if isinstance(layers, Sequence) and layers.items else None
    ending = entries(last.get("order"))[-1:] if isinstance(last, Mapping) else []
    if place in ("post", "none"):
        return filled(node, "final_norm", {"kind": "none"}, f"norm_place is {place}")
    if ending and ending[0].word == "norm":
        return filled(node, "final_norm", {"kind": "none"}, "order ends in norm")
    if place not in get_args(NormPlace):
        return filled(node, "final_norm", None, "")
    return node.plus("final_norm", work.over(node.items["norm"], node.get("final_norm"), "final_norm"))


def _input(stack: Mapping, field: str, width: int | None, width_why: str) -> Mapping:
    node = union(stack.get("input"), "input", stack)
    if node is None:
        return stack
    node = filled(node, "kind", "tokens", "default")
    if word(node.items["kind"]) != "tokens":
        return stack.plus("input", node)
    node = filled(node, "field", field, "by the task")
    node = filled(node, "d_embedding", width, width_why)
    node = filled(node, "position", {"kind": "none"}, "default")
    waves = kind(union(node.items["position"], "position", node), "none") == "sinusoidal"
    node = filled(
        node, "scale", "sqrt_d_model" if waves else "none", "beside a sinusoidal position" if waves else "default"
    )
    return stack.plus("input", filled(node, "dropout", stack.items["dropout"], "the stack's"))


def recurrent(work: Work, written: Mapping, around: Stack, field: str, source: Mapping | None) -> Mapping:
    """A stack of recurrent layers; `source` is what a decoder reads."""
    node = filled(written, "kind", "recurrent", "default")
    node = filled(node, "d_hidden", default(Recurrent, "d_hidden"), "default")
    node = filled(node, "dropout", default(Recurrent, "dropout"), "default")
    node = filled(node, "bias", default(Recurrent, "bias"), "default")
    node = filled(node, "query", default(Recurrent, "query"), "default")
    hidden = count(node.items["d_hidden"])
    node = _input(node, field, hidden, "d_hidden")
    reads = word(node.get("cross_attention")) != "none" and (around.beside or "cross_attention" in node.items)
    if reads:
        node = _cross(work, node, around)
    bridged = source is not None and around.name == "decoder"
    node = _bridge(node, source if bridged else None)
    node = _feeding(node, reads)
    readout = union(node.get("readout"), "readout", node)
    if readout is None:
        return node
    first = ("dense", "beside cross_attention") if reads else ("state", "no context to read")
    readout = filled(readout, "kind", *first)
    if word(readout.items["kind"]) in ("dense", "maxout"):
        readout = filled(readout, "d_hidden", hidden, "d_hidden")
    return node.plus("readout", readout)


def _feeding(node: Mapping, reads: bool) -> Mapping:
    feeding = union(node.get("input_feeding"), "input_feeding", node)
    if feeding is None:
        return node
    previous = reads and word(node.items["query"]) == "previous_state"
    first = ("context", "query is previous_state") if previous else ("none", "default")
    return node.plus("input_feeding", filled(feeding, "kind", *first))


def _bridge(node: Mapping, source: Mapping | None) -> Mapping:
    bridge = union(node.get("bridge"), "bridge", node)
    if bridge is None:
        return node
    bridge = filled(bridge, "kind", *(("dense", "beside an encoder") if source else ("none", "nothing to start from")))
    if word(bridge.items["kind"]) == "dense":
        final = source is None or kind(source, "transformer") == "recurrent"
        bridge = filled(
            bridge, "of", *(("final", "default") if final else ("mean", "a transformer has no final state"))
        )
    return node.plus("bridge", bridge)


def _cross(work: Work, stack: Mapping, around: Stack) -> Mapping:
    node = union(stack.get("cross_attention"), "cross_attention", stack)
    if node is None:
        return stack
    if "stack" not in node.items and not around.beside:
        says = f"cross_attention: there is no encoder beside '{around.name}' to read"
        node = node.plus("stack", work.fault(node, says, "write an encoder, or take cross_attention away"))
    node = filled(node, "stack", "encoder", "default")
    query, why = _query_width(stack)
    read = word(node.items["stack"]) or ""
    down: dict[str, Node] = {
        "bias": stack.items["bias"], "dropout": stack.items["dropout"],
        "norm": derived({"kind": "none"}, "a recurrent decoder has no residual branch", stack),
        "norm_place": derived("pre", "not read", stack),
        "residual": derived({"kind": "add"}, "not read", stack),
    }  # fmt: skip
    return stack.plus("cross_attention", attention(work, node, Around(
        query=query, at=stack, key=around.widths.get(read), query_why=why, key_why=f"the width of {read}",
        heads=1, heads_why="default of recurrent stacks", mask="full", mask_why="default",
        position="none", position_why="two stacks share no positions", down=down, recurrent=True,
    )))  # fmt: skip


def _query_width(stack: Mapping) -> tuple[int | None, str]:
    hidden, asks = count(stack.items["d_hidden"]), word(stack.items["query"])
    if asks == "state_and_cell":
        return (2 * hidden if hidden else None), "(2 d_hidden)"
    if asks != "input_and_previous_state":
        return (hidden if asks in ("state", "previous_state") else None), "d_hidden"
    node = union(stack.get("input"), "input", stack)
    embedding = count(node.get("d_embedding")) if node else None
    return (hidden + embedding if hidden and embedding else None), "(d_hidden + d_embedding)"


__all__ = ["DOWN", "READER_ONLY", "recurrent", "transformer", "width"]
