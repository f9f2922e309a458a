"""Micro-batches: the rows of one optimizer step, computed in several passes so that less is held at a time."""

from dataclasses import replace
from itertools import pairwise

from torch import Tensor

from attncli.streams import IGNORE, Batch, Stream


def split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into at most `parts` of nearly equal rows, without the places that then hold no token in any row."""
    rows = len(next(iter(batch.values())).values)
    parts = min(parts, rows)
    if parts == 1:
        return [batch]
    edges = [rows * part // parts for part in range(parts + 1)]
    return [_rows(batch, start, stop) for start, stop in pairwise(edges)]


def _rows(batch: Batch, start: int, stop: int) -> Batch:
    used: dict[int, int] = {}  # streams that lie beside each other (a text and its labels) stay of one width
    for stream in batch.values():
        places = (stream.documents[start:stop] >= 0).any(0).nonzero()
        width = stream.documents.shape[1]
        used[width] = max(used.get(width, 1), int(places.max()) + 1 if len(places) else 1)
    return {name: _cut(stream, start, stop, used[stream.documents.shape[1]]) for name, stream in batch.items()}


def _cut(stream: Stream, start: int, stop: int, width: int) -> Stream:
    return replace(
        stream,
        values=stream.values[start:stop, :width],
        lengths=stream.lengths[start:stop],
        positions=stream.positions[start:stop, :width],
        documents=stream.documents[start:stop, :width],
        carried={name: numbers[start:stop, :width] for name, numbers in stream.carried.items()},
        recalled=tuple(states[start:stop] for states in stream.recalled),
    )


def predicted(batch: Batch) -> Tensor:
    """How many places of a batch have a label: what its summed loss is divided by."""
    labels = batch["labels"]
    return ((labels.values != IGNORE) & labels.real).sum().clamp(min=1)


def tokens_of(batch: Batch) -> int:
    """Real tokens of what is written, or of what is read where nothing is."""
    for name in ("target", "text"):
        if name in batch:
            return int(batch[name].lengths.sum())
    return int(next(iter(batch.values())).lengths.sum())
