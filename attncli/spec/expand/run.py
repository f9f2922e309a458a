"""The whole spec: its sections in the order in which they depend on each other."""

from attncli.spec.expand import sections
from attncli.spec.expand.model import NAMES, model, tied
from attncli.spec.expand.stacks import width
from attncli.spec.expand.work import Work, count, filled, kind, union, word
from attncli.spec.fields import PROMPTED
from attncli.spec.nodes import Mapping, Node, Sequence, derived
from attncli.spec.tasks import FIELDS


def expanded(work: Work, root: Mapping) -> Mapping:
    """The spec as the typed classes hold it."""
    root = _listed(work, root)
    task = union(root.get("task"), "task", root) if "task" in root.items else None
    named = kind(task, "")
    work.task = named if named in FIELDS else None
    body = root.get("model")
    stacks: list[str] = []
    wide: int | None = None
    if isinstance(body, Mapping):
        whole = model(work, body)
        root = root.plus("model", tied(work, whole, _shares(root)))
        stacks = [name for name in NAMES if isinstance(whole.get(name), Mapping)]
        wide = _width(whole, task, stacks)
    if task is not None:
        task = filled(task, "loss_on", *_loss(root)) if named == "language_model" else task
        root = root.plus("task", sections.task(work, task, stacks, wide))
    if isinstance(others := root.get("beside"), Sequence):
        made = [union(each, "task", root) for each in others.items]
        full = tuple(sections.task(work, one, stacks, wide) for one in made if one is not None)
        root = root.plus("beside", Sequence(others.place, full))
    return _rest(work, root, task, wide)


def _listed(work: Work, root: Mapping) -> Mapping:
    """The first task of a list as `task`, the others as `beside`, which is no key of its own."""
    if (written := root.get("beside")) is not None:
        work.fault(written, "there is no key 'beside' here", "write the tasks as a list, `task: [{…}, {…}]`")
        root = root.without("beside")
    given = root.get("task")
    if not isinstance(given, Sequence) or not given.items:
        return root
    first, *others = given.items
    root = root.plus("task", first)
    return root.plus("beside", Sequence(given.place, tuple(others))) if others else root


def _rest(work: Work, root: Mapping, task: Mapping | None, wide: int | None) -> Mapping:
    for key, section in (("tokenizer", sections.tokenizer), ("data", sections.data)):
        if key in root.items and (found := union(root.items[key], key, root)) is not None:
            root = root.plus(key, section(work, found))
    evaluate = _section(root, "evaluate")
    if isinstance(evaluate, Mapping):
        spans = task is None or word(task.get("scheme")) == "bio"
        root = root.plus("evaluate", sections.evaluate(work, evaluate, spans))
    train = _section(root, "train")
    if isinstance(train, Mapping):
        average = count(evaluate.get("average")) if isinstance(evaluate, Mapping) else None
        root = root.plus("train", sections.train(work, train, wide, average))
    return root


def _section(root: Mapping, key: str) -> Node:
    """A section that may be left out."""
    return root.items.get(key) or derived({}, "default", root)


def _width(whole: Mapping, task: Mapping | None, stacks: list[str]) -> int | None:
    """Width of the stack that the task reads."""
    written = word(task.get("stack")) if task is not None else None
    name = written if written in stacks else stacks[-1] if stacks else ""
    stack = whole.get(name)
    return width(stack) if isinstance(stack, Mapping) else None


def _loss(root: Mapping) -> tuple[str, str]:
    """What a language model is scored on, and why."""
    fields = _fields(root)
    if fields is not None and not fields.items.keys().isdisjoint(PROMPTED):
        return "answer", "data.fields names prompts"
    return "all", "default"


def _fields(root: Mapping) -> Mapping | None:
    data = root.get("data")
    fields = data.get("fields") if isinstance(data, Mapping) else None
    return fields if isinstance(fields, Mapping) else None


def _shares(root: Mapping) -> bool:
    """Whether neither source nor target has a tokenizer of its own."""
    fields = _fields(root)
    if fields is None:
        return True
    own = (fields.get(name) for name in ("source", "target"))
    return not any(isinstance(field, Mapping) and "tokenizer" in field.items for field in own)
