"""The sections of a spec as far as they are valid, for the rules between them."""

from collections.abc import Iterator
from dataclasses import dataclass

from attncli.spec.attention import ATTENTIONS, AnyAttention, CrossAttention
from attncli.spec.data import Data
from attncli.spec.model import Model, Stack
from attncli.spec.recurrent import Recurrent
from attncli.spec.stacks import Transformer
from attncli.spec.tasks import Task
from attncli.spec.tokenizer import Tokenizer
from attncli.spec.training import Evaluate, Train

Where = tuple[str | int, ...]
WRITERS = ("seq2seq", "language_model", "denoising")
"""Tasks whose stack predicts the tokens that it reads."""


@dataclass(frozen=True)
class Sections:
    """What a rule may look at. A section with faults of its own is None, and so is one that is not written."""

    task: Task | None
    model: Model | None
    tokenizer: Tokenizer | None
    data: Data | None
    train: Train | None
    evaluate: Evaluate | None


@dataclass(frozen=True)
class Site:
    """An attention where it stands: its keys from the top, its stack, what it reads, and the widths of both sides."""

    where: Where
    attention: AnyAttention
    name: str
    stack: Stack
    source: str | None
    d_query: int
    d_key: int
    q_length: int
    k_length: int


def width(stack: Stack) -> int:
    """Width of the states of a stack as others read them."""
    return stack.d_model if isinstance(stack, Transformer) else stack.d_output


def sites(model: Model) -> Iterator[Site]:
    """Every attention of a model that reads itself or a stack that there is."""
    for name, stack in model.stacks.items():
        at = ("model", name)
        if isinstance(stack, Recurrent):
            if stack.cross_attention is not None:
                yield from _site((*at, "cross_attention"), stack.cross_attention, name, model, stack.d_query)
            continue
        for index, layer in enumerate(stack.layers):
            for each in layer.placed():
                if isinstance(each.part, ATTENTIONS):
                    yield from _site((*at, "layers", index, *each.where), each.part, name, model, stack.d_model)


def _site(where: Where, attention: AnyAttention, name: str, model: Model, d_query: int) -> Iterator[Site]:
    source = attention.stack if isinstance(attention, CrossAttention) else None
    stack, read = model.stacks[name], model.stacks.get(source or name)
    if read is not None:
        yield Site(where, attention, name, stack, source, d_query, width(read), stack.longest, read.longest)
