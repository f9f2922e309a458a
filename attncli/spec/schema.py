"""The language as a JSON Schema (2020-12), for editors: what users write, with every default and every word.

It says less than the loader: rules between fields and sections have no place in it. A mapping without `kind` takes the
keys of every kind of its union, since the kind may stand on the model, or in the file that this one extends.
"""

import ast
import inspect
from functools import cache
from typing import Any

from attncli.spec.base import Derived, Spec, Time, kind_of
from attncli.spec.run import Run
from attncli.spec.shapes import Either, Listing, Number, Plain, Record, Shape, Table, Union_, Words, keys_of

Schema = dict[str, Any]
_TIME = r"^\d+(\.\d+)?\s*(%|epochs?|minutes?|steps?)$"


def json_schema() -> Schema:
    """The schema of a spec file."""
    named: dict[str, Schema] = {}
    top = _record(Run, named, kind=False)
    whole = [{"required": ["extends"]}, {"required": ["name", "task", "model"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "attncli spec",
        **top,
        "anyOf": whole,
        "$defs": {name: named[name] for name in sorted(named)},
    }


def _of(shape: Shape, named: dict[str, Schema]) -> Schema:
    """The schema of a value; classes go to `named`, once."""
    match shape:
        case Union_(role=role):
            name = role.replace(" ", "_")
            if name not in named:
                named[name] = {}
                named[name] = _union(shape, named)
            return {"$ref": f"#/$defs/{name}"}
        case Record(of=record):
            return _reference(record, named)
        case Listing(of=part, length=length):
            limits = {} if length is None else {"minItems": length, "maxItems": length}
            return {"type": "array", "items": _of(part, named), **limits}
        case Table(of=part):
            return {"type": "object", "additionalProperties": _of(part, named)}
        case Words(words=words):
            return {"enum": list(words)}
        case Number():
            return _number(shape)
        case Plain(what="flag"):
            return {"type": "boolean"}
        case Plain(what="time"):
            return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _TIME}]}
        case Plain():
            return {"type": "string", "minLength": 1}
        case Either(of=parts):
            return {"anyOf": [_of(part, named) for part in parts]}


def _number(shape: Number) -> Schema:
    limits = {
        "minimum": shape.least,
        "exclusiveMinimum": shape.above,
        "maximum": shape.most,
        "exclusiveMaximum": shape.below,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return {"type": "integer" if shape.whole else "number", **given}


def _union(shape: Union_, named: dict[str, Schema]) -> Schema:
    """A word, a mapping that names its kind, or a mapping with keys of any kind."""
    words = [kind for kind, record in shape.kinds.items() if not _required(record)]
    mappings = [_reference(record, named) for record in shape.classes]
    loose: dict[str, list[Schema]] = {}
    for record in shape.classes:
        for key, part in keys_of(record).items():
            value = _of(part, named)
            known = loose.setdefault(key, [])
            known += [value] if value not in known else []
    loose.pop("kind")
    either = {key: values[0] if len(values) == 1 else {"anyOf": values} for key, values in loose.items()}
    any_kind = {"type": "object", "properties": either, "additionalProperties": False}
    return {"anyOf": [*([{"enum": words}] if words else []), *mappings, any_kind]}


def _reference(record: type[Spec], named: dict[str, Schema]) -> Schema:
    name = f"{record.__module__.rsplit('.', 1)[1]}.{record.__name__.strip('_')}"
    if name not in named:
        named[name] = {}
        kind = record.model_fields.get("kind")
        named[name] = _record(record, named, kind=kind is not None and bool(kind.default))
    return {"$ref": f"#/$defs/{name}"}


def _record(record: type[Spec], named: dict[str, Schema], *, kind: bool) -> Schema:
    keys = {key: _field(record, key, shape, named) for key, shape in keys_of(record).items()}
    found: Schema = {"description": " ".join((record.__doc__ or "").split()), "type": "object"}
    if kind:
        keys["kind"] = {"const": kind_of(record)}
        found["required"] = ["kind", *_required(record)]
    return {**found, "properties": keys, "additionalProperties": False}


def _required(record: type[Spec]) -> list[str]:
    """The keys that have no default of any sort."""
    return [
        name
        for name, info in record.model_fields.items()
        if info.is_required() and not any(isinstance(mark, Derived) for mark in info.metadata)
    ]


def _field(record: type[Spec], key: str, shape: Shape, named: dict[str, Schema]) -> Schema:
    """The schema of one key, with what its class says about it."""
    says = [_docs(record).get(key, "")]
    info = record.model_fields.get(key)
    default = None
    if info is not None:
        says += [f"Default: {mark.how}." for mark in info.metadata if isinstance(mark, Derived)]
        default = info.default if not info.is_required() else None
    else:
        says.append(
            "Spec files to start from." if key == "extends" else "Said here for every part below that reads it."
        )
    schema = dict(_of(shape, named))
    text = " ".join(part for part in says if part)
    if text:
        schema["description"] = text
    if isinstance(default, (bool, int, float, str)):
        schema["default"] = default
    elif isinstance(default, Spec) and "kind" in type(default).model_fields:
        schema["default"] = kind_of(type(default))
    elif isinstance(default, Time):
        schema["default"] = str(default)
    return schema


@cache
def _docs(record: type[Spec]) -> dict[str, str]:
    """What stands below each field of a class and of those that it is made from."""
    found: dict[str, str] = {}
    for part in reversed(record.__mro__):
        if issubclass(part, Spec) and part is not Spec:
            tree = ast.parse(inspect.getsource(part)).body[0]
            assert isinstance(tree, ast.ClassDef)
            for field, below in zip(tree.body, tree.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    match below:
                        case ast.Expr(value=ast.Constant(value=str() as text)):
                            found[field.target.id] = " ".join(text.split())
    return found
