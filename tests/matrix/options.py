"""Every option of the language, drawn from its classes: each kind, and each key of each kind at another value.

An option is one choice at one key of the model, with what else must be written for it to have a meaning. Kinds that are
added to the language enter by themselves; what stands here by hand is only values that a shape cannot tell.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from attncli.spec.attention import MultiHead
from attncli.spec.base import Derived, Spec, kind_of
from attncli.spec.recurrent import Recurrent
from attncli.spec.shapes import Either, Listing, Number, Plain, Record, Shape, Table, Union_, Words, keys_of
from attncli.spec.stacks import Transformer

Tree = dict[str, Any]

SKIPPED = {
    "kind", "kernel", "stack", "repeat", "name", "order", "layers", "field", "max_length", "d_model", "cross_attention",
    "attention", "feedforward", "input", "d_hidden", "same_as", "mask", "second_projections",
    "segments",
}  # fmt: skip
"""Keys that are no choice of a kind by themselves, or that are drawn elsewhere (masks, below)."""

BRANCH = ("norm", "norm_place", "residual")
"""Keys of every branch, drawn once."""

FITTED: dict[str, Tree] = {
    "latent": {"d_rotary": 4}, "llama4": {"floor": 4}, "longrope": {"short": [1.0, 1.5, 2.0], "long": [2.0, 3.0, 4.0]},
}  # fmt: skip
"""What a kind needs besides to have an effect in so small a model."""

_LOOK_BACK: Tree = {"encoder": {"attention": {"mask": "causal"}}}
COMPANY: dict[str, Tree] = {
    "attention=retention": _LOOK_BACK, "xpos": _LOOK_BACK, "cope": _LOOK_BACK, "forgetting": _LOOK_BACK,
    "deepnorm": {"norm_place": "post"}, "value_residual=first": {"encoder": {"layers": 2}},
    "attention.normalizer=queries":
        {"decoder": {"attention": {"normalizer": "softmax"}, "cross_attention": {"normalizer": "softmax"}}},
    "attention.selective": {"encoder": {"attention": {"selective": "none"}}},
    "attention.span=predicted": {"decoder": {"attention": {"span": "none"}, "cross_attention": {"span": "none"}}},
    "cross.values=keys": {"decoder": {"cross_attention": {"projections": ["query", "key", "output"]}}},
    "of=backward": {"encoder": {"direction": "backward"}}, "state_and_cell": {"cell": "lstm"},
    "readout=state": {"decoder": {"input_feeding": "context"}}, "decoder.residual=add": {"decoder": {"layers": 2}},
}  # fmt: skip
"""What must stand beside an option for it to have a meaning."""

VALUES: dict[str, Any] = {
    "heads": 2, "kv_heads": 2, "d_head": 8, "d_value": 5, "d_rotary": 4, "projections": ["value", "output"],
    "short_convolution": 3, "qk_clip": 0.5,
    "bias": True, "dropout": 0.3, "scale": 0.4, "base": 500.0, "epsilon": 0.01, "d_ff": 10, "d_embedding": 8,
    "alpha": 1.7, "temperature": 2.0, "buckets": 8, "max_distance": 20, "soft_cap": 3.0, "persistent": 2,
    "factor": 2.0, "original_length": 16, "learned_tokens": 2, "stochastic_depth": 0.2, "by": 0.5, "keys": 3,
    "maximum": 8, "ramp": 4, "half_width": 2, "experts": 4, "active": 2, "kernel_size": 3, "channels": 4,
    "components": 2, "cutoffs": [6, 12], "pieces": 2, "features": 8, "d_hidden": 6, "gain": 1.3, "std": 0.05,
    "bound": 0.2, "length_temperature": 0.1, "q_rank": 8, "kv_rank": 6, "qk_heads": 2, "short": [1.0, 1.5, 2.0],
    "long": [2.0, 3.0, 4.0], "max_length": 32, "groups": 2, "active_groups": 1, "buckets_": 8, "start": 0.3,
    "offset": -1.0, "clamp": 2.0, "slope": 1.5, "up_offset": 1.0, "capacity": 1.5, "weight": 0.02, "rate": 0.002,
    "loss": 0.5, "low": 1.0, "high": 4.0, "beta_fast": 16.0, "beta_slow": 2.0, "scale_base": 64.0, "bands": 3,
    "extent": 6, "d_bank": 3,
}  # fmt: skip
"""A value that fits a model of width 12 with heads of width 6, where the shape alone does not say."""

CAUSAL_MASKS = (
    "causal & window(before=2)", "causal & block(3)", "causal & dilated(2)", "causal & (window(before=1) | first(1))",
    "causal & (window(before=0) | global(2))", "causal & same(document)", "k < q", "causal & k % 3 != 0",
    "causal & window(before=by_head(0, 1, 2, 3))", "h % 2 == 0 & causal | h % 2 == 1 & causal & window(before=1)",
    "0 <= q - k <= 3 & ~(q - k == 1)",
)  # fmt: skip
ENCODER_MASKS = (
    "window(around=1)", "first(2)", "global(1)", "block(2)", "dilated(2)", "~causal", "abs(q - k) <= min(2, h)",
    "k >= k_length - 2", "q + k < q_length",
)  # fmt: skip
CROSS_MASKS = ("abs(q - k) <= 1", "first(2)", "k >= k_length - 2")


@dataclass(frozen=True)
class Option:
    """One choice."""

    name: str
    key: str
    """The key that is chosen; two options of one key exclude each other."""
    tree: Tree = field(hash=False)
    """What is written below `model`."""
    detail: bool = False
    """A key inside a kind, rather than the choice of a kind."""


def transformer_options() -> list[Option]:
    """Those of a Transformer: its attentions, branches, norms, inputs and output."""
    found = [*_keys("attention", keys_of(MultiHead), ("attention",))]
    found += kinds_of_attention()
    stack = {key: shape for key, shape in keys_of(Transformer).items() if key not in ("bias",)}
    found += _keys("stack", stack, ())
    for name in ("feedforward", "input"):
        own_kinds = _values(name, stack[name], (name,))
        found += [option for option in own_kinds if "gate=" not in option.name]  # of the shared map of experts alone
        first, *others = [keys_of(kind) for kind in _kinds(stack[name])]
        for option in _keys(name, first, (name,)):
            if option.key == "feedforward.gate":
                continue
            own = any(option.key.split(".")[1] not in keys for keys in others)  # a key that the kind must be chosen for
            found.append(replace(option, key=name) if own else option)
    found += [Option(f"mask {mask}", "mask", {"decoder": {"attention": {"mask": mask}}}) for mask in CAUSAL_MASKS]
    found += [
        Option(f"mask {mask}", "encoder mask", {"encoder": {"attention": {"mask": mask}}}) for mask in ENCODER_MASKS
    ]
    found += [Option(f"tie {word}", "tie", {"tie_embeddings": word}) for word in ("inputs", "output", "all")]
    return _distinct(found)


def kinds_of_attention() -> Iterator[Option]:
    """Each kind of attention beside multi_head, and each key that it has for itself."""
    for kind in _kinds(keys_of(Transformer)["attention"])[1:]:
        word, own = kind_of(kind), keys_of(kind)
        given = {"kind": word, **{name: VALUES[name] for name in required(kind) if name in VALUES}}
        given |= nested(kind) | FITTED.get(word, {})
        yield Option(f"attention={word}", "attention", _beside({"attention": given}, f"attention={word}"))
        theirs = keys_of(MultiHead) if issubclass(kind, MultiHead) else {}  # what it inherits is paired with it
        for key, shape in own.items():
            if key not in ("heads", *given, *theirs, *SKIPPED, *BRANCH):
                for value, told in choices(key, shape, depth=1):
                    name = f"attention={word} {key}={told}"
                    yield Option(name, "attention", _beside({"attention": {**given, key: value}}, name), detail=True)


def _beside(tree: Tree, name: str) -> Tree:
    """The option with its company."""
    return laid(tree, *(company for words, company in COMPANY.items() if words in name))


def recurrent_options() -> list[Option]:
    """Those of recurrent stacks and of the attention of a recurrent decoder."""
    own = keys_of(Recurrent)
    decoder = {key: own[key] for key in own if key not in ("direction",)}
    found = [*_keys("decoder", decoder, ("decoder",))]
    found += [Option(one.name, one.key, {"encoder": {"direction": one.tree["direction"]}})
              for one in _values("direction", own["direction"], ("direction",))]  # fmt: skip
    attention = {
        key: shape for key, shape in keys_of(MultiHead).items() if key not in ("position", "norm", "norm_place")
    }
    found += _keys("cross", attention, ("decoder", "cross_attention"))
    found += [Option(f"mask {mask}", "mask", {"decoder": {"cross_attention": {"mask": mask}}}) for mask in CROSS_MASKS]
    found.append(Option("cell lstm of both", "decoder.cell", {"cell": "lstm"}))
    return _distinct(found)


def _keys(of: str, shapes: dict[str, Shape], path: tuple[str, ...]) -> Iterator[Option]:
    for key, shape in shapes.items():
        if key not in SKIPPED:
            yield from _values(f"{of}.{key}", shape, (*path, key))


def _values(name: str, shape: Shape, path: tuple[str, ...]) -> Iterator[Option]:
    """Each kind and word that a key takes, and one number; inside a kind, each of its keys."""
    for value, told in choices(path[-1], shape):
        full = f"{name}={told}"
        yield Option(full, name, _beside(_tree(path, value), full), detail=" " in told)


def choices(key: str, shape: Shape, depth: int = 0) -> Iterator[tuple[Any, str]]:
    match shape:
        case Union_(kinds=kinds):
            for kind, record in kinds.items():
                needed = {name: VALUES[name] for name in required(record) if name in VALUES}
                needed |= nested(record) | FITTED.get(kind, {})
                yield ({"kind": kind, **needed} if needed else kind), kind
                if depth:
                    continue  # a kind within a kind is a choice; its own keys are drawn where it stands by itself
                for inner, part in keys_of(record).items():
                    if inner not in ("kind", *needed, *SKIPPED, *BRANCH) or inner in ("d_hidden",):
                        for value, told in choices(inner, part, depth + 1):
                            yield {"kind": kind, **needed, inner: value}, f"{kind} {inner}={told}"
        case Words(words=words):
            yield from ((word, str(word)) for word in words)
        case Number():
            yield VALUES.get(key, 2 if shape.whole else 0.5), "number"
        case Plain(what="flag"):
            yield True, "true"
            yield False, "false"
        case Listing() if key in VALUES:
            yield VALUES[key], "list"
        case Record(of=record):
            yield {name: VALUES[name] for name in keys_of(record) if name in VALUES}, "mapping"
        case Either(of=parts):
            for part in parts:
                yield from choices(key, part, depth)
        case Listing() | Table() | Plain():
            return


def nested(record: type[Spec]) -> Tree:
    """Required keys that are unions themselves, at their first kind."""
    shapes = keys_of(record)
    return {name: next(iter(shape.kinds)) for name in required(record)
            if name not in VALUES and isinstance(shape := shapes[name], Union_)}  # fmt: skip


def required(record: type[Spec]) -> list[str]:
    return [name for name, info in record.model_fields.items()
            if info.is_required() and not any(isinstance(mark, Derived) for mark in info.metadata)]  # fmt: skip


def _kinds(shape: Shape) -> list[type[Spec]]:
    return [kind for part in (shape.of if isinstance(shape, Either) else (shape,))
            if isinstance(part, Union_) for kind in part.classes]  # fmt: skip


def _tree(path: tuple[str, ...], value: Any) -> Tree:
    return {path[0]: value if len(path) == 1 else _tree(path[1:], value)}


def _distinct(options: list[Option]) -> list[Option]:
    return list({repr(option.tree): option for option in options}.values())


def laid(base: Tree, *others: Tree) -> Tree:
    """Mappings merged key by key, the later over the earlier; a value over a value, or another kind, replaces it."""
    made = dict(base)
    for other in others:
        for key, value in other.items():
            below = made.get(key)
            merges = isinstance(value, dict) and isinstance(below, dict) and "kind" not in value.keys() & below.keys()
            made[key] = laid(below, value) if merges else value
    return made


Pairs = list[tuple[Option, Option]]


def pairs(options: list[Option], seed: int, *, partners: int = 3) -> Pairs:
    """Every pair of kinds, and each key inside a kind with some kinds that are drawn."""
    draw = random.Random(seed)
    kinds = [option for option in options if not option.detail]
    found = [(one, other) for at, one in enumerate(kinds) for other in kinds[at + 1 :] if one.key != other.key]
    for one in options:
        if one.detail:
            strangers = [other for other in kinds if other.key != one.key]
            found += [(one, other) for other in draw.sample(strangers, partners)]
    return found


def in_order(found: Pairs, seed: int) -> Pairs:
    """The pairs so that any beginning of them has every option about as often as it can."""
    draw, counts = random.Random(seed), dict[str, int]()
    ranked = []
    for pair in draw.sample(found, len(found)):
        names = [option.name for option in pair]
        ranked.append((min(counts.get(name, 0) for name in names), pair))
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return [pair for _, pair in sorted(ranked, key=lambda each: each[0])]


def sample(options: list[Option], seed: int) -> Pairs:
    """Few pairs in which every option stands: partners are drawn among those that have none yet."""
    draw = random.Random(seed)
    order = draw.sample(options, len(options))
    found = []
    while order:
        one = order.pop()
        waiting = [other for other in order if other.key != one.key]
        other = draw.choice(waiting or [other for other in options if other.key != one.key])
        if other in order:
            order.remove(other)
        found.append((one, other))
    return found
