"""One attention with everything that it leaves out: heads, widths, score, position, mask, and what its layer says."""

from dataclasses import dataclass, replace

from attncli.spec.attention import Differential, MultiHead
from attncli.spec.base import Spec
from attncli.spec.expand.branches import joined
from attncli.spec.expand.work import Work, count, filled, union, word, words
from attncli.spec.fixed import PROJECTIONS
from attncli.spec.nodes import Mapping, Node, Scalar, derived
from attncli.spec.positions import Rotary, Xpos
from attncli.spec.scores import Additive, ScaledDot
from attncli.spec.steps import Indexer
from attncli.spec.words import listed


@dataclass(frozen=True)
class Around:
    """What an attention takes from the place where it stands."""

    query: int | None
    """Width of the states that ask; None where it cannot be known."""
    key: int | None
    """Width of the states that are read."""
    query_why: str
    key_why: str
    at: Node
    """Where the width of the states that ask is written."""
    heads: int | None
    """Heads where none are written."""
    heads_why: str
    mask: str
    mask_why: str
    position: str
    position_why: str
    down: dict[str, Node]
    """bias, dropout, norm, norm_place and residual of the layer."""
    recurrent: bool = False


def attention(work: Work, written: Mapping, around: Around) -> Mapping:
    """The attention with its defaults put in."""
    node = filled(written, "kind", "multi_head", "default")
    match word(node.items["kind"]):
        case "latent":
            return _latent(work, node, around)
        case "linear":
            return _running(work, node, around)
        case "performer" | "retention":
            return _running(work, _positioned(work, _parted(work, node, around), around), around)
        case "delta" | "gated_delta":
            node = _running(work, node, around)
            return filled(node, "qk_heads", count(node.items["heads"]), "heads")
    if word(node.items["kind"]) not in ("multi_head", "differential"):
        return node
    around = _of_maps(node, around)
    node = _projected(node, around)
    maps = words(node.get("projections"), PROJECTIONS, ("all", True), ("none", False))
    mapped = maps and maps | ({"key", "value"} if _borrows(node) else {"value"} if _shares(node) & maps else set())
    node = _heads(work, node, around)
    node = _widths(work, node, mapped, around)
    node = _scored(node, mapped, around)
    node = _positioned(work, _selected(node), around)
    node = filled(node, "mask", around.mask, around.mask_why)
    node = filled(node, "dropout", around.down["dropout"], "the stack's")
    return _biased(work, joined(work, node, around.down), maps, around)


def _running(work: Work, node: Mapping, around: Around) -> Mapping:
    node = _parted(work, node, around)
    node = filled(node, "d_value", count(node.items["d_head"]), "d_head")
    node = filled(node, "mask", around.mask, around.mask_why)
    return filled(joined(work, node, around.down), "bias", around.down["bias"], "the stack's")


def _parted(work: Work, node: Mapping, around: Around) -> Mapping:
    """Heads, each an equal part of the width."""
    node = filled(node, "heads", around.heads, around.heads_why)
    heads = count(node.items["heads"])
    if heads is None:
        return filled(node, "d_head", None, "")
    return _share(work, node, "d_head", around.query, heads, f"{around.query_why} // heads", mapped=True)


def _latent(work: Work, node: Mapping, around: Around) -> Mapping:
    """Widths of the parts of a head; the part that turns is half as wide as the other, as in DeepSeek's models."""
    node = _parted(work, node, around)
    d_head = count(node.items["d_head"])
    node = filled(node, "d_rotary", d_head and max(1, d_head // 2), "d_head // 2")
    node = filled(node, "d_value", d_head, "d_head")
    node = _positioned(work, node, around, "d_rotary")
    node = filled(node, "mask", around.mask, around.mask_why)
    node = filled(node, "dropout", around.down["dropout"], "the stack's")
    return filled(joined(work, node, around.down), "bias", around.down["bias"], "the stack's")


def _a_head(node: Mapping) -> int:
    """Maps of weights that a head has."""
    return (Differential if word(node.items["kind"]) == "differential" else MultiHead).maps_a_head


def _of_maps(node: Mapping, around: Around) -> Around:
    """A head of two maps takes the room of two heads."""
    if _a_head(node) == 1 or around.heads is None or around.query is None or around.recurrent:
        return around
    return replace(around, heads=max(1, around.query // 128), heads_why="max(1, d_model // 128)")


def _projected(node: Mapping, around: Around) -> Mapping:
    """A recurrent decoder scores raw states unless maps are asked for."""
    if _borrows(node):
        return filled(node, "projections", ["query", "output"], "keys and values are those of kv_from")
    if _shares(node) and not around.recurrent:
        return filled(node, "projections", ["query", "key", "output"], "the values are the keys")
    return filled(
        node, "projections", "none" if around.recurrent else "all", "raw states" if around.recurrent else "default"
    )


def _borrows(node: Mapping) -> bool:
    """Whether keys and values are those of another layer."""
    return word(node.get("kv_from")) not in (None, "none")


def _shares(node: Mapping) -> frozenset[str]:
    """The map that makes the values where the keys are the values too."""
    return frozenset({"key"} if word(node.get("values")) == "keys" else ())


def _heads(work: Work, node: Mapping, around: Around) -> Mapping:
    divides = around.heads is None or around.query is None or around.query % around.heads == 0
    if "heads" not in node.items and "d_head" not in node.items and not divides:
        says = f"heads: {around.heads_why} is {around.heads}, which does not divide {around.query_why}, {around.query}"
        help = f"write attention.heads: {_divisors(around.query, around.heads)}"
        node = node.plus("heads", work.fault(around.at, says, help))
    node = filled(node, "heads", around.heads, around.heads_why)
    return filled(node, "kv_heads", count(node.items["heads"]), "heads")


def _divisors(width: int | None, near: int | None) -> str:
    """The numbers of heads nearest to the one given that would do."""
    found = [n for n in range(1, 257) if width and width % n == 0]
    return listed(str(n) for n in sorted(sorted(found, key=lambda n: abs(n - (near or 1)))[:4]))


def _widths(work: Work, node: Mapping, maps: frozenset[str] | None, around: Around) -> Mapping:
    """d_head and d_value: free where there are maps, the share of a raw state where there are none."""
    heads, kv_heads = count(node.items["heads"]), count(node.items["kv_heads"])
    if maps is None or heads is None or kv_heads is None:
        return filled(filled(node, "d_head", None, ""), "d_value", count(node.get("d_head")), "d_head")
    raw_key, each = "query" in maps and "key" not in maps, _a_head(node)
    of = "" if each == 1 else f"{each} "
    width, parts, name = (
        (around.key, each * kv_heads, f"{around.key_why} // {of}kv_heads") if raw_key else
        (around.query, each * heads, f"{around.query_why} // {of}heads")
    )  # fmt: skip
    node = _share(work, node, "d_head", width, parts, name, mapped={"query", "key"} <= maps)
    if "value" in maps:
        d_head = count(node.items["d_head"])
        return filled(node, "d_value", d_head and each * d_head, f"{of}d_head")
    return _share(work, node, "d_value", around.key, kv_heads, f"{around.key_why} // kv_heads", mapped=False)


def _share(work: Work, node: Mapping, key: str, width: int | None, parts: int, why: str, *, mapped: bool) -> Mapping:
    """A width that is one of `parts` equal parts of another one; where there is a map, another may be written."""
    if key in node.items or width is None:
        return filled(node, key, None, "")
    if width % parts:
        name, word_ = why.split(" // ")
        word_ = word_.split()[-1]
        says = f"{word_}: {parts} {word_} do not divide {name}, {width}"
        help = f"write {word_}: {_divisors(width, parts)}"
        return node.plus(
            key, work.fault(_nearest(node, word_, "heads"), says, f"{help}; or write {key}" if mapped else help)
        )
    return filled(node, key, width // parts, why)


def _selected(node: Mapping) -> Mapping:
    """An indexer's heads are as wide as those of its attention."""
    select = union(node.get("select"), "select", node)
    if select is None or word(select.get("kind")) != "indexer":
        return node
    return node.plus("select", _with(select, Indexer, "d_head", count(node.items["d_head"]), "d_head of the attention"))


def _scored(node: Mapping, maps: frozenset[str] | None, around: Around) -> Mapping:
    raw = around.recurrent and maps is not None and not {"query", "key"} <= maps
    return node.plus("score", scored(node, count(node.items["d_head"]), raw))


def scored(node: Mapping, d_head: int | None, raw: bool = False) -> Node:
    """The score of an attention. Raw states of a recurrent decoder may differ in width, so theirs is additive."""
    score = union(node.get("score"), "score", node)
    if score is None:
        return node.items["score"]
    first = ("additive", "raw states: fits any two widths") if raw else ("scaled_dot", "default")
    score = filled(score, "kind", *first)
    match word(score.items["kind"]):
        case "scaled_dot":
            return _with(score, ScaledDot, "scale", d_head and d_head**-0.5, "1/sqrt(d_head)")
        case "additive" | "coverage" | "location_aware":
            return _with(score, Additive, "d_hidden", d_head, "d_head")
        case _:
            return score


def _with(node: Mapping, record: type[Spec], key: str, value: float | None, why: str) -> Mapping:
    assert key in record.model_fields
    return filled(node, key, value, why)


def _positioned(work: Work, node: Mapping, around: Around, width: str = "d_head") -> Mapping:
    """The position; what turns is `width` wide at most."""
    written = node.get("position")
    position = union(written, "position", node)
    if position is None:
        return node
    if written is None:
        position = filled(position, "kind", around.position, around.position_why)
    position = filled(position, "kind", "rotary", "default")
    d_head = count(node.items[width])
    turning = word(position.items["kind"])
    if turning in ("rotary", "xpos") and "d_rotary" not in position.items:
        assert "d_rotary" in Rotary.model_fields
        assert "d_rotary" in Xpos.model_fields
        if d_head is not None and d_head % 2:
            says = f"position: {turning} turns pairs of features, but a head has {d_head} ({_why(node.items[width])})"
            where = written or _nearest(node, width, "d_head", "heads")
            position = position.plus("d_rotary", work.fault(where, says, f"write an even {width}, or another position"))
        position = filled(position, "d_rotary", d_head, width)
    return node.plus("position", position)


def _why(node: Node) -> str:
    return node.why or "as written"


def _nearest(node: Mapping, *keys: str) -> Node:
    """The first of these values that somebody wrote, else the mapping."""
    return next((node.items[key] for key in keys if key in node.items and node.items[key].why is None), node)


def _biased(work: Work, node: Mapping, maps: frozenset[str] | None, around: Around) -> Mapping:
    """The biases of the maps that exist."""
    node = filled(node, "bias", around.down["bias"], "the stack's")
    bias = node.items["bias"]
    if isinstance(bias, Scalar) and bias.value is True and maps is not None and len(maps) < len(PROJECTIONS):
        work.spend(bias)
        kept = [name for name in PROJECTIONS if name in maps]
        return node.plus("bias", derived(kept, "the stack's, for the maps that exist", node))
    return node
