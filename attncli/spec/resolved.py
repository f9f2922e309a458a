"""A typed spec written out: YAML with every default, which loads to an equal spec; and each value with its reason."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from attncli.errors import InputError
from attncli.spec.base import Spec
from attncli.spec.merge import opened
from attncli.spec.nodes import Mapping, Node, Sequence
from attncli.spec.reader import is_plain_text
from attncli.spec.run import Run
from attncli.spec.stacks import Layer
from attncli.spec.words import nearest


class Row(NamedTuple):
    """One value of a resolved spec."""

    key: str
    """`model.decoder.0-5.attention.heads`: layers are counted from 0, equal ones stand together."""
    value: Any
    why: str
    """`default`, where it was written, or what it follows from."""


@dataclass(frozen=True)
class Leaf:
    """A value with its reason. An absent one need not be written where its absence is the default."""

    value: Any
    why: str
    idle: bool = False


Tree = dict[str, Any]  # str to Leaf, Tree or, for layers, a list of Trees


def tree_of(record: Spec, node: Node | None) -> Tree:
    """The record as users write it, `kind` first, each value with its reason."""
    written = node if isinstance(node, Mapping) else None
    dumped, fields = record.model_dump(), type(record).model_fields
    found: Tree = {}
    for name in sorted(fields, key=lambda field: field != "kind"):
        value, child = getattr(record, name), written.get(name) if written else None
        match value:
            case tuple() if name == "beside":
                below = child.items if isinstance(child, Sequence) else (None,) * len(value)
                if value:
                    others = [tree_of(task, one) for task, one in zip(value, below, strict=True)]
                    found["task"] = [found["task"], *others]
            case None:
                found[name] = Leaf("none", _why(child), idle=fields[name].default is None)
            case Spec() if list(type(value).model_fields) == ["kind"]:
                inner = opened(child, name)
                found[name] = Leaf(dumped[name]["kind"], _why(inner.get("kind") or inner if inner else child))
            case Spec():
                found[name] = tree_of(value, opened(child, name))
            case tuple() if name == "order":
                found[name] = Leaf(_order(value), _why(child))
            case tuple() if value and isinstance(value[0], Layer):
                below = child.items if isinstance(child, Sequence) else (None,) * len(value)
                found[name] = [tree_of(layer, one) for layer, one in zip(value, below, strict=True)]
            case dict():
                inner_ = child if isinstance(child, Mapping) else None
                found |= (
                    {name: {key: tree_of(one, inner_ and inner_.get(key)) for key, one in value.items()}}
                    if value
                    else {}
                )
            case _:
                found[name] = Leaf(dumped[name], _why(child))
    return found


def _order(items: tuple[Any, ...]) -> list[Any]:
    """`order` as it is written: words, mappings and lists of both."""
    return [
        _order(item) if isinstance(item, tuple) else _written(item) if isinstance(item, Spec) else item
        for item in items
    ]


def _written(record: Spec) -> dict[str, Any]:
    """A record in one line, without what is absent; `kind` first."""
    dumped, fields = record.model_dump(), type(record).model_fields
    return {
        name: _written(value) if isinstance(value := getattr(record, name), Spec) else dumped[name]
        for name in sorted(fields, key=lambda field: field != "kind")
        if getattr(record, name) is not None
    }


def _why(node: Node | None) -> str:
    if node is None:
        return "default"
    return str(node.place) if node.why is None else node.why


def yaml_of(run: Run, root: Mapping | None = None) -> str:
    """YAML with every default; with the tree of the loader, each value that is no plain default has its reason."""
    lines = list(_lines(tree_of(run, root), ""))
    if root is None:
        return "".join(f"{line}\n" for line, _ in lines)
    wide = min(60, max(len(line) for line, _ in lines))
    return "".join(f"{line:<{wide}}  # {why}\n" if why and why != "default" else f"{line}\n" for line, why in lines)


def _lines(tree: Tree, indent: str) -> Iterator[tuple[str, str]]:
    """Each line of the YAML with the reason of its value."""
    for key, value in tree.items():
        name = f"{indent}{scalar(key)}:"
        match value:
            case Leaf():
                if not value.idle:
                    yield f"{name} {_flow(value.value)}", value.why
            case list():
                yield name, ""
                for item in value:
                    first, *rest = _lines(item, f"{indent}    ")
                    yield f"{indent}  - {first[0].lstrip()}", first[1]
                    yield from rest
            case _:
                inner = list(_lines(value, f"{indent}  "))
                yield name if inner else f"{name} {{}}", ""
                yield from inner


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_flow, value))}]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar as YAML that the reader of attncli gets back as it was."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    safe = value[:1].isalpha() or value[:1] in ("/", "_", ".")
    odd = any(char in ":#,[]{}\"'\\" or not char.isprintable() for char in value)
    return value if safe and not odd and value == value.strip() and is_plain_text(value) else _quoted(value)


def _quoted(text: str) -> str:
    return "".join(
        c if c.isprintable() or c == "\\" else f"\\U{ord(c):08X}" for c in json.dumps(text, ensure_ascii=False)
    )


def rows_of(run: Run, root: Mapping) -> list[Row]:
    """Every value of a spec, in the order of the language."""
    return list(_rows(tree_of(run, root), ""))


def _rows(tree: Tree, key: str) -> Iterator[Row]:
    for name, value in tree.items():
        match value:
            case Leaf():
                yield Row(key + name, list(value.value) if isinstance(value.value, tuple) else value.value, value.why)
            case list():
                start = 0
                for layer in value:  # of tasks, each is one
                    stop = start + (layer["repeat"].value if "repeat" in layer else 1)
                    yield from _rows(layer, f"{key}{start}-{stop - 1}." if stop - start > 1 else f"{key}{start}.")
                    start = stop
            case _:
                yield from _rows(value, f"{key}{name}.")


def blame(rows: list[Row], key: str) -> list[Row]:
    """The rows at or under a key. `decoder.2.attention`, `model.decoder.attention.heads` and `train` are keys as well,
    and `model.d_model`, which is written on the model and read by its stacks.

    Raises InputError where there is no such key.
    """
    steps = [step for step in key.split(".") if step not in ("model", "layers")]
    if found := [row for row in rows if _matches(_steps(row.key), steps)]:
        return found
    stacks = {row.key.split(".")[1] for row in rows if row.key.startswith("model.")}
    if found := [row for row in rows if any(_matches(_steps(row.key), [stack, *steps]) for stack in stacks)]:
        return found
    for count, step in enumerate(steps):
        under = [row for row in rows if _matches(_steps(row.key), steps[:count])]
        names = {name for row in under for name in _steps(row.key)}
        if not step.isdigit() and step not in names:
            near = nearest(step, names)
            help = f"did you mean '{near}'?" if near else "`build --resolved` lists every key"
            raise InputError(f"there is no key '{key}' in this spec", help=help)
    raise InputError(f"there is no key '{key}' in this spec", help="`build --resolved` lists every key")


def _steps(key: str) -> list[str]:
    return [step for step in key.split(".") if step != "model"]


def _matches(row: list[str], asked: list[str]) -> bool:
    """Whether a row lies at or under what is asked; layers that are not named match all."""
    place = 0
    for step in asked:
        while place < len(row) and _span(row[place]) and not step.isdigit():
            place += 1
        if place == len(row):
            return False
        span = _span(row[place])
        if row[place] != step and not (span and step.isdigit() and span[0] <= int(step) <= span[1]):
            return False
        place += 1
    return True


def _span(step: str) -> tuple[int, int] | None:
    """The layers that a step of a key counts."""
    first, _, last = step.partition("-")
    return (int(first), int(last or first)) if first.isdigit() and (not last or last.isdigit()) else None
