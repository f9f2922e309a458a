"""What a key takes, in words, and why a value is not that."""

from attncli.spec.nodes import Mapping, Node, Scalar, Sequence
from attncli.spec.shapes import Either, Listing, Number, Plain, Record, Shape, Table, Union_, Words
from attncli.spec.words import listed, nearest, ours

_PLAIN = {
    "text": "text", "flag": "true or false", "mask": "a mask expression",
    "time": "a number of steps, '3 epochs', '10 minutes' or '5%'",
}  # fmt: skip


def said(shape: Shape) -> str:
    """What a value of this shape is."""
    match shape:
        case Union_(role=role):
            return f"a kind of {role}, as a word or a mapping"
        case Record():
            return "a mapping"
        case Listing(of=part, length=length):
            return f"a list of {length or ''}{' ' if length else ''}{_several(part)}"
        case Table(of=part):
            return f"a mapping of names to {_several(part)}"
        case Words(words=words):
            return listed(words)
        case Number():
            return _number(shape)
        case Plain(what=what):
            return _PLAIN[what]
        case Either(of=parts):
            return ", or ".join(said(part) for part in parts)


def _several(shape: Shape) -> str:
    match shape:
        case Number():
            return said(shape).replace("an integer", "integers").replace("a number", "numbers")
        case Record():
            return "mappings"
        case Plain(what="text"):
            return "texts"
        case _:
            return said(shape)


def _number(shape: Number) -> str:
    noun = "an integer" if shape.whole else "a number"
    low = shape.least if shape.least is not None else shape.above
    high = shape.most if shape.most is not None else shape.below
    limits = []
    if low is not None:
        limits.append(f"of {low:g} or more" if shape.least is not None else f"above {low:g}")
    if high is not None and high < 1e9:
        limits.append(f"at most {high:g}" if shape.most is not None else f"below {high:g}")
    return " ".join([noun, " and ".join(limits)]).strip()


def shown(node: Node | None) -> str:
    """A value as a message repeats it."""
    match node:
        case Scalar(value=bool() as value):
            return "true" if value else "false"
        case Scalar(value=str() as value):
            return f"'{value if len(value) < 60 else value[:57] + '…'}'"
        case Scalar(value=value):
            return f"{value}" if len(f"{value}") < 40 else f"{value:.3g}"
        case Mapping():
            return "a mapping"
        case Sequence(items=items):
            return f"a list of {len(items)}"
        case _:
            return "nothing"


def expected(key: str, shape: Shape, node: Node | None) -> tuple[str, str]:
    """What is wrong with a value of `key`, and the way out."""
    what = said(shape)
    if node is None:
        first = shape.of[0] if isinstance(shape, Either) else shape
        what = f"one of {listed(first.kinds)}" if isinstance(first, Union_) else what
        return f"{key}: expected {what}", f"write `{key}: …`, {what}"
    return f"{key}: expected {what}, found {shown(node)}", _help(shape, node)


def _help(shape: Shape, node: Node) -> str:
    parts = shape.of if isinstance(shape, Either) else (shape,)
    words = [word for part in parts if isinstance(part, Words) for word in part.words]
    if isinstance(node, Scalar) and isinstance(node.value, str):
        text = node.value
        if any(isinstance(part, Plain) and part.what == "flag" for part in parts) and text.lower() in _YES | _NO:
            return f"YAML 1.2 reads '{text}' as text; write {'true' if text.lower() in _YES else 'false'}"
        if meant := ours(text, words) or nearest(text, words):
            return f"did you mean '{meant}'?"
        if any(isinstance(part, Number) for part in parts):
            return _number_help(text)
    if isinstance(node, Scalar) and isinstance(node.value, bool) and "none" in words and not node.value:
        return "write `none` for absent"
    if isinstance(node, Scalar) and any(isinstance(part, Plain) and part.what == "text" for part in parts):
        return f"put quotes around it: '{node.value}'"
    if (
        isinstance(node, Scalar)
        and isinstance(node.value, float)
        and any(isinstance(p, Number) and p.whole for p in parts)
    ):
        return f"write {node.value:.0f}" if abs(node.value) < 1e15 and node.value >= 1 else ""
    return ""


_YES, _NO = {"yes", "on", "y", "true"}, {"no", "off", "n", "false"}


def _number_help(text: str) -> str:
    plain = text.replace("_", "").replace(",", "").strip()
    try:
        float(plain)
    except ValueError:
        return "write a number"
    return "take the quotes away" if plain == text else f"write {plain}"
