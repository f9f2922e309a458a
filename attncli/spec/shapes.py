"""What may be written where, read off the typed classes: for merging, for messages, and for the JSON Schema.

The keys of a record are its fields and those that the loader spends on the way down (`heads` of all layers written once
on the stack). They are told here and nowhere else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from attncli.spec.base import Kinds, Spec, Time, Written, kind_of
from attncli.spec.masks import Mask
from attncli.spec.model import Model
from attncli.spec.recurrent import Recurrent
from attncli.spec.run import Run
from attncli.spec.stacks import Layer, Transformer


@dataclass(frozen=True)
class Union_:
    """A word or a mapping that names one of several classes."""

    role: str
    classes: tuple[type[Spec], ...]
    named: bool = False

    @property
    def kinds(self) -> dict[str, type[Spec]]:
        """The classes by their words; the first is meant where no kind is written."""
        return {kind_of(member): member for member in self.classes}


@dataclass(frozen=True)
class Record:
    """A mapping of one class."""

    of: type[Spec]


@dataclass(frozen=True)
class Listing:
    """A list; `length` where it is fixed."""

    of: "Shape"
    length: int | None = None


@dataclass(frozen=True)
class Table:
    """A mapping with names that the user chooses."""

    of: "Shape"


@dataclass(frozen=True)
class Words:
    """One of some words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Number:
    """A number within limits."""

    whole: bool
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Plain:
    """Text, true or false, a mask, a time."""

    what: Literal["text", "flag", "mask", "time"]


@dataclass(frozen=True)
class Either:
    """Any of several shapes."""

    of: "tuple[Shape, ...]"


Shape = Union_ | Record | Listing | Table | Words | Number | Plain | Either
NONE = Words(("none",))


def shape_of(annotation: Any, metadata: tuple[Any, ...] = ()) -> Shape:
    """The shape of a type with its marks."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    for mark in metadata:
        if isinstance(mark, Kinds):
            return Union_(mark.role, arguments if origin in (Union, UnionType) else (annotation,), mark.named)
        if isinstance(mark, Written):
            return _either(tuple(shape_of(part) for part in mark.as_))
    if origin is Annotated:
        return shape_of(arguments[0], _flat(arguments[1:]) + metadata)
    if origin in (Union, UnionType):
        return _either(tuple(NONE if part is NoneType else shape_of(part) for part in arguments))
    if origin is Literal:
        return Words(arguments)
    if origin is tuple:
        return Listing(shape_of(arguments[0]), None if arguments[-1] is Ellipsis else len(arguments))
    if origin is dict:
        return Table(shape_of(arguments[1]))
    return _simple(annotation, metadata)


def _simple(annotation: Any, metadata: tuple[Any, ...]) -> Shape:
    if annotation is bool:
        return Plain("flag")
    if annotation in (int, float):
        limits: dict[str, Any] = {}
        for mark in _flat(metadata):
            match mark:
                case Ge(ge=bound):
                    limits["least"] = bound
                case Gt(gt=bound):
                    limits["above"] = bound
                case Le(le=bound):
                    limits["most"] = bound
                case Lt(lt=bound):
                    limits["below"] = bound
        return Number(annotation is int, **limits)
    if annotation in (str, Mask, Time):
        return Plain({str: "text", Mask: "mask", Time: "time"}[annotation])  # type: ignore[arg-type]  # Plain's words
    assert issubclass(annotation, Spec), annotation
    return Record(annotation)


def _flat(marks: tuple[Any, ...]) -> tuple[Any, ...]:
    """The marks, with those that pydantic keeps inside a Field taken out of it."""
    return tuple(inner for mark in marks for inner in (mark, *getattr(mark, "metadata", ())))


def _either(parts: tuple[Shape, ...]) -> Shape:
    flat = [inner for part in parts for inner in (part.of if isinstance(part, Either) else (part,))]
    words = tuple(word for part in flat if isinstance(part, Words) for word in part.words)
    rest = [part for part in flat if not isinstance(part, Words)]
    every = (*rest, Words(words)) if words else tuple(rest)
    return every[0] if len(every) == 1 else Either(every)


@cache
def keys_of(record: type[Spec]) -> dict[str, Shape]:
    """Every key that may be written in a record of this class, with the shape of its value."""
    found = {name: shape_of(info.annotation, tuple(info.metadata)) for name, info in record.model_fields.items()}
    if issubclass(record, Run):  # a list of tasks is `task` and what stands beside it
        del found["beside"]
        found["task"] = Either((found["task"], Listing(found["task"])))
    return found | _spent(record, found)


def _spent(record: type[Spec], own: dict[str, Shape]) -> dict[str, Shape]:
    """The keys that stand above the place that reads them, and are spent on the way down."""
    if issubclass(record, Layer):
        stack = Transformer.model_fields
        down = {key: shape_of(stack[key].annotation, tuple(stack[key].metadata)) for key in ("norm_place", "residual")}
        return {"bias": Plain("flag"), **down, "layers": Listing(Record(Layer))}
    if issubclass(record, Transformer):
        layer = keys_of(Layer)
        down = {key: layer[key] for key in ("order", "attention", "cross_attention", "feedforward", "bias")}
        return down | {"layers": Either((Number(True, least=0), Listing(Record(Layer))))}
    if issubclass(record, Model):
        stacks = dict(keys_of(Transformer))
        for key, shape in keys_of(Recurrent).items():
            if key not in ("layers", "cross_attention"):
                known = stacks.get(key, shape)
                stacks[key] = known if known == shape else _either((known, shape))
        return {key: shape for key, shape in stacks.items() if key not in ("kind", "order", *own)}
    if issubclass(record, Run):
        return {"extends": Either((Plain("text"), Listing(Plain("text"))))}
    return {}


def inside(shape: Shape) -> Iterator[type[Spec]]:
    """The classes that a value of this shape may be, at any depth of lists."""
    match shape:
        case Union_(classes=classes):
            yield from classes
        case Record(of=record):
            yield record
        case Listing(of=part) | Table(of=part):
            yield from inside(part)
        case Either(of=parts):
            for part in parts:
                yield from inside(part)
        case _:
            pass


@cache
def unions() -> dict[str, frozenset[str]]:
    """The words of kinds that each key takes, for every key that is a union of kinds somewhere."""
    found: dict[str, frozenset[str]] = {}
    for record in records():
        for key, shape in keys_of(record).items():
            for part in shape.of if isinstance(shape, Either) else (shape,):
                if isinstance(part, Union_):
                    found[key] = found.get(key, frozenset()) | frozenset(part.kinds)
    return found


@cache
def records() -> dict[type[Spec], tuple[str, ...]]:
    """Every class of the language, with the keys under which it stands (the shortest way from the top)."""
    found: dict[type[Spec], tuple[str, ...]] = {Run: ()}
    waiting: list[type[Spec]] = [Run]
    for record in waiting:
        for key, shape in keys_of(record).items():
            for part in inside(shape):
                if part not in found:
                    found[part] = (*found[record], key)
                    waiting.append(part)
    return found
