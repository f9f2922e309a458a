"""The sections beside the model: which stack the task reads, where the data lie, how training and scoring go."""

import os.path
from math import sqrt

from attncli.spec.expand.attention import scored
from attncli.spec.expand.work import Work, count, default, filled, kind, number, union, word
from attncli.spec.nodes import Broken, Mapping, Node, Scalar, Sequence, derived
from attncli.spec.tasks import METRICS, REWRITING, AttentionPooling
from attncli.spec.tuning import Lora


def task(work: Work, node: Mapping, stacks: list[str], width: int | None) -> Mapping:
    """The task, its stack, and the score of its pooling."""
    last = next((name for name in ("decoder", "encoder") if name in stacks), None)
    node = filled(node, "stack", last, "the decoder" if last == "decoder" else "the only stack")
    pooling = union(node.get("pooling"), "pooling", node)
    if pooling is None or word(pooling.get("kind")) != "attention":
        return node
    heads = count(pooling.get("heads")) if "heads" in pooling.items else default(AttentionPooling, "heads")
    if width and heads and width % heads:
        says = f"heads: {heads} heads do not divide the width of the stack, {width}"
        pooling = pooling.plus("score", work.fault(pooling.items["heads"], says, "write heads that divide it"))
    else:
        score = scored(pooling, width // heads if width and heads else None)
        pooling = pooling.plus("score", score)
    return node.plus("pooling", pooling)


def data(work: Work, node: Mapping) -> Mapping:
    """The data, with the paths of files made absolute."""
    fields = node.get("fields")
    if isinstance(fields, Mapping):
        for name, inner in fields.items.items():
            if isinstance(inner, Mapping) and isinstance(own := inner.get("tokenizer"), Mapping):
                fields = fields.plus(name, inner.plus("tokenizer", tokenizer(work, own)))
        node = node.plus("fields", fields)
    match kind(node, "files"):
        case "files":
            for split in ("train", "valid", "test"):
                node = node.plus(split, _absolute(work, node.get(split)))
        case "generated" if word(node.get("name")) == "dates":
            node = filled(node, "targets", ["de", "zh"], "default of dates")
    return node


def tokenizer(work: Work, node: Mapping) -> Mapping:
    """A tokenizer, with the path of a file made absolute."""
    return node.plus("path", _absolute(work, node.get("path"))) if kind(node, "bpe") == "file" else node


def _absolute(work: Work, node: Node | None) -> Node | None:
    """Paths start at the folder of the file that names them; `none` is no path."""
    if isinstance(node, Sequence):
        return Sequence(node.place, tuple(_absolute(work, item) or item for item in node.items), why=node.why)
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or node.value in ("", "none"):
        return node
    path = os.path.normpath(os.path.join(node.place.source.folder, os.path.expanduser(node.value)))
    work.spend(node)
    return Scalar(node.place, path, why=node.why)


def train(work: Work, node: Mapping, width: int | None, average: int | None) -> Mapping:
    """The training, its learning rate, and enough checkpoints to average."""
    optimizer = union(node.get("optimizer"), "optimizer", node)
    name = kind(optimizer, "adamw")
    if name in ("adam", "adamw"):
        node = filled(node, "learning_rate", width and 1 / sqrt(4000 * width), "1/sqrt(4000 d_model)")
    elif "learning_rate" not in node.items:
        assert optimizer is not None or name is None
        if name is not None:
            says = f"learning_rate: {name} has no learning rate of its own"
            work.fault(node.get("optimizer") or node, says, "write train.learning_rate")
        node = node.plus("learning_rate", Broken(node.place))
    if isinstance(start := node.get("start"), Mapping):
        node = node.plus("start", start.plus("from", _absolute(work, start.get("from"))))
    if isinstance(lora := node.get("lora"), Mapping):
        node = node.plus("lora", filled(lora, "alpha", number(lora, "rank", Lora), "rank"))
    checkpoints = node.get("checkpoints")
    if average is not None and average > 2 and (checkpoints is None or isinstance(checkpoints, Mapping)):
        kept = checkpoints or derived({}, "default", node)
        assert isinstance(kept, Mapping)
        node = node.plus("checkpoints", filled(kept, "keep_last", average, "evaluate.average"))
    return node


def evaluate(work: Work, node: Mapping, spans: bool) -> Mapping:
    """The scoring: the metrics of the task, and how it decodes."""
    metrics = [name for name in METRICS.get(work.task or "", ()) if spans or name != "span_f1"]
    node = filled(node, "metrics", metrics or None, "the task's")
    decoding = union(node.get("decoding"), "decoding", node)
    if decoding is None:
        return node
    first = ("beam", f"the task is {work.task}") if work.task in REWRITING else ("greedy", "default")
    if work.task is None and "kind" not in decoding.items:
        return node.plus("decoding", Broken(node.place))
    return node.plus("decoding", filled(decoding, "kind", *first))
