"""Where each class of the language may stand, found by machine: whole specs in which it is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from attncli.spec.base import Spec, kind_of
from attncli.spec.run import Run
from attncli.spec.shapes import Either, Listing, Record, Shape, Union_, keys_of
from tests.matrix.options import FITTED, VALUES, nested, required

Tree = dict[str, Any]
Path = tuple[str | int, ...]

_STACK: Tree = {"d_model": 12, "max_length": 32, "attention": {"heads": 4, "d_head": 6}, "feedforward": {"d_ff": 10}}
_WORDS: Tree = {"tokenizer": {"kind": "words", "vocabulary": 17}}
_TWO: Tree = {**_STACK, "tie_embeddings": "none", "encoder": {"layers": 2}, "decoder": {"layers": 2}}
_ONE: Tree = {**_STACK, "encoder": {"layers": 1}}
_RECURRENT: Tree = {
    "d_hidden": 8, "max_length": 32, "input": {"d_embedding": 6}, "encoder": {"kind": "recurrent"},
    "decoder": {"kind": "recurrent", "cross_attention": {"heads": 4, "d_head": 6, "projections": "all"}},
}  # fmt: skip
CONTEXTS: dict[str, Tree] = {
    "seq2seq": {"name": "x", "task": {"kind": "seq2seq"}, "model": _TWO, **_WORDS},
    "backward": {"name": "x", "task": {"kind": "seq2seq"}, **_WORDS,
                 "model": {**_TWO, "encoder": {"layers": 2, "attention": {"mask": "causal"}}}},
    "recurrent": {"name": "x", "task": {"kind": "seq2seq"}, "model": _RECURRENT, **_WORDS},
    "deep": {"name": "x", "task": {"kind": "seq2seq"}, **_WORDS,
             "model": {**_RECURRENT, "cell": "lstm", "encoder": {"kind": "recurrent", "layers": 2},
                       "decoder": {**_RECURRENT["decoder"], "layers": 2, "query": "previous_state"}}},
    "language_model": {"name": "x", "task": {"kind": "language_model"}, **_WORDS,
                       "model": {**_STACK, "tie_embeddings": "none", "decoder": {"layers": 2}}},
    "post": {"name": "x", "task": {"kind": "seq2seq"}, "model": {**_TWO, "norm_place": "post"}, **_WORDS},
    "masked": {"name": "x", "task": {"kind": "masked_language_model"}, "model": _ONE, **_WORDS},
    "classification": {"name": "x", "task": {"kind": "classification"}, "model": _ONE, **_WORDS},
    "tagging": {"name": "x", "task": {"kind": "tagging"}, "model": _ONE, **_WORDS},
}  # fmt: skip
"""Whole specs from which every class of the body and of the head can be reached."""
BODY = ("model", "task")
FIRST = ("multi_head", "swiglu", "tokens", "transformer")
"""Kinds that a mapping without a kind may mean."""
MOST = 40
"""Places tried of one class."""
LIMIT = 9
"""Keys between the top and a class."""


@dataclass(frozen=True)
class Place:
    """A spec in which a class is written, and the keys that lead to it."""

    context: str
    tree: Tree
    path: Path


def put(tree: Any, path: Path, value: Any) -> Any:
    """The tree with a value at a path. A mapping that names its kind takes the place of one of another kind."""
    if not path:
        if not (isinstance(value, dict) and isinstance(tree, dict)):
            return value
        kind = value.get("kind")
        return {**tree, **value} if kind == tree.get("kind", kind if kind in FIRST else None) else value
    key, rest = path[0], path[1:]
    if isinstance(key, int):
        items = list(tree) if isinstance(tree, list) else []
        return [*items[:key], put(items[key] if key < len(items) else {}, rest, value), *items[key + 1 :]]
    base = dict(tree) if isinstance(tree, dict) else {} if not isinstance(tree, str) else {"kind": tree}
    return base | {key: put(base.get(key, {}), rest, value)}


@cache
def places() -> dict[type[Spec], list[Place]]:
    """Places of every class of the body and the head, those with few keys around them first."""
    found: dict[type[Spec], list[Place]] = {}
    for context, tree in CONTEXTS.items():
        waiting: list[tuple[type[Spec], Tree, Path]] = [(Run, tree, ())]
        counts: dict[type[Spec], int] = {}
        for record, around, path in waiting:
            found.setdefault(record, []).append(Place(context, around, path))
            for key, shape in keys_of(record).items():
                if path == () and key not in BODY:
                    continue
                for kind, below, inner in _inside(shape):
                    seen = counts.get(kind, 0)
                    if seen < MOST and len(path) < LIMIT and not (kind is record and seen):
                        counts[kind] = seen + 1
                        waiting.append((kind, put(around, (*path, key, *below), inner), (*path, key, *below)))
    return found


def _inside(shape: Shape, below: Path = ()) -> Iterator[tuple[type[Spec], Path, Any]]:
    """The classes that a key may hold, with what must be written for each."""
    match shape:
        case Union_(classes=classes):
            for kind in classes:
                word = kind_of(kind)
                needed = {name: VALUES[name] for name in required(kind) if name in VALUES}
                yield kind, below, {"kind": word, **needed, **nested(kind), **FITTED.get(word, {})}
        case Record(of=record):
            yield record, below, {name: VALUES[name] for name in required(record) if name in VALUES}
        case Listing(of=part):
            yield from _inside(part, (*below, 0))
        case Either(of=parts):
            for part in parts:
                yield from _inside(part, below)
        case _:
            return
