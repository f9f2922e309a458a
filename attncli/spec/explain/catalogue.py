"""The kinds of the language by role, and the options of each, read off the typed classes."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic_core import PydanticUndefined

from attncli.spec.base import Derived, Spec
from attncli.spec.explain.entries import Option
from attncli.spec.run import Run
from attncli.spec.shapes import Either, Shape, Union_, keys_of, records
from attncli.spec.tell import said


@dataclass(frozen=True)
class Role:
    """A union of kinds: `score`, `position of an attention`, …"""

    name: str
    keys: tuple[str, ...]
    """The keys that take it."""
    where: str
    """The shortest way to it from the top of a spec, through the model where there is one."""
    kinds: dict[str, type[Spec]]
    default: str
    """The value of the key where it is not written."""

    @property
    def about(self) -> str:
        """The first sentence of the module that is named after the role, if there is one."""
        kind = next(iter(self.kinds.values()))
        named = kind.__module__.rpartition(".")[2].startswith(self.name)
        return first_sentence(sys.modules[kind.__module__].__doc__ or "") if named else ""


@cache
def roles() -> tuple[Role, ...]:
    """Every role, those of the model first."""
    found: dict[str, list[tuple[Sequence[str], type[Spec], Union_]]] = {}
    for record, path in records().items():
        for key, shape in keys_of(record).items():
            for union in _unions(shape):
                found.setdefault(union.role, []).append(((*path, key), record, union))
    made = []
    for name, places in found.items():
        shortest, _, union = min(places, key=lambda place: _way(place[0]))
        keys = tuple(dict.fromkeys(path[-1] for path, _, _ in places))
        own = [default_of(record, path[-1]) for path, record, _ in places if path[-1] in record.model_fields]
        made.append(Role(name, keys, ".".join(shortest), union.kinds, own[0]))
    return tuple(sorted(made, key=lambda role: _way(role.where.split("."))[0]))


def _way(path: Sequence[str]) -> tuple[int, int]:
    """Rank of a way to a role: through the model first, then as the sections stand in a spec; the shorter one."""
    sections = ["model", *(name for name in Run.model_fields if name != "model")]
    return sections.index(path[0]), len(path)


def _unions(shape: Shape) -> Iterator[Union_]:
    for part in shape.of if isinstance(shape, Either) else (shape,):
        if isinstance(part, Union_):
            yield part


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    line = " ".join(text.split())
    return re.split(r"(?<!\bal)\.\s", line)[0].rstrip(".") + "." if line else ""


def text_of(record: type[Spec]) -> str:
    """The docstring of a class, a paragraph a line."""
    paragraphs = inspect.cleandoc(record.__doc__ or "").split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def options_of(record: type[Spec]) -> tuple[Option, ...]:
    """Every key of a record but its kind, as a user writes it."""
    shapes, about = keys_of(record), _documents(record)
    return tuple(
        Option(name, said(shapes[name]), default_of(record, name), about.get(name, ""))
        for name in record.model_fields
        if name != "kind"
    )


def default_of(record: type[Spec], name: str) -> str:
    """The default as a spec writes it."""
    info = record.model_fields[name]
    for mark in info.metadata:
        if isinstance(mark, Derived):
            return mark.how
    return "required" if info.default is PydanticUndefined else written(info.default)


def written(value: Any) -> str:
    """A value as YAML in one line."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case Spec():
            options = {key: each for key, each in value if key != "kind"}
            kind = str(getattr(value, "kind", ""))
            if all(each == type(value).model_fields[key].default for key, each in options.items()):
                return kind or "its defaults"
            return f"{{{', '.join(f'{key}: {written(each)}' for key, each in value)}}}"
        case tuple() | list():
            return f"[{', '.join(map(written, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}: {written(each)}' for key, each in value.items())}}}"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


@cache
def _documents(record: type[Spec]) -> dict[str, str]:
    """What stands below each field in the source, as a string."""
    found: dict[str, str] = {}
    for owner in reversed(record.__mro__):
        if not issubclass(owner, Spec):
            continue
        body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, body.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                text = following.value if isinstance(following, ast.Expr) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    found[statement.target.id] = " ".join(text.value.split())
    return found
