"""What pydantic found wrong, said in the words of the language, at the place where it was written."""

from collections.abc import Iterator
from collections.abc import Mapping as Mapping_
from typing import Any

from pydantic import ValidationError

from attncli.spec.base import Derived, Spec, kind_of
from attncli.spec.merge import opened
from attncli.spec.nodes import Broken, Mapping, Node, Place, Scalar, Sequence, is_broken
from attncli.spec.report import Found
from attncli.spec.run import Run
from attncli.spec.shapes import Either, Listing, Record, Shape, Table, Union_, inside, keys_of, records
from attncli.spec.tell import expected, shown
from attncli.spec.words import listed, nearest, ours

Path = tuple[str | int, ...]


def located(error: ValidationError, root: Mapping) -> Iterator[Found]:
    """Each fault of a whole spec with its place; nothing about values that are known to be broken."""
    told: set[Place] = set()
    for fault in error.errors(include_url=False, include_input=False):
        walk = Walk(root, fault["loc"])
        if fault["type"] == "rule":
            found = ruled(walk, fault["ctx"])
        elif fault["type"] == "extra_forbidden":
            found = unknown_key(walk)
        elif fault["type"] == "missing" and not isinstance(walk.node, Sequence):
            found = missing(walk)
        else:
            found = None if is_broken(walk.node) or beside_record(walk) else wrong_value(walk, fault)
        if found is None or (found.place in told and fault["type"] not in ("rule", "missing")):
            continue  # a value that is handed down is wrong once; so is one that fits no part of a plain union
        told.add(found.place)
        yield found


def underived(error: ValidationError, root: Mapping) -> Iterator[Found]:
    """Defaults that could not be derived, where no other fault says why."""
    for fault in error.errors(include_url=False, include_input=False):
        walk = Walk(root, fault["loc"])
        yield Found(walk.node.place, f"{fault['loc'][-1]}: this has no default here", "write it")


def wrong_value(walk: "Walk", fault: Mapping_[str, Any]) -> Found:
    """A value of a wrong type, out of its limits, or of a kind that there is not."""
    if fault["type"] == "kind_unknown" and isinstance(walk.node, (Mapping, Scalar)):
        return unknown_kind(walk, fault["ctx"])
    if fault["type"] == "kind_missing":
        says = f"{walk.key}: kind is missing"
        return Found(walk.node.place, says, f"write one of {listed(fault['ctx']['kinds'])}")
    says, help = expected(walk.key, walk.shape, walk.node)
    return Found(walk.node.place, says, help)


class Walk:
    """The way down from the top to a value: the node there, the record around it, the shape that its key takes."""

    def __init__(self, root: Mapping, steps: Path) -> None:
        self.node: Node = root
        self.key = ""
        self.shape: Shape = Record(Run)
        self.around: tuple[Mapping, type[Spec]] = (root, Run)
        self.path: list[str] = []
        self.rest: Path = ()
        self.label = ""
        for index, step in enumerate(steps):
            own = isinstance(self.node, Mapping) and step in self.node.items  # such as `d-model`
            if isinstance(step, str) and not own and set("[`(-") & set(step):
                self.label = step  # what pydantic calls a part of a plain union
            elif not self._down(step):
                self.rest = steps[index:]
                return

    def _down(self, step: str | int) -> bool:
        if isinstance(self.node, Sequence) and isinstance(step, int) and step < len(self.node.items):
            self.node, self.shape = self.node.items[step], element_of(self.shape)
            return True
        if not isinstance(self.node, Mapping) or step not in self.node.items:
            return False
        assert isinstance(step, str)
        record = record_of(self.node, self.shape)
        inner = keys_of(record).get(step) if record else None
        if record:
            self.around = (self.node, record)
        self.shape = inner or element_of(self.shape)
        self.node, self.key = self.node.items[step], step
        self.path.append(step)
        return True


def element_of(shape: Shape) -> Shape:
    """The shape of an element, where a list or a table is among what a value may be."""
    match shape:
        case Listing(of=part) | Table(of=part):
            return part
        case Either(of=parts):
            return next((element_of(part) for part in parts if isinstance(part, (Listing, Table))), shape)
        case _:
            return shape


def record_of(node: Mapping, shape: Shape) -> type[Spec] | None:
    """The class that a mapping is read as, where it is read as one."""
    match shape:
        case Record(of=record):
            return record
        case Union_():
            kind = node.get("kind")
            first = None if shape.named else next(iter(shape.kinds))
            return shape.kinds.get(str(kind.value) if isinstance(kind, Scalar) else first or "")
        case Either(of=parts):
            return next((found for part in parts if (found := record_of(node, part))), None)
        case _:
            return None


def ruled(walk: Walk, context: dict[str, Any]) -> Found | None:
    """A broken rule, at the value that it names, at the column that it names in a text."""
    if isinstance(walk.node, Broken):
        return None
    place = walk.node.place
    if "column" in context and isinstance(walk.node, Scalar) and walk.node.why is None:
        place = inner_place(place, context["column"])
    rule = context["rule"]
    name = next((str(step) for step in reversed(walk.rest) if isinstance(step, str)), walk.key)
    return Found(place, rule if not name or rule.startswith(name) else f"{name}: {rule}", context["help"])


def inner_place(place: Place, column: int) -> Place:
    """The place of a character of a one-line text."""
    line = place.source.lines[place.line - 1] if place.line <= len(place.source.lines) else ""
    begin = place.column + (line[place.column - 1 : place.column] in ("'", '"'))
    block = line[place.column - 1 : place.column] in ("|", ">")
    return place if block or begin + column > len(line) + 1 else Place(place.source, place.line, begin + column)


def beside_record(walk: Walk) -> bool:
    """Whether a mapping is blamed for not being the list or the text that might stand there as well."""
    parts = walk.shape.of if isinstance(walk.shape, Either) else ()
    return bool(walk.label) and isinstance(walk.node, Mapping) and any(isinstance(part, Record) for part in parts)


def missing(walk: Walk) -> Found | None:
    """A key that must be written. Derived ones are missing only where they could not be known."""
    if not walk.rest:
        return None
    name, node = str(walk.rest[0]), opened(walk.node, walk.key)
    record = record_of(node, walk.shape) if node is not None else None
    if node is None or record is None or name in node.items or _derived(record, name):
        return None
    valid = keys_of(record)
    if any(name in (ours(key, valid), nearest(key, valid)) for key in node.items if key not in valid):
        return None  # it is there, misspelt
    where = f"{walk.key}: " if walk.key else ""
    says, help = expected(name, keys_of(record)[name], None)
    return Found(node.place, f"{where}'{name}' is missing", help or says)


def _derived(record: type[Spec], name: str) -> bool:
    return any(isinstance(mark, Derived) for mark in record.model_fields[name].metadata)


def unknown_kind(walk: Walk, context: dict[str, Any]) -> Found:
    """A kind that there is not."""
    given, kinds = context["given"], context["kinds"]
    node = walk.node.items["kind"] if isinstance(walk.node, Mapping) else walk.node
    meant = ours(given, kinds) or nearest(given, kinds)
    help = (
        f"did you mean '{meant}'?"
        if meant
        else f"the {'kinds are' if len(kinds) > 1 else 'only kind is'} {listed(kinds)}"
    )
    return Found(node.place, f"{walk.key}: there is no kind {shown(node)}", help)


def unknown_key(walk: Walk) -> Found | None:
    """A key that is not valid here: misspelt, foreign, of another kind, or of another place."""
    name, node, record = walk.key, *walk.around
    if name not in node.items:
        return None
    valid = [key for key in keys_of(record) if key != name]
    other = _other_kind(name, record)
    place = node.key_place(name)
    of = f"{walk.path[-2]}: " if len(walk.path) > 1 else ""
    if other:
        kinds = listed(f"'{kind}'" for kind in other)
        says = f"{of}'{name}' is a key of kind {kinds}, not of '{kind_of(record)}'"
        return Found(place, says, f"write kind: {other[0]}, or take '{name}' away")
    foreign, near, homes = ours(name, valid), nearest(name, valid), within(name, record) or homes_of(name)
    if foreign:
        help = f"here it is called '{foreign}'"
    elif homes and not (near and len(homes) > 3):
        help = f"it belongs under {_quoted(homes)}"
        help += f"; or did you mean '{near}'?" if near else ""
    elif near:
        help = f"did you mean '{near}'?"
    else:
        help = _elsewhere(name) or f"the keys here are {listed(valid)}"
    return Found(place, f"{of}there is no key '{name}' here", help)


def _other_kind(name: str, record: type[Spec]) -> list[str]:
    """Other kinds of the same choice that do read this key."""
    return [kind_of(sibling) for sibling in siblings(record) if name in keys_of(sibling)]


def siblings(record: type[Spec]) -> list[type[Spec]]:
    """The other kinds of every choice in which this one is."""
    found: list[type[Spec]] = []
    for holder in records():
        for shape in keys_of(holder).values():
            for part in shape.of if isinstance(shape, Either) else (shape,):
                if isinstance(part, Union_) and record in part.classes:
                    found += [member for member in part.classes if member is not record and member not in found]
    return found


def within(name: str, record: type[Spec]) -> list[str]:
    """The keys of this record whose values have a key of this name."""
    return [key for key, shape in keys_of(record).items() if any(name in keys_of(part) for part in inside(shape))]


def homes_of(name: str) -> list[str]:
    """Where a key of this name is valid, shortest first."""
    found = {".".join(path) or "the top" for record, path in records().items() if name in keys_of(record)}
    return sorted(found, key=lambda home: (home.count("."), home))


def _quoted(homes: list[str]) -> str:
    return listed(f"`{home}`" for home in homes[:3])


def _elsewhere(name: str) -> str | None:
    """Our name for a foreign key, and where it is valid."""
    every = {key for record in records() for key in keys_of(record)}
    meant = ours(name, every)
    return f"we call it '{meant}'; it belongs under {_quoted(homes_of(meant))}" if meant else None
