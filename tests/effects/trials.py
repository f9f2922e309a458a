"""Every key of the body and the head at other values, each in places where it may have a meaning."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from attncli.errors import SpecError
from attncli.spec.base import Spec
from attncli.spec.load import load_text
from attncli.spec.run import Run
from attncli.spec.shapes import Either, Listing, Number, Record, Shape, keys_of
from tests.effects.places import Place, places, put
from tests.effects.seen import Seen, difference
from tests.matrix.options import VALUES, choices


@cache
def _loaded(text: str) -> Run | str:
    try:
        return load_text(text).run
    except SpecError as error:
        return str(error)


@cache
def _seen(text: str) -> Seen:
    run = _loaded(text)
    assert isinstance(run, Run)
    return Seen(run)


def _text(tree: Any) -> str:
    return yaml.safe_dump(tree, sort_keys=False, width=10_000)


def effect(record: type[Spec], key: str) -> tuple[str, list[str]]:
    """What the key changes (empty where nothing was seen to change), and the refusals on the way."""
    refusals, shape, tried = [], keys_of(record)[key], 0
    for place in _first(record, key):
        base = _text(place.tree)
        own = _loaded(base)
        if isinstance(own, str):
            continue
        tried += 1
        if tried > MOST:
            break
        for value in _values(key, shape, place):
            changed = _text(put(place.tree, (*place.path, key), value))
            run = _loaded(changed)
            if isinstance(run, str):
                refusals.append(run)
            elif run.model_copy(update={"name": own.name}) != own and (
                found := difference(_seen(base), _seen(changed))
            ):
                return found, refusals
    return "", refusals


def _first(record: type[Spec], key: str) -> list[Place]:
    """The places of a class, those that the key needs in front."""
    wanted = COMPANY.get((record.__name__, key))
    found = places().get(record, [])
    if wanted is None:
        return found
    return [Place(place.context, put_all(place.tree, wanted, place.path), place.path) for place in found]


def put_all(tree: Any, wanted: dict[str, Any], path: tuple[str | int, ...]) -> Any:
    """The tree with what must stand beside a key: under `.` in its own record, else in the model."""
    for name, value in wanted.items():
        tree = put(tree, (*path, name[1:]) if name.startswith(".") else ("model", *name.split("/")), value)
    return tree


def _values(key: str, shape: Shape, place: Place) -> Iterator[Any]:
    """Values of a key; those of the matrix, and others where it has none."""
    yield from OTHERS.get(key, ())
    if isinstance(shape, Either):
        for part in shape.of:
            yield from _values(key, part, place) if isinstance(part, Listing) else (v for v, _ in choices(key, part, 1))
    elif isinstance(shape, Listing) and key not in VALUES and isinstance(shape.of, Record):
        yield [{}]
    else:
        yield from (value for value, _ in choices(key, shape, 1))
        if isinstance(shape, Number):
            own = VALUES.get(key, 2)
            yield from (2 * own, own // 2 if shape.whole and not isinstance(own, float) else own / 2, 3, 5, 0.25)


MOST = 6
"""Places of a class that are tried."""
COMPANY: dict[tuple[str, str], dict[str, Any]] = {
    ("Transformer", "max_length"): {"input/position": "learned"},
    ("Model", "max_length"): {"input/position": "learned"},
    ("Layer", "share"): {".repeat": 2}, ("Delta", "qk_heads"): {".heads": 4},
    ("DynamicNtk", "factor"): {"encoder/max_length": 32}, ("Router", "active_groups"): {".groups": 2},
}  # fmt: skip
"""What must stand beside a key for it to have a meaning."""
OTHERS: dict[str, tuple[Any, ...]] = {
    "layers": (3, [{"repeat": 3}]), "repeat": (2,), "d_model": (24,), "max_length": (16,), "kv_from": ("one",),
    "mask": ("causal", "causal & window(before=1)", "window(around=1)"), "d_hidden": (10,), "d_ff": (14,),
    "order": (["feedforward", "attention"],), "second_projections": ("q < 1",), "heads": (2,), "field": ("other",),
    "classes": (4,), "tags": (4,), "queries": (2,), "width": (4,), "share": ("all",), "name": ("one",),
}  # fmt: skip
"""Values that fit, where the shape alone does not say."""
