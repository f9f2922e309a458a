"""Random specs made from the shapes of the language: valid word by word, often as a whole."""

import random
from typing import Any

from attncli.spec.base import Spec
from attncli.spec.shapes import Either, Listing, Number, Plain, Record, Shape, Table, Union_, Words, keys_of

MASKS = ("full", "causal", "causal & window(before=3)", "window(around=2) | first(1)", "abs(q - k) <= 10")
TASKS = {
    "seq2seq": ("encoder", "decoder"),
    "language_model": ("decoder",),
    "masked_language_model": ("encoder",),
    "classification": ("encoder",),
    "tagging": ("encoder",),
}
RARE = (
    "extends",
    "language",
    "kind",
    "encoder",
    "decoder",
    "layers",
    "kv_from",  # names a layer
    "stack",
    "field",
    "fields",
    "name",
    "data",
    "order",
)


def spec(seed: int) -> dict[str, Any]:
    """A random spec."""
    draw = random.Random(seed)
    task = draw.choice(list(TASKS))
    model: dict[str, Any] = _some(_class("model"), draw, 0.06, 0)
    for name in TASKS[task]:
        kind = draw.choice(["transformer", "transformer", "recurrent"])
        model[name] = {"kind": kind, **_some(_class(kind), draw, 0.1, 0)}
        if draw.random() < 0.3 and kind == "transformer":
            model[name]["layers"] = draw.choice(
                [2, [{}, {"repeat": 2}], [{"repeat": 2, "layers": [{}, {"dropout": 0.2}]}]]
            )
    found = {"name": "random", "task": task, "model": model}
    for key in ("tokenizer", "train", "evaluate"):
        if draw.random() < 0.3:
            found[key] = _value(keys_of(_class("run"))[key], draw, 0)
    return found


def _class(name: str) -> type[Spec]:
    from attncli.spec.model import Model
    from attncli.spec.recurrent import Recurrent
    from attncli.spec.run import Run
    from attncli.spec.stacks import Transformer

    return {"run": Run, "model": Model, "transformer": Transformer, "recurrent": Recurrent}[name]


def _some(record: type[Spec], draw: random.Random, chance: float, depth: int) -> dict[str, Any]:
    """Some keys of a record."""
    shapes = {key: shape for key, shape in keys_of(record).items() if key not in RARE}
    return {key: _value(shape, draw, depth + 1) for key, shape in shapes.items() if draw.random() < chance}


def _value(shape: Shape, draw: random.Random, depth: int) -> Any:
    match shape:
        case Union_(kinds=kinds):
            kind = draw.choice(list(kinds))
            needed = {"max_length": 1024, "bound": 0.1, "path": "tokenizer.json", "max_distance": 200, "maximum": 32}
            needed |= {"factor": 4, "original_length": 64, "keys": 3}
            inner = {
                key: value for key, value in needed.items() if key in kinds[kind].model_fields and kind != "sample"
            }
            inner |= _some(kinds[kind], draw, 0.2, depth) if depth < 4 else {}
            return {"kind": kind, **inner} if inner or draw.random() < 0.3 else kind
        case Record(of=record):
            return _some(record, draw, 0.3, depth) | ({"patience": 3} if "patience" in record.model_fields else {})
        case Listing(of=part, length=length):
            return [_value(part, draw, depth) for _ in range(length or draw.randint(1, 2))]
        case Table():
            return {}
        case Words(words=words):
            return draw.choice(words)
        case Number(whole=True):
            return draw.choice([1, 2, 4, 8, 64, 128])
        case Number(above=above, below=below):
            return draw.choice([2, 1.5, 3e-2] if below is None and (above or 0) < 2 else [0.1, 0.25, 0.5])
        case Plain(what=what):
            return draw.choice(
                {"flag": [True, False], "mask": MASKS, "time": [7, "3 epochs", "5%"], "text": ["loss"]}[what]
            )
        case Either(of=parts):
            return _value(draw.choice(parts), draw, depth)
