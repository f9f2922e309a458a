"""YAML 1.2 text to nodes. The scalars are those of the core schema without hexadecimal and octal numbers.

`no`, `on` and dates are text, `3e-4` is a number, `010` is ten. Anchors and aliases are allowed, up to a number of
nodes. Refused: tags, `<<`, repeated keys, empty values, several documents, anything but a mapping at the top.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from attncli.spec.nodes import Broken, Mapping, Node, Place, Scalar, Sequence, Source
from attncli.spec.report import Found, Stop

_MOST_NODES = 100_000
_DEEPEST = 64
_BREAK = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_EXPONENT = re.compile(r"([-+]?[0-9]+)[eE]\+?([0-9]{1,2})")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NULL = ("", "~", "null", "Null", "NULL")
_SPECIAL = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan"),
}  # fmt: skip


def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a text as YAML counts them."""
    return tuple(_BREAK.split(text))


def read_mapping(text: str, source: Source, faults: list[Found]) -> Mapping:
    """The mapping that a spec file holds. Faults that leave the rest readable join `faults`; others raise Stop."""
    root = read_value(text, source, faults)
    if isinstance(root, Mapping):
        return root
    says = "a spec is a mapping of keys to values, and this is not"
    raise Stop(Found(root.place, says, "write `name: …`, `task: …` and `model: …`, each on a line of its own"))


def read_value(text: str, source: Source, faults: list[Found]) -> Node:
    """The one value that a text holds."""
    if odd := _UNPRINTABLE.search(text):
        before = lines_of(text[: odd.start()])
        says = f"the character U+{ord(odd[0]):04X} may not stand in YAML"
        raise Stop(Found(Place(source, len(before), len(before[-1]) + 1), says, "take it out"))
    try:
        return _Composer(text, source, faults).document()
    except yaml.MarkedYAMLError as error:
        raise Stop(_syntax(error, source)) from None


class _Composer:
    """Builds nodes from the events of the YAML parser."""

    def __init__(self, text: str, source: Source, faults: list[Found]) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self.source = source
        self.faults = faults
        self.anchors: dict[str, tuple[Node | None, int]] = {}
        self.count = 0

    def document(self) -> Node:
        next(self.events)
        if not isinstance(next(self.events), yaml.DocumentStartEvent):
            raise Stop(self.empty())
        start = next(self.events)
        if isinstance(start, yaml.ScalarEvent) and start.value in _NULL and not (start.style or start.tag):
            raise Stop(self.empty())
        root = self.node(start, "", 0, False)
        next(self.events)
        if isinstance(more := next(self.events), yaml.DocumentStartEvent):
            raise Stop(Found(self.place(more), "a second document starts here", "write one spec a file"))
        return root

    def empty(self) -> Found:
        """What is said of a text without a value."""
        help = (
            "write a value, or take the key away"
            if self.source.flag
            else ("`attncli init DATA_FILE` writes a spec to start from")
        )
        return Found(Place(self.source, 1, 1), "there is nothing here", help)

    def node(self, event: Any, key: str, depth: int, flow: bool) -> Node:
        """The value that `event` begins; `key` names it in messages."""
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.fault(event, f"the tag '{tag}' has no meaning here", "take the tag away")
        if depth > _DEEPEST:
            raise Stop(Found(self.place(event), f"values are nested more than {_DEEPEST} deep", "write a flatter spec"))
        start = self.count
        self.add(1, event)
        if event.anchor:
            self.anchors[event.anchor] = None, 0
        match event:
            case yaml.ScalarEvent():
                made = self.scalar(event, key, flow)
            case yaml.SequenceStartEvent():
                made = self.sequence(event, depth)
            case _:
                made = self.mapping(event, depth)
        if event.anchor:
            self.anchors[event.anchor] = made, self.count - start
        return made

    def alias(self, event: Any) -> Node:
        made, size = self.anchors.get(event.anchor, (None, -1))
        if made is None:
            says = f"there is no anchor '&{event.anchor}' above" if size < 0 else f"'*{event.anchor}' holds itself"
            self.fault(event, says, f"write &{event.anchor} at the value that is meant, before this line")
            return Broken(self.place(event))
        self.add(size, event)
        return made

    def add(self, nodes: int, event: Any) -> None:
        self.count += nodes
        if self.count > _MOST_NODES:
            says = f"anchors and aliases unfold to more than {_MOST_NODES:,} values"
            raise Stop(Found(self.place(event), says, "repeat less; `repeat` says a layer many times"))

    def scalar(self, event: Any, key: str, flow: bool) -> Node:
        place, text, name = self.place(event), event.value, key or "an element"
        if event.style not in (None, ""):
            return Scalar(place, text)
        if text in _NULL:
            self.fault(event, f"{name}: there is no value", "write `none` for absent, or take the key away")
            return Broken(place)
        if flow and _still_open(text) > 0:
            self.fault(event, f"{name}: within {{ }} and [ ] the value ends at the comma", self.quoted(place, key))
            return Broken(place)
        return Scalar(place, number_or_text(text))

    def quoted(self, place: Place, key: str) -> str:
        """How to write a value whose parentheses hold a comma."""
        rest = place.source.lines[place.line - 1][place.column - 1 :]
        depth = 0
        for end, char in enumerate(rest):
            depth += (char == "(") - (char == ")")
            if (depth == 0 and char in ",}]") or depth < 0:
                return f"quote it: {key + ': ' if key else ''}'{rest[:end].rstrip()}'"
        return "quote it"

    def sequence(self, event: Any, depth: int) -> Node:
        items = []
        while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(item, "", depth + 1, event.flow_style))
        return Sequence(self.place(event), tuple(items))

    def mapping(self, event: Any, depth: int) -> Node:
        items: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        torn = 0  # parentheses that are still open in a value that ended at a comma
        while not isinstance(start := next(self.events), yaml.MappingEndEvent):
            known = len(self.faults)
            key = self.key(start, depth)
            begin = next(self.events)
            value = self.node(begin, key or "", depth + 1, event.flow_style)
            if torn and isinstance(value, Broken):  # what follows the comma of `mask: window(before=3, after=2)`
                del self.faults[known:]
                torn = max(0, torn + _still_open(key or ""))
                continue
            cut = isinstance(value, Broken) and event.flow_style and "ends at the comma" in self.faults[-1].says
            torn = _still_open(begin.value) if cut else 0
            if key is None:
                continue
            if key in keys:
                self.fault(start, f"{key}: this key stands here twice", f"the first one is in line {keys[key].line}")
                continue
            items[key], keys[key] = value, self.place(start)
        return Mapping(self.place(event), items, keys)

    def key(self, event: Any, depth: int) -> str | None:
        if isinstance(event, yaml.ScalarEvent) and event.tag is None and (event.value not in _NULL or event.style):
            if event.anchor:
                self.anchors[event.anchor] = Scalar(self.place(event), event.value), 1
            if event.value != "<<" or event.style:
                return str(event.value)
            self.fault(event, "<<: merge keys are not read", "write the shared keys on `model`, or use `extends`")
            return None
        if not isinstance(event, yaml.ScalarEvent):
            self.node(event, "", depth + 1, False)
        self.fault(event, "a key is one word of text", "write `key: value`")
        return None

    def fault(self, event: Any, says: str, help: str) -> None:
        self.faults.append(Found(self.place(event), says, help))

    def place(self, event: Any) -> Place:
        return Place(self.source, event.start_mark.line + 1, event.start_mark.column + 1)


def _still_open(text: str) -> int:
    return text.count("(") - text.count(")")


def number_or_text(text: str) -> str | int | float | bool:
    """A plain scalar by the core schema of YAML 1.2; `1e5` is the integer that it is."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INTEGER.fullmatch(text) and len(text) < 400:
        return int(text)
    if whole := _EXPONENT.fullmatch(text):
        return int(whole[1]) * 10 ** int(whole[2]) if len(whole[1]) < 400 else float(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _syntax(error: yaml.MarkedYAMLError, source: Source) -> Found:
    """A syntax error of YAML with a way out."""
    mark, problem = error.problem_mark or error.context_mark, error.problem or "this is not YAML"
    opened = error.context_mark
    assert mark is not None
    at = mark if opened is None or (mark.line < len(source.lines) and source.lines[mark.line].strip()) else opened
    place = Place(source, at.line + 1, at.column + 1)
    line = source.lines[place.line - 1] if place.line <= len(source.lines) else ""
    if "\t" in line[: place.column] or line[place.column - 1 : place.column] == "\t":
        return Found(place, "a tab stands where YAML wants blanks", "indent with blanks")
    if "mapping values are not allowed" in problem:
        return Found(
            place,
            "a ':' stands where no key can be",
            "indent the keys of one mapping alike, and quote a text that holds ': '",
        )
    if opened is not None and ("',' or" in problem or "end of stream" in problem):
        says = problem.replace("did not find expected", "expected")
        return Found(place, says, f"what opens in line {opened.line + 1} column {opened.column + 1} is not closed")
    if "cannot start any token" in problem:
        return Found(place, "a value cannot start with this character", "quote the value")
    return Found(
        place,
        problem.replace("did not find expected", "expected"),
        "this is not YAML; look at the indentation and the quotes around here",
    )


def is_plain_text(text: str) -> bool:
    """Whether a text without quotes would be read as the text that it is, and not as a number or a truth."""
    return text not in _NULL and number_or_text(text) is text
