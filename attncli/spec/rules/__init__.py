"""Rules between the sections of a spec, and remarks about what is allowed and worth a word."""

from collections.abc import Iterator

from attncli.spec.base import Fault
from attncli.spec.rules import attention, masks, memory, outputs, pointer, stacks, tasks, training, tuning
from attncli.spec.rules.notes import notes
from attncli.spec.rules.sections import WRITERS, Sections, Where, sites
from attncli.spec.tasks import AttentionPooling, LanguageModel

__all__ = ["Sections", "Where", "faults", "notes", "sites"]


def faults(given: Sections) -> Iterator[Fault]:
    """Every rule that is broken between the sections that are there."""
    task, model, data, train, evaluate = given.task, given.model, given.data, given.train, given.evaluate
    writer = task.stack if task is not None and task.kind in WRITERS else None
    if model is not None:
        yield from stacks.faults(model, writer if task is not None else "decoder")
        yield from memory.faults(model, task, data)
        for site in sites(model):
            blind = site.name != "encoder" or not site.attention.mask.full  # a full encoder is a fault of the task
            prompt = isinstance(task, LanguageModel) and task.loss_on == "answer"
            yield from attention.faults(site, writes=site.name == writer and blind, prompt=prompt)
            if task is not None:
                yield from masks.faults(site, task, data)
    if task is not None and model is not None:
        yield from tasks.on_model(task, model)
        yield from tasks.ties(task, model, given.tokenizer, data)
        yield from tasks.parts(task, data, model)
    if task is not None:
        yield from pointer.faults(task, model, data)
        yield from outputs.faults(task, model, given.tokenizer, data)
    if task is not None and data is not None:
        yield from tasks.on_data(task, data)
        if model is not None:
            yield from masks.packing(model, task, data)
            yield from masks.on_fields({site.attention.mask for site in sites(model)}, task, data)
    if task is not None and evaluate is not None:
        yield from tasks.on_evaluation(task, evaluate, train, model)
    if train is not None:
        pools = isinstance(getattr(task, "pooling", None), AttentionPooling)
        attends = model is None or task is None or pools or any(True for _ in sites(model))
        yield from training.faults(train, data, evaluate, attends=attends)
        if model is not None:
            yield from tuning.faults(train, model)
