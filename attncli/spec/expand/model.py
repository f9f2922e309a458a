"""The model: what it says for all stacks handed to each that reads it, and what the stacks share."""

from attncli.spec.expand.layers import Stack
from attncli.spec.expand.stacks import READER_ONLY, recurrent, transformer, width
from attncli.spec.expand.work import Work, kind, union, word
from attncli.spec.model import Model
from attncli.spec.nodes import Broken, Mapping, Node, derived
from attncli.spec.recurrent import Recurrent
from attncli.spec.shapes import keys_of
from attncli.spec.stacks import Transformer
from attncli.spec.tasks import REWRITING

CLASSES = {"transformer": Transformer, "recurrent": Recurrent}
NAMES = ("encoder", "decoder")


def model(work: Work, written: Mapping) -> Mapping:
    """The model with its stacks complete; what no stack reads is reported elsewhere."""
    shared = {
        key: written.items[key] for key in keys_of(Model) if key in written.items and key not in Model.model_fields
    }
    stacks = _stacks(work, written, shared)
    if not any(name in written.items for name in NAMES):
        work.fault(written, "model: there is no stack", "write `encoder: {}` or `decoder: {}`, or both")
    widths = {name: width(stack) for name, stack in stacks.items()}
    node = written.without(*shared)
    for name, stack in stacks.items():
        around = Stack(
            name=name, width=widths[name], width_at=stack.get("d_model") or stack, causal=name == "decoder",
            absolute=_positioned(stack), widths=widths, beside=name == "decoder" and "encoder" in widths,
        )  # fmt: skip
        field = "text" if work.task not in REWRITING else "target" if name == "decoder" else "source"
        match kind(stack, "transformer"):
            case "transformer":
                stack = transformer(work, stack, around, field)
            case "recurrent":
                stack = recurrent(work, stack, around, field, stacks.get("encoder"))
        node = node.plus(name, stack)
    return node


def _stacks(work: Work, written: Mapping, shared: dict[str, Node]) -> dict[str, Mapping]:
    """Each stack that is there, laid over what the model says for all."""
    found = {}
    present = [name for name in NAMES if name in written.items and word(written.items[name]) != "none"]
    for name in present:
        own = union(written.items[name], name, written)
        record = CLASSES.get(kind(own, "transformer") or "")
        if own is None:
            continue
        if record is None:
            work.spend(*shared.values())
            found[name] = own
            continue
        reads = [key for key in shared if key in keys_of(record)]
        beside = name == "decoder" and "encoder" in present
        if not beside and "cross_attention" not in own.items:
            reads = [key for key in reads if key not in (*READER_ONLY, "bridge")]
        if word(own.get("cross_attention")) == "none":
            reads = [key for key in reads if key not in READER_ONLY]
        above = Mapping(own.place, {key: shared[key] for key in reads}, written.keys)
        laid = work.over(above, own, "")
        assert isinstance(laid, Mapping)
        found[name] = laid
    return found


def _positioned(stack: Mapping) -> bool:
    """Whether the input of a stack writes its position, which takes it from the attention."""
    node = union(stack.get("input"), "input", stack)
    return node is not None and "position" in node.items


def tied(work: Work, node: Mapping, shares: bool | None) -> Mapping:
    """tie_embeddings where it is not written; `shares`: source and target have one vocabulary (None: unknown)."""
    if "tie_embeddings" in node.items:
        return node
    value, why = _tie(work, node, shares)
    return node.plus("tie_embeddings", derived(value, why, node) if value else Broken(node.place))


def _tie(work: Work, node: Mapping, shares: bool | None) -> tuple[str | None, str]:
    if work.task is None:
        return None, ""
    if work.task in ("classification", "tagging", "sentence_pair"):
        return "none", "the head writes no tokens"
    decoder = node.get("decoder")
    last = decoder if isinstance(decoder, Mapping) else node.get("encoder")
    if not isinstance(last, Mapping):
        return None, ""
    if kind(last, "transformer") == "recurrent":
        return "none", "the head reads a recurrent stack"
    if work.task in REWRITING and shares:
        return "all", "source and target share a tokenizer"
    return "output", "default"
