"""What masks read of the data: integers of tokens and of samples, which must be there where the mask stands."""

from collections.abc import Iterator

from attncli.spec.base import Fault
from attncli.spec.data import Data, Generated
from attncli.spec.fields import numbers_of, prompted, worded
from attncli.spec.masks import Mask
from attncli.spec.masks.calls import near
from attncli.spec.masks.predicates import PREDICATES, SAMPLES, TOKENS, Neighbourhood, Same
from attncli.spec.masks.tree import Token
from attncli.spec.model import Model
from attncli.spec.recurrent import Recurrent
from attncli.spec.rules.sections import WRITERS, Site, sites
from attncli.spec.tasks import FIELDS, Classification, LanguageModel, SentencePair, Task

WORDS = {*PREDICATES, *TOKENS, *SAMPLES, "q", "k", "h", "q_length", "k_length", "abs", "min", "max", "by_head"}


def faults(site: Site, task: Task, data: Data | None) -> Iterator[Fault]:
    """Every integer that the mask of an attention reads and that nothing gives."""
    mask, where = site.attention.mask, (*site.where, "mask")
    tokens, samples = numbers_of(data, "integers"), numbers_of(data, "integer")
    for name in sorted(mask.of_samples - set(samples)):
        if name == "prefix_length":
            yield from (Fault(where, *fault) for fault in _prompt(site, task, data))
        elif name in tokens:
            yield Fault(where, f"'{name}' is an integer of each token", f"write {name}(q) or {name}(k)")
        else:
            yield Fault(where, f"there is no '{name}' in masks", _missing(name, "integer", (*tokens, *samples)))
    for name in sorted(mask.of_tokens - {"document"}):
        if name in samples:
            yield Fault(where, f"'{name}' is an integer of the whole sample", f"write {name} alone")
        elif name not in (*tokens, "word", "segment"):
            yield Fault(where, f"there is no '{name}' in masks", _missing(name, "integers", (*tokens, *samples)))
        else:
            yield from (Fault(where, *fault) for fault in _sides(site, task, name))


def _missing(name: str, kind: str, fields: tuple[str, ...]) -> str:
    help = near(name, *fields)
    return help if help.startswith("did") else f"name a column: data.fields.{name}: {{kind: {kind}}}; {help}"


def _prompt(site: Site, task: Task, data: Data | None) -> Iterator[tuple[str, str]]:
    if not prompted(task, data):
        help = "write task: {kind: language_model, loss_on: answer}, or a comparison such as k < 8"
        yield "a prefix is the prompt of a language model, and this task has none", help


def _sides(site: Site, task: Task, name: str) -> Iterator[tuple[str, str]]:
    """Both ends of a pair are tokens of the text whose words carry the integer."""
    reader, of = site.stack.input.field, worded(task)
    if site.source is None and site.name == task.stack and task.kind in WRITERS:
        yield f"'{name}' of a token that is still to be written is unknown", "take it out of the mask of a causal stack"
        return
    for side in sorted(_named_sides(site.attention.mask, name)):
        if side == "q" and reader != of:
            rule = f"the queries are tokens of '{reader}', and '{name}' is told of '{of}'"
            yield rule, f"compare {name}(k) with a number"


def _named_sides(mask: Mask, name: str) -> set[str]:
    found: set[str] = set()
    for node in mask.tree.walk():
        match node:
            case Token(of=of, side=side) if of == name:
                found.add(side)
            case Same(of=of) if of == name:
                found |= {"q", "k"}
            case Neighbourhood() if name in ("row", "column"):
                found |= {"q", "k"}
    return found


def packing(model: Model, task: Task, data: Data) -> Iterator[Fault]:
    """Documents that share a row: in stacks whose states do not run from one to the next, with outputs of their own."""
    where, together = ("data", "packing"), data.packing == "documents"
    if data.packing == "stream" and (not isinstance(task, LanguageModel) or task.loss_on == "answer"):
        rule = "a row of a stream begins and ends anywhere, and only a language model of whole texts can read it"
        yield Fault(where, rule, "write packing: documents, or none")
    if together and isinstance(task, (Classification, SentencePair)):
        yield Fault(where, f"{task.kind} has one label a row, and a packed row holds several texts", "leave it out")
    for name, stack in model.stacks.items():
        if together and isinstance(stack, Recurrent):
            yield Fault(where, f"the states of '{name}' would run from one document into the next", "leave it out")
    for site in sites(model):
        mask = site.attention.mask
        if data.packing == "stream" and (read := sorted((mask.of_tokens | mask.of_samples) - {"document"})):
            rule = f"'{read[0]}' is of one text, and a row of a stream runs from one into the next"
            yield Fault((*site.where, "mask"), rule, "write packing: documents, or none")
        for node in mask.tree.walk():
            if isinstance(node, Same) and node.of == "document":
                held = "packing: documents holds documents apart already" if together else _one(data)
                yield Fault((*site.where, "mask"), f"'{node}' changes nothing: {held}", "leave it out")


def _one(data: Data) -> str:
    """Why no row has documents to tell apart."""
    if data.packing == "stream":
        return "a row of a stream is one text; packing: documents holds texts apart"
    return "every row is one document"


def on_fields(masks: set[Mask], task: Task, data: Data) -> Iterator[Fault]:
    """The fields of integers: each is read by a mask, and none is a word that means something else."""
    read = {name for mask in masks for name in mask.of_tokens | mask.of_samples}
    for name, field in data.fields.items():
        where = ("data", "fields", name)
        if field.kind is None:
            continue
        if name in FIELDS[task.kind] or name in WORDS:
            what = f"the {name} of the task" if name in FIELDS[task.kind] else "a word of masks"
            yield Fault(where, f"'{name}' is {what}", "give the field another name, and say its column")
        elif isinstance(data, Generated):
            yield Fault(where, f"generated data have no '{name}'", "leave it out")
        elif field.tokenizer is not None:
            yield Fault((*where, "tokenizer"), f"'{name}' is {field.kind} and no text", "leave tokenizer out")
        elif name not in read:
            yield Fault(where, f"no mask reads '{name}'", "leave it out")
