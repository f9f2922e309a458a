"""What tasks on one model owe each other, where `task` is a list."""

from collections.abc import Iterator

from attncli.spec.base import Fault
from attncli.spec.data import Data
from attncli.spec.fields import parts_of
from attncli.spec.model import Model
from attncli.spec.rules.sections import WRITERS, sites
from attncli.spec.tasks import MaskedLanguageModel, SentencePair, Task


def faults(first: Task, beside: tuple[SentencePair, ...], model: Model, data: Data | None) -> Iterator[Fault]:
    """Every rule that a list of tasks breaks, and what texts in two parts cannot be."""
    if beside or isinstance(first, SentencePair):
        words = {name for site in sites(model) for name in site.attention.mask.of_tokens} - {"document", "segment"}
        if words:
            rule = f"a mask reads '{min(words)}' of words, and a text of two parts has them anew in each"
            yield Fault(("model",), rule, "write another mask")
    elif not _parted(first, data):
        yield from _one_part(first, model)
    if beside and data is not None and data.packing != "none":
        yield Fault(("data", "packing"), "sentence_pair has one label a row, and a packed row several texts", "none")
    if first.weight is not None:
        rule = "the first task has the weight 1, which the others are measured by"
        yield Fault(("task", "weight"), rule, "write weight at the others, or leave it out")
    if len(beside) > 1:
        yield Fault(("beside", 1), "sentence_pair stands here twice, and a text has one second part", "leave one out")
    if beside and not isinstance(first, MaskedLanguageModel):
        rule = f"sentence_pair shares its texts with a masked_language_model, and {first.kind} reads others"
        yield Fault(("task",), rule, "write [masked_language_model, sentence_pair], or one task")
    for index, task in enumerate(beside):
        if task.stack != first.stack:
            rule = f"it reads '{task.stack}', and the first task '{first.stack}'"
            yield Fault(("beside", index, "stack"), rule, "leave stack out")


def _parted(task: Task, data: Data | None) -> bool:
    """Whether texts may have several parts."""
    return task.kind in ("classification", "masked_language_model") and (data is None or parts_of(data, "text") > 1)


def _one_part(task: Task, model: Model) -> Iterator[Fault]:
    for site in sites(model):
        writes = site.name == task.stack and task.kind in WRITERS  # which may read nothing of tokens: rules/masks.py
        if "segment" in site.attention.mask.of_tokens and not writes:
            rule = "'segment' is the part of a text, and each text is one part"
            help = (
                "name the columns of the parts, as data.fields.text: {column: [first, second]}, or write another mask"
            )
            yield Fault((*site.where, "mask"), rule, help)
