"""Specs with one mistake each, made from the good ones by a seed."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attncli.spec.nodes import Mapping, Node, Place, Scalar, Sequence, Source
from attncli.spec.reader import lines_of, read_mapping
from attncli.spec.report import Stop

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))
LETTERS = "abcdefghijklmnopqrstuvwxyz_"
FOREIGN = {"learning_rate": "train", "heads": "attention", "vocabulary": "tokenizer", "warmup": "schedule"}
"""Keys that are put where they do not belong, and a word of the place where they do."""


@dataclass(frozen=True)
class Mutant:
    """A text with one mistake: where it is, and the word that its help should name."""

    kind: str
    text: str
    line: int
    meant: str


def mutants(kind: str, count: int, seed: int) -> Iterator[Mutant]:
    """`count` mutants of one kind."""
    draw = random.Random(f"{kind} {seed}")
    made = 0
    while made < count:
        text = draw.choice(SPECS).read_text(encoding="utf-8")
        mutant = {"key": _key, "kind": _kind, "value": _value, "level": _level, "twice": _twice}[kind](text, draw)
        if mutant is not None:
            made += 1
            yield mutant


def _root(text: str) -> Mapping:
    return read_mapping(text, Source("s.yaml", lines_of(text), Path()), [])


def _mappings(node: Node) -> Iterator[Mapping]:
    if isinstance(node, Mapping):
        yield node
        for item in node.items.values():
            yield from _mappings(item)
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _mappings(item)


def _changed(text: str, place: Place, old: str, new: str) -> str | None:
    """The text with `old` at a place replaced; None if it does not stand there as such."""
    lines = text.split("\n")
    line = lines[place.line - 1]
    if line[place.column - 1 : place.column - 1 + len(old)] != old:
        return None
    lines[place.line - 1] = line[: place.column - 1] + new + line[place.column - 1 + len(old) :]
    return "\n".join(lines)


def typo(word: str, draw: random.Random) -> str:
    """The word with one letter lost, doubled, replaced, added or swapped with the next."""
    at = draw.randrange(len(word))
    match draw.choice(["lose", "add", "replace", "swap"]):
        case "lose":
            return word[:at] + word[at + 1 :]
        case "add":
            return word[:at] + draw.choice(LETTERS) + word[at:]
        case "replace":
            return word[:at] + draw.choice(LETTERS) + word[at + 1 :]
        case _:
            return word[:at] + word[at : at + 2][::-1] + word[at + 2 :]


def _wrong(text: str, place: Place, word: str, kind: str, draw: random.Random) -> Mutant | None:
    new = typo(word, draw)
    if new in ("", word) or not re.fullmatch(r"[a-z_]+", new):
        return None
    changed = _changed(text, place, word, new)
    return Mutant(kind, changed, place.line, word) if changed else None


def _key(text: str, draw: random.Random) -> Mutant | None:
    mapping = draw.choice(list(_mappings(_root(text))))
    key = draw.choice(list(mapping.items))
    return _wrong(text, mapping.keys[key], key, "key", draw)


def _kind(text: str, draw: random.Random) -> Mutant | None:
    """A misspelt word that names a kind."""
    words = [
        (item.place, item.value)
        for mapping in _mappings(_root(text))
        for key, item in mapping.items.items()
        if key in ("kind", "task", "score", "norm", "optimizer", "tokenizer", "normalizer", "feedforward", "pooling")
        and isinstance(item, Scalar) and isinstance(item.value, str)
    ]  # fmt: skip
    mutant = _wrong(text, *draw.choice(words), "kind", draw) if words else None
    slip = mutant is not None and mutant.meant == "gelu" and re.search(r"\bglu\b", mutant.text) and "glu" not in text
    return None if slip else mutant  # another kind is no mistake


def _value(text: str, draw: random.Random) -> Mutant | None:
    """A number where it cannot be, or no number where it must be."""
    numbers = [
        item
        for mapping in _mappings(_root(text))
        for item in mapping.items.values()
        if isinstance(item, Scalar) and isinstance(item.value, (int, float))
    ]
    if not numbers:
        return None
    node = draw.choice(numbers)
    line = text.split("\n")[node.place.line - 1][node.place.column - 1 :]
    old = re.match(r"[-+.\w]+", line)
    new = draw.choice(["-7", "'3'", "many", "[1, 2]", "{a: 1}", "yes", "1e400", "~", "!x 3"])
    changed = _changed(text, node.place, old[0], new) if old else None
    return Mutant("value", changed, node.place.line, "") if changed else None


def _level(text: str, draw: random.Random) -> Mutant | None:
    """A key of one section in a block mapping of another."""
    key = draw.choice(list(FOREIGN))
    lines = text.split("\n")
    places = [n for n, line in enumerate(lines) if re.match(r" +[a-z_]+: ", line)]
    if not places:
        return None
    at = draw.choice(places)
    indent = re.match(" +", lines[at])[0]
    above = next(line for line in reversed(lines[:at]) if re.match(r"\S", line) and not line.startswith("#"))
    if above.startswith((FOREIGN[key], "model")) or (above.startswith("data") and key == "vocabulary"):
        return None
    lines.insert(at, f"{indent}{key}: 3")
    try:
        _root("\n".join(lines))
    except Stop:  # the line stood within brackets
        return None
    return Mutant("level", "\n".join(lines), at + 1, FOREIGN[key])


def _twice(text: str, draw: random.Random) -> Mutant | None:
    """A whole line of a block mapping a second time."""
    lines = text.split("\n")
    places = [n for n, line in enumerate(lines) if re.match(r" *[a-z_]+: \S", line) and _closed(line)]
    if not places:
        return None
    at = draw.choice(places)
    lines.insert(at + 1, lines[at])
    return Mutant("twice", "\n".join(lines), at + 2, "twice")


def _closed(line: str) -> bool:
    return all(line.count(a) == line.count(b) for a, b in ("[]", "{}")) and not line.rstrip().endswith(
        ("{", "[", ",", ">-")
    )
