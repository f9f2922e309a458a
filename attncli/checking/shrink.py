"""A small spec of the same kinds: every choice stays, widths, lengths, vocabularies and repeats come down.

Heads stay as they are, since masks, grouping and slopes depend on their number. Widths of one family come down by one
divisor, so that what divided still divides. Numbers of tokens in masks come down together.
"""

import re
from collections.abc import Iterator
from math import gcd
from typing import Any

from attncli.spec.fields import PROMPTED

Plain = Any
"""A spec as dictionaries, lists and scalars."""

WIDTHS = ("d_model", "d_head", "d_value", "d_rotary", "q_rank", "kv_rank")
"""Widths that divide each other."""
FREE = {"d_ff": 12, "d_hidden": 8, "d_embedding": 6, "channels": 4, "features": 8}
"""Widths that nothing else must divide, with the most that they keep."""
COUNTS = {
    "vocabulary": 23, "max_length": 32, "experts": 4, "active": 2, "groups": 2, "active_groups": 1, "persistent": 2,
    "learned_tokens": 2, "floor": 2, "keys": 3, "maximum": 4, "ramp": 3, "segment_memory": 5,
}  # fmt: skip
"""Numbers, with the most that they keep."""
LAYERS = 2
LONGEST = 12
"""The largest number of a mask is brought down to this, and the others in proportion."""


def shrunk(spec: Plain) -> Plain:
    """The written spec (not the resolved one, so that defaults follow from the new sizes), smaller.

    data, training and evaluation are left out: a trial needs none of them, but for what masks read of the data.
    """
    kept = {key: value for key, value in spec.items() if key not in ("data", "train", "evaluate", "extends")}
    if fields := _fields(spec.get("data")):
        kept["data"] = {"train": "none.tsv", "fields": fields}  # a name, which is never opened
    kept["tokenizer"] = {"kind": "words", "vocabulary": COUNTS["vocabulary"]}
    divisor = _divisor(kept)
    small: Plain = _small(kept, divisor)
    model = small.get("model", {})
    readers = [model[name] for name in ("encoder", "decoder") if isinstance(model.get(name), dict)]
    readers += [one for one in model.get("stacks", {}).values() if isinstance(one, dict)]
    if not any("max_length" in one for one in (model, *readers)):
        model["max_length"] = COUNTS["max_length"]
    own = {key: value for key, value in kept.get("model", {}).items() if key not in ("encoder", "decoder", "stacks")}
    for one in readers:
        if one.get("kind", model.get("kind")) == "recurrent":
            continue
        if "layers" not in one and "layers" not in model:
            one["layers"] = LAYERS
        width = one.get("d_model", model.get("d_model"))
        if width is None:
            width = one["d_model"] = 256 // divisor
        counted = any(key == "heads" for key, _ in _leaves([own, one]))
        if not counted:  # the number of heads follows from the width, and is to stay
            written = one.get("attention", {})
            given = written if isinstance(written, dict) else {"kind": written}
            one["attention"] = given | {"heads": max(1, width * divisor // 64)}
    return small


def _fields(data: Plain) -> Plain:
    """The fields that masks read, and those that make a text a prompt and its answer."""
    given = data.get("fields", {}) if isinstance(data, dict) else {}
    kinds = {name: field for name, field in given.items() if isinstance(field, dict) and "kind" in field}
    return {name: {"kind": field["kind"]} for name, field in kinds.items()} | {
        name: {} for name in given if name in PROMPTED
    }


def _divisor(spec: Plain) -> int:
    """The largest number that divides every written width (256 where d_model is not) and leaves heads of 4 or more."""
    found = [value for key, value in _leaves(spec) if key in WIDTHS and isinstance(value, int)]
    widths = [value for key, value in _leaves(spec) if key == "d_model" and isinstance(value, int)] or [256]
    heads = [value for key, value in _leaves(spec) if key == "heads" and isinstance(value, int)]
    narrow = [value for key, value in _leaves(spec) if key in ("d_head", "d_rotary") and isinstance(value, int)]
    most = max(heads, default=max(1, max(widths) // 64))
    least = min([*narrow, *([] if narrow else [max(1, min(widths) // most)])])
    common = gcd(*found, *widths)
    if not narrow:  # heads divide the width
        common = gcd(*(width // most for width in widths)) if all(width % most == 0 for width in widths) else 1
    for divisor in range(max(1, least // 4), 0, -1):
        if common % divisor == 0 and (least // divisor) % 2 == 0:
            return divisor
    return 1


def _leaves(spec: Plain, key: str = "") -> Iterator[tuple[str, Plain]]:
    if isinstance(spec, dict):
        for name, value in spec.items():
            yield from _leaves(value, name)
    elif isinstance(spec, list):
        for value in spec:
            yield from _leaves(value, key)
    else:
        yield key, spec


def _small(value: Plain, divisor: int, key: str = "") -> Plain:
    if isinstance(value, dict):
        return {name: _small(inner, divisor, name) for name, inner in value.items()}
    if isinstance(value, list):
        if key == "cutoffs":
            return [6 * (at + 1) for at in range(len(value))]
        return [_small(inner, divisor, key) for inner in value]
    if key == "mask" and isinstance(value, str):
        return smaller_mask(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if key in WIDTHS:
        return value // divisor if value % divisor == 0 else value
    if key in FREE:
        return min(value, FREE[key])
    if key in COUNTS:
        return min(value, COUNTS[key])
    return min(value, LAYERS) if key in ("layers", "repeat") else value


def smaller_mask(text: str) -> str:
    """A mask whose numbers of tokens are small, in the order that they had: before=4095 becomes before=12."""
    text, size = re.sub(r"neighbourhood\([^)]*\)", "neighbourhood(3)", text), r"(?<!seed=)(?<!\d)\d+"
    numbers = [int(one) for one in re.findall(size, text)]
    largest = max(numbers, default=0)
    if largest <= LONGEST:
        return text
    return re.sub(size, lambda one: str(_scaled(int(one[0]), largest)), text)


def _scaled(number: int, largest: int) -> int:
    return number if number <= 3 else max(3, round(number * LONGEST / largest))
