"""One text read with gradients: the records of every attention, and what is said of the text.

What is explained is y: the sum of log p(label) over the labels, where the text has some (the target, the next tokens),
else the sum of the largest log p at each place. Kernels run as ever; nothing is drawn or dropped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attncli.data.rows import Row
from attncli.maps.capture import Ends, Pieces, ends_of, keys_of, named, tokens_of
from attncli.maps.check import take
from attncli.maps.samples import Inspector
from attncli.maps.taking import Axes
from attncli.nn.attention import Attention
from attncli.nn.kernels.reference import wide
from attncli.nn.model import Model
from attncli.nn.view import Record
from attncli.streams import IGNORE, Batch


@dataclass(frozen=True)
class Look:
    """One text, as it was read. Records of an attention that asks step by step lie behind each other."""

    model: Model
    batch: Batch
    records: dict[str, list[Record]]
    gates: dict[str, list[Tensor | None]]
    axes: dict[str, Axes]
    ends: dict[str, Ends]
    said: Tensor
    """y, with its graph."""

    def attention(self, address: str) -> Attention:
        """The module of an attention."""
        found: Attention = self.records[address][0].attention
        return found

    def joined(self, address: str, make: Callable[[Record, int], Tensor]) -> Tensor:
        """(h q k) of every record (h r k) of an attention, by their numbers."""
        return torch.cat([make(record, number) for number, record in enumerate(self.records[address])], 1)

    def weights(self, address: str) -> Tensor:
        """(h q k), as applied."""
        return self.joined(address, lambda record, _: weights_of(record))


def weights_of(record: Record) -> Tensor:
    """(h r k) of a record of one row, in float64."""
    return take(record).weights[0].detach().double()  # those that a head reads too have a gradient


def look(inspector: Inspector, row: Row, *, place: str, written: Sequence[int] | None = None) -> Look:
    """Read a row, with the ids that a search wrote of it. Errors: InputError or DataError where it cannot be read."""
    model, batch = inspector.model, inspector.batch(row, place, written)
    records: dict[str, list[Record]] = {}
    gates: dict[str, list[Tensor | None]] = {}

    def tap(record: Record) -> None:
        records.setdefault(record.address, []).append(record)

    hooks = [_gate(attention.ending, gates.setdefault(name, [])) for name, attention in model.attentions().items()]
    try:
        with torch.enable_grad():
            logits = model(batch, tap)
            said = _said(logits, batch)
    finally:
        for hook in hooks:
            hook.remove()
    ends, pieces, labels = ends_of(model), inspector.pieces(row), inspector.written if "labels" in batch else None
    axes = {
        address: _axes(
            ends[address], batch, pieces, labels,
            sum(record.output.shape[2] for record in parts),
        )
        for address, parts in records.items()
    }  # fmt: skip
    return Look(model, batch, records, gates, axes, ends, said)


def _axes(end: Ends, batch: Batch, pieces: Pieces, labels: str | None, queries: int) -> Axes:
    """What an attention joins, by the names of the tokens; `queries` learned ones where no field has them."""
    asked = tokens_of(batch, end.queries, 0, pieces)
    if end.queries is None:
        asked = tuple(f"query {place}" for place in range(queries))
    writes = named(batch["labels"], labels, 0, pieces) if labels is not None and end.queries == labels else None
    return Axes(end.kind, asked, keys_of(batch, end, 0, pieces), writes, end.ahead)


def _gate(ending: nn.Module, into: list[Tensor | None]) -> torch.utils.hooks.RemovableHandle:
    return ending.register_forward_pre_hook(lambda module, given: into.append(given[1]))


def _said(logits: Tensor, batch: Batch) -> Tensor:
    scores = wide(logits).log_softmax(-1)
    if "labels" not in batch or logits.dim() == 2:
        return scores.amax(-1).sum()
    labels = batch["labels"].values
    chosen = scores.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return chosen.masked_fill(labels == IGNORE, 0.0).sum()
