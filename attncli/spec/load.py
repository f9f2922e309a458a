"""A spec file to a typed spec: read, laid over what it extends, expanded, validated. Every fault in one report."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from attncli.spec.base import Absent, Spec
from attncli.spec.data import Data
from attncli.spec.expand import Work, expanded
from attncli.spec.faults import Walk, located, ruled, underived
from attncli.spec.files import Files
from attncli.spec.fold import Typed, folded
from attncli.spec.merge import Covered, overridden
from attncli.spec.model import Model
from attncli.spec.nodes import Mapping, plain
from attncli.spec.report import Found, Stop, refusal
from attncli.spec.resolved import Row, blame, rows_of, yaml_of
from attncli.spec.rules import Sections, notes
from attncli.spec.rules import faults as between
from attncli.spec.run import Run
from attncli.spec.tasks import Task
from attncli.spec.tokenizer import Tokenizer
from attncli.spec.training import Evaluate, Train
from attncli.spec.unread import unread


@dataclass(frozen=True)
class Loaded:
    """A valid spec and what was noticed on the way."""

    run: Run
    notes: tuple[str, ...]
    root: Mapping
    """Every value with its place or its reason."""
    written: Mapping
    """What is written, `extends` and `-o` laid over each other, before any default."""

    def plain(self) -> dict[str, Any]:
        """What is written, without places."""
        found: dict[str, Any] = plain(self.written)
        return found

    def resolved(self) -> str:
        """YAML with every default, which loads to an equal spec; paths are absolute."""
        return yaml_of(self.run)

    def explained(self) -> str:
        """The same YAML with the reason of each value beside it; a value without one is the plain default."""
        return yaml_of(self.run, self.root)

    def rows(self) -> list[Row]:
        """Every value with where it was written or what it follows from."""
        return rows_of(self.run, self.root)

    def blame(self, key: str) -> list[Row]:
        """The rows at or under one key. Raises InputError if there is no such key."""
        return blame(self.rows(), key)


def load_spec(path: Path, overrides: Sequence[str] = ()) -> Loaded:
    """The spec in a file, with `-o key.sub=value` overrides.

    Raises SpecError with every fault that it has.
    """
    return _load(lambda files: files.file(Path(path)), overrides)


def load_text(text: str, overrides: Sequence[str] = (), *, name: str = "spec.yaml") -> Loaded:
    """The spec in a text; relative paths start at the working folder. Raises SpecError."""
    return _load(lambda files: files.text(text, name), overrides)


def _load(read: Callable[[Files], Mapping], overrides: Sequence[str]) -> Loaded:
    found: list[Found] = []
    covered = Covered()
    try:
        written = read(Files(found, covered))
    except Stop as stop:
        raise refusal([*found, stop.found]) from None
    written = overridden(written, overrides, found, covered)
    work = Work(covered, found)
    whole = expanded(work, written)
    root, layers = folded(whole)
    run = _validated(root, layers, found)
    if not found:
        _look_for_idle_keys(written, whole, work)
    if found or run is None:
        raise refusal(found)
    remarks = [f"{Walk(root, where).node.place}: {text}" for where, text in notes(run.model)]
    return Loaded(run, tuple(dict.fromkeys([*work.notes, *remarks])), root, written)


def _look_for_idle_keys(written: Mapping, whole: Mapping, work: Work) -> None:
    for each in unread(written, whole, work):
        if isinstance(each, Found):
            work.faults.append(each)
        else:
            work.notes.append(each)


def _validated(root: Mapping, layers: Typed, found: list[Found]) -> Run | None:
    """The typed spec; or every fault of it, those between its valid sections included."""
    values = plain(root, dict(layers))
    try:
        return Run.model_validate(values)
    except ValidationError as error:
        found += located(error, root)
        bad = {fault["loc"][0] for fault in error.errors(include_url=False) if fault["loc"]}
        good = {key: value for key, value in values.items() if key in _Draft.model_fields and key not in bad}
        found += _between(_Draft.model_validate(good), root)
        found += [] if found else underived(error, root)
        return None


def _between(draft: "_Draft", root: Mapping) -> Iterator[Found]:
    """The faults between the sections that are valid by themselves."""
    for fault in between(Sections(draft.task, draft.model, draft.tokenizer, draft.data, draft.train, draft.evaluate)):
        found = ruled(Walk(root, fault.where), {"rule": fault.rule, "help": fault.help})
        if found is not None:
            yield found


class _Draft(Spec):
    """The sections of a spec of which some are missing or wrong."""

    task: Task | None = None
    model: Model | None = None
    tokenizer: Tokenizer | None = None
    data: Annotated[Data | None, Absent] = None
    train: Train | None = None
    evaluate: Evaluate | None = None
