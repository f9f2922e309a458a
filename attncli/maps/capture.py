"""Maps of everything a model attends to, taken while it runs with its own kernels.

A tap receives each attention's record, rebuilds and checks the weights (attncli.maps.check), drops the rest: at once,
block by block, where the whole text is read (attncli.maps.taking), or keeping the rows of every step where it is
written (attncli.maps.steps). Logits with a tap are those without, bit for bit: the tap reads, and the layers do not
know of it.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from attncli.maps.record import AttentionMap, Kind
from attncli.maps.taking import Axes, Forced, Plan
from attncli.nn.attention import Attention
from attncli.nn.model import Model
from attncli.nn.stacks import Transformer
from attncli.streams import IGNORE, Batch, Stream

Pieces = Callable[[str, Sequence[int]], list[str]]
"""(field, ids) -> the token of each id, as attncli.data.codec.Codec.pieces gives them."""


class Ends(NamedTuple):
    """What an attention joins: the field of its queries (None where they are learned) and of its keys."""

    kind: Kind
    stack: str
    queries: str | None
    keys: str
    ahead: int = 0
    """Learned keys in front of those that are read."""


def ends_of(model: Model) -> dict[str, Ends]:
    """What each attention joins, by address, in the order of the forward pass."""
    found: dict[str, Ends] = {}
    for name, stack in model.stacks.items():
        if isinstance(stack, Transformer):
            for layer in stack.each_layer():
                for child, branch in layer.branches():
                    if isinstance(branch.body, Attention):
                        for each in (branch.body, getattr(branch.body, "second", None)):
                            if each is not None:
                                found[each.address] = _ends(model, name, layer.sources.get(child), each)
        elif (attention := getattr(stack, "attention", None)) is not None:
            found[attention.address] = _ends(model, name, next(iter(stack.sources()), None), attention)
    for address in model.attentions():
        found.setdefault(address, Ends("pooling", "head", None, model.stacks[model.head_stack].field))
    return found


def _ends(model: Model, name: str, source: str | None, attention: Attention) -> Ends:
    own = model.stacks[name].field
    read = own if source is None else model.stacks[source].field
    return Ends("self" if source is None else "cross", name, own, read, attention.ahead)


@torch.inference_mode()
def capture_forced(
    model: Model, batch: Batch, pieces: Pieces, *, only: str = "*", labels: str | None = None, plan: Plan | None = None
) -> tuple[Tensor, list[tuple[AttentionMap, ...]]]:
    """Logits, and the maps of each row of the batch, the model reading the whole batch at once.

    `labels` is the field whose tokens the batch's labels are, where the stack that reads it writes them. The maps are
    made block by block while the layers run, and `plan` says what is kept of them.
    """
    ends = ends_of(model)

    @cache
    def tokens(field: str | None, row: int) -> tuple[str, ...]:
        return tokens_of(batch, field, row, pieces)

    @cache
    def wanted(row: int) -> tuple[str, ...] | None:
        return None if labels is None else named(batch["labels"], labels, row, pieces)

    def axes(address: str, row: int, queries: int) -> Axes:
        end = ends[address]
        asked, read = tokens(end.queries, row), tokens(end.keys, row)
        if end.queries is None:
            asked = tuple(f"query {place}" for place in range(queries))
        writes = wanted(row) if end.queries == labels else None
        return Axes(end.kind, asked, (*learned(end), *read) if end.ahead else read, writes, end.ahead)

    tap = Forced(plan or Plan(), axes, only)
    logits = model(batch, tap)
    return logits, [tap.maps(row) for row in range(len(logits))]


def keys_of(batch: Batch, ends: Ends, row: int, pieces: Pieces) -> tuple[str, ...]:
    """Names of the keys of one row: learned ones, then real tokens."""
    return (*learned(ends), *tokens_of(batch, ends.keys, row, pieces))


def learned(ends: Ends) -> tuple[str, ...]:
    """Names of the keys that stand in front of those that are read."""
    return tuple(f"persistent {place}" for place in range(ends.ahead))


def tokens_of(batch: Batch, field: str | None, row: int, pieces: Pieces) -> tuple[str, ...]:
    """Real tokens of one row of a field."""
    return () if field is None else named(batch[field], field, row, pieces)


def named(stream: Stream, field: str, row: int, pieces: Pieces) -> tuple[str, ...]:
    """Real tokens of one row of a stream, as the vocabulary of a field names them; "" where nothing is predicted."""
    ids = stream.values[row][stream.real[row]].tolist()
    known = iter(pieces(field, [token for token in ids if token != IGNORE]))
    return tuple("" if token == IGNORE else next(known) for token in ids)
