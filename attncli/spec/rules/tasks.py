"""What task, model, data and evaluation owe each other."""

from collections.abc import Iterator

from attncli.spec.base import Fault
from attncli.spec.data import Data, Generated
from attncli.spec.fields import fields_of
from attncli.spec.inputs import Tokens
from attncli.spec.model import Model, Stack
from attncli.spec.normalizers import Queries
from attncli.spec.outputs import Mixture
from attncli.spec.recurrent import Backward, Forward, Recurrent
from attncli.spec.rules import sequential
from attncli.spec.rules.sections import WRITERS, sites, width
from attncli.spec.rules.stacks import reads
from attncli.spec.scores import Location, Synthesizer
from attncli.spec.stacks import Transformer
from attncli.spec.tasks import (
    ASKED,
    FIELDS,
    METRICS,
    REWRITING,
    AttentionPooling,
    Classification,
    Cls,
    Denoising,
    Last,
    MaskedLanguageModel,
    SentencePair,
    Tagging,
    Task,
)  # fmt: skip
from attncli.spec.tokenizer import Tokenizer
from attncli.spec.training import Evaluate, Greedy, Train
from attncli.spec.words import listed, nearest

TOKENS = ("source", "target", "text")
"""Fields whose text becomes tokens."""


def on_model(task: Task, model: Model) -> Iterator[Fault]:
    """The task and the stacks."""
    if not model.stacks:
        return
    if task.kind in REWRITING and (missing := [n for n in ("encoder", "decoder") if n not in model.stacks]):
        yield Fault(
            ("model",),
            f"{task.kind} needs an encoder and a decoder, and there is no {missing[0]}",
            f"write `{missing[0]}: {{}}`",
        )
        return
    if task.stack not in model.stacks:
        near = nearest(task.stack, model.stacks) or next(iter(model.stacks))
        yield Fault(("task", "stack"), f"there is no stack '{task.stack}'", f"did you mean '{near}'?")
        return
    if task.kind in REWRITING and task.stack != "decoder":
        yield Fault(("task", "stack"), f"{task.kind} is written by the decoder", "leave stack out")
        return
    yield from _fields(task, model)
    yield from _unread(task, model)
    yield from _sight(task, model.stacks[task.stack])
    if isinstance(task, (Classification, SentencePair)):
        yield from _pooling(task, model.stacks[task.stack])


def _fields(task: Task, model: Model) -> Iterator[Fault]:
    """Each stack embeds a field that the task has, and no stack sees what it is to predict."""
    for name, stack in model.stacks.items():
        field, where = stack.input.field, ("model", name, "input", "field")
        valid = [each for each in (TOKENS[:2] if task.kind in REWRITING else FIELDS[task.kind]) if each in TOKENS]
        due = {"encoder": "source", "decoder": "target"}[name] if task.kind in REWRITING else "text"
        if field not in valid:
            near = nearest(field, valid) or due
            yield Fault(where, f"{task.kind} has no field '{field}' of tokens", f"did you mean '{near}'?")
        elif field != due:
            yield Fault(where, f"the {name} of a {task.kind} reads {due}", "leave field out")


def _unread(task: Task, model: Model) -> Iterator[Fault]:
    if any(reads(stack) - set(model.stacks) for stack in model.stacks.values()):
        return  # a misspelt stack is a fault of its own
    read, waiting = {task.stack}, [task.stack]
    for name in waiting:
        new = reads(model.stacks[name]) & set(model.stacks) - read
        read |= new
        waiting += sorted(new)
    for name in model.stacks:
        if name not in read:
            rule = f"nobody reads '{name}': the task reads '{task.stack}', which has no cross_attention to it"
            yield Fault(("model", name), rule, f"take {name} away, or let '{task.stack}' read it")
        elif task.kind == "language_model" and name != task.stack:
            rule = f"'{name}' reads the text that '{task.stack}' is to predict"
            yield Fault(("model", name), rule, f"take {name} away, or write task: seq2seq")


def causal(stack: Stack) -> bool:
    """Whether no state of the stack has seen a later token."""
    if isinstance(stack, Recurrent):
        return isinstance(stack.direction, Forward)
    masks = {attention.mask for layer in stack.layers for attention in layer.attentions}
    return bool(masks) and all(mask.causal() is None for mask in masks)


def _sight(task: Task, stack: Stack) -> Iterator[Fault]:
    if isinstance(task, MaskedLanguageModel) and causal(stack):
        rule = f"masked_language_model restores a token from both sides, but '{task.stack}' sees only what is before it"
        yield Fault(("task",), rule, "write `encoder:` in place of `decoder:`, or task: language_model")
    layers = stack.layers if isinstance(stack, Transformer) else ()
    own = [attention for layer in layers for attention in layer.attentions]
    if task.kind == "language_model" and task.stack == "encoder" and any(attention.mask.full for attention in own):
        rule = "language_model predicts each token from those before it, but 'encoder' sees the whole text"
        yield Fault(("task",), rule, "write `decoder:` in place of `encoder:`, or task: masked_language_model")


def _pooling(task: Classification | SentencePair, stack: Stack) -> Iterator[Fault]:
    pooling, where = task.pooling, ("task", "pooling")
    if isinstance(pooling, Cls) and causal(stack):
        rule = f"the first state of '{task.stack}' has seen the first token only"
        yield Fault(where, rule, "write pooling: last, or let the stack see both sides")
    if isinstance(pooling, Last) and isinstance(stack, Recurrent) and isinstance(stack.direction, Backward):
        yield Fault(where, f"the last state of '{task.stack}' has seen the last token only", "write pooling: cls")
    if isinstance(pooling, AttentionPooling):
        if width(stack) % pooling.heads:
            rule = f"{pooling.heads} heads do not divide the width of '{task.stack}', {width(stack)}"
            yield Fault((*where, "heads"), rule, "write heads that divide it")
        for fault in sequential.at_once(pooling.score, pooling.normalizer, "a pooling attends once"):
            yield Fault((*where, *fault.where), fault.rule, fault.help)
        if isinstance(pooling.normalizer, Queries) and pooling.queries == 1:
            rule = "one query has no other to compete with: every key would weigh the same"
            yield Fault((*where, "normalizer"), rule, "write queries: 2 or more, or another normalizer")
        if isinstance(pooling.score, (Location, Synthesizer)) and pooling.score.max_length < stack.max_length:
            rule = f"max_length is less than that of '{task.stack}', {stack.max_length}"
            yield Fault((*where, "score", "max_length"), rule, f"write max_length: {stack.max_length}")


def ties(task: Task, model: Model, tokenizer: Tokenizer | None, data: Data | None) -> Iterator[Fault]:
    """Embeddings that are to be one matrix have one size."""
    where, tie = ("model", "tie_embeddings"), model.tie_embeddings
    if tie == "none" or task.stack not in model.stacks or (task.kind in REWRITING and len(model.stacks) < 2):
        return
    if tie in ("output", "all") and task.kind not in (*WRITERS, "masked_language_model"):
        yield Fault(where, f"{task.kind} has no output over the vocabulary", "write tie_embeddings: none")
        return
    inputs: list[Tokens] = [stack.input for stack in model.stacks.values()]
    if tie in ("inputs", "all") and len(inputs) < 2:
        yield Fault(where, "there is one input, and nothing to tie it to", "write tie_embeddings: output, or none")
        return
    if tie in ("inputs", "all"):
        own = [
            field
            for field in FIELDS[task.kind]
            if data is not None and field in data.fields and data.fields[field].tokenizer
        ]
        if own:
            yield Fault(where, f"{listed(own)} has a vocabulary of its own", "write tie_embeddings: output, or none")
        if len({tokens.d_embedding for tokens in inputs}) > 1:
            widths = listed(str(tokens.d_embedding) for tokens in inputs)
            yield Fault(where, f"the embeddings are {widths} wide", "give them one width, or tie less")
    if tie in ("output", "all"):
        stack = model.stacks[task.stack]
        wide = stack.d_readout if isinstance(stack, Recurrent) else stack.d_model
        output = getattr(task, "output", None)
        maps_back = isinstance(output, Mixture) or getattr(output, "transform", None) is not None
        if wide != stack.input.d_embedding and not maps_back:
            rule = (
                f"the head reads {wide} features, and the embedding of '{task.stack}' is {stack.input.d_embedding} wide"
            )
            help = "write output: {transform: {activation: none}} to map back, or tie_embeddings: none"
            yield Fault(where, rule, help)


def on_data(task: Task, data: Data) -> Iterator[Fault]:
    """The task and its data."""
    if isinstance(data, Generated) and task.kind != "seq2seq":
        yield Fault(
            ("data", "name"),
            f"'{data.name}' makes pairs for seq2seq, and the task is {task.kind}",
            "write task: seq2seq, or data of your own",
        )
    valid = fields_of(task, data)
    if isinstance(task, Denoising):
        yield from _noisy(data)
    for name, field in data.fields.items():
        where = ("data", "fields", name)
        if field.kind is not None:
            continue  # a field of masks: rules/masks.py
        if name not in valid:
            near = nearest(name, valid)
            help = f"did you mean '{near}'?" if near else f"its fields are {listed(valid)}"
            yield Fault(where, f"{task.kind} reads no field '{name}'", help)
        elif field.tokenizer is not None and name not in TOKENS:
            yield Fault((*where, "tokenizer"), f"'{name}' is no text that becomes tokens", "leave tokenizer out")
        elif field.column is not None and isinstance(data, Generated):
            yield Fault((*where, "column"), "generated data have no columns", "leave column out")


def parts(task: Task, data: Data | None, model: Model) -> Iterator[Fault]:
    """Texts of several columns, and inputs with a vector for each of these parts."""
    for name, stack in model.stacks.items():
        if stack.input.segments is not None and task.kind in WRITERS:
            rule = f"{task.kind} writes tokens, or reads texts of one part: no segment would differ"
            yield Fault(("model", name, "input", "segments"), rule, "leave segments out")
    for field, given in data.fields.items() if data is not None else ():
        if not isinstance(given.column, tuple):
            continue
        where = ("data", "fields", field, "column")
        if field != "text" or task.kind not in ("classification", "masked_language_model"):
            yield Fault(where, "only a text that is read as a whole has several parts", "name one column")
        for stack in model.stacks.values():
            if stack.input.segments is not None and stack.input.segments < len(given.column):
                rule = f"a text has {len(given.column)} parts, and the input vectors for {stack.input.segments}"
                yield Fault(where, rule, f"write input: {{segments: {len(given.column)}}}")
        words = {n for site in sites(model) for n in site.attention.mask.of_tokens} - {"document", "segment"}
        if words:
            rule = f"a mask reads '{sorted(words)[0]}' of words, and these are counted in one text"
            yield Fault(where, rule, "name one column")


def _noisy(data: Data) -> Iterator[Fault]:
    """What is read of a text does not fit one that has lost tokens."""
    for name, field in data.fields.items():
        if field.kind == "integers":
            rule = "the text is read with tokens taken away, and its integers would stand beside others"
            yield Fault(("data", "fields", name), rule, "leave it out")
        elif field.tokenizer is not None:
            rule = "what is read and what is written are one text, with one tokenizer"
            yield Fault(("data", "fields", name, "tokenizer"), rule, "write tokenizer at the top")


def on_evaluation(task: Task, evaluate: Evaluate, train: Train | None, model: Model | None) -> Iterator[Fault]:
    """The task, its metrics and its decoding."""
    spans = isinstance(task, Tagging) and task.scheme == "bio"
    valid = [name for name in METRICS[task.kind] if spans or name != "span_f1"]
    valid += ASKED.get(task.kind, ())
    for index, name in enumerate(evaluate.metrics):
        if name not in valid:
            near = nearest(name, valid)
            help = f"did you mean '{near}'?" if near else f"its metrics are {listed(valid)}"
            help = "write scheme: bio in the task" if name == "span_f1" and task.kind == "tagging" else help
            yield Fault(("evaluate", "metrics", index), f"{task.kind} has no metric '{name}'", help)
    if not evaluate.metrics:
        yield Fault(("evaluate", "metrics"), "metrics is empty", f"the metrics are {listed(valid)}")
    stopping = train.early_stopping if train else None
    if stopping and stopping.metric not in ("loss", *evaluate.metrics):
        near = nearest(stopping.metric, ("loss", *evaluate.metrics))
        help = f"did you mean '{near}'?" if near else f"watch {listed(('loss', *evaluate.metrics))}"
        yield Fault(("train", "early_stopping", "metric"), f"'{stopping.metric}' is not measured", help)
    yield from _decoding(task, evaluate, model)


def _decoding(task: Task, evaluate: Evaluate, model: Model | None) -> Iterator[Fault]:
    where, decoding = ("evaluate", "decoding"), evaluate.decoding
    if task.kind not in WRITERS:
        if decoding != Greedy():
            yield Fault(where, f"{task.kind} writes no text to decode", "leave decoding out")
        return
    stack = model.stacks.get(task.stack) if model else None
    if stack and decoding.max_length is not None and decoding.max_length > stack.longest:
        rule = f"max_length {decoding.max_length} is more than '{task.stack}' can hold, {stack.longest}"
        yield Fault((*where, "max_length"), rule, f"write at most {stack.longest}")
