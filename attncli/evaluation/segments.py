"""Long texts read segment by segment, each with what the one before has left, by a model whose stack has a memory."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from attncli.nn.model import Model
from attncli.nn.outputs import Losses
from attncli.nn.stacks import Transformer
from attncli.streams import Batch, Stream


def by_segment(model: Model, batch: Batch) -> Iterator[Losses]:
    """The losses of a batch of texts with padding behind: at once, or of one segment after the other."""
    stack = model.stacks[model.head_stack]
    if not isinstance(stack, Transformer) or stack.segment is None:
        yield model.losses(batch)
        return
    recalled: tuple[Tensor, ...] = ()
    for start in range(0, batch[stack.field].values.shape[1], stack.segment.length):
        part = {name: _cut(stream, start, stack.segment.length) for name, stream in batch.items()}
        part[stack.field] = replace(part[stack.field], recalled=recalled)
        made = model.made(part)
        yield model.losses_of(made, part)
        recalled = made[model.head_stack].left


def _cut(stream: Stream, start: int, length: int) -> Stream:
    end = start + length
    real = stream.documents[:, start:end] >= 0
    return replace(
        stream,
        values=stream.values[:, start:end],
        lengths=(stream.lengths - start).clamp(0, length),
        positions=(stream.positions[:, start:end] - start).masked_fill(~real, 0),
        documents=stream.documents[:, start:end],
        padded=not bool(real.all()),
        carried={name: numbers[:, start:end] for name, numbers in stream.carried.items()},
    )
