"""Several documents in one row, so that little of it is padding: which lie together, and the streams that they make.

Best fit, the longest first, as in Krell et al. 2021, arXiv:2107.02027, section 3.2: each document goes to the row with
the least room that still holds it. Positions start anew in each document, and none sees another, so a packed row gives
what its documents give in rows of their own. The packs are made once from the lengths; epochs only shuffle them.

A stream is another way: all texts end to end, cut anywhere, which leaves no padding but in its last row.

Shapes: n examples, f inputs of a batch; b rows of a batch before packing, p after.
"""

from bisect import bisect_left, insort
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attncli.data.encoded import Encoded
from attncli.data.ragged import Ragged
from attncli.streams import Stream

Numbers = NDArray[np.int64]
TRIED = 32
"""Rows that are looked at for a document of several inputs: the least room for one may be too little for another."""


def packs_of(widths: Numbers, limits: Numbers) -> list[Numbers]:
    """The examples of each row, for inputs of these widths (n f) in stacks of these lengths (f)."""
    order = np.argsort(-(widths / limits).max(1), kind="stable")
    packs: list[list[int]] = []
    rooms: list[list[int]] = []
    known: list[tuple[int, int]] = []  # (room for the first input, pack), sorted
    for example in order.tolist():
        wide = widths[example].tolist()
        start = bisect_left(known, (wide[0], -1))
        fits = (at for at in range(start, min(start + TRIED, len(known))) if _holds(rooms[known[at][1]], wide))
        if (at := next(fits, None)) is None:
            pack = len(packs)
            packs.append([])
            rooms.append(limits.tolist())
        else:
            _, pack = known.pop(at)
        packs[pack].append(example)
        rooms[pack] = [room - width for room, width in zip(rooms[pack], wide, strict=True)]
        if min(rooms[pack]) > 0:
            insort(known, (rooms[pack][0], pack))
    return [np.array(pack, dtype=np.int64) for pack in packs]


def streamed(encoded: Encoded, length: int, *, bos: int) -> Encoded:
    """Texts BOS ids EOS end to end, in rows of `length` inputs, each with the token behind its last one to predict."""
    texts = encoded.fields["text"]
    kept = np.ones(len(texts.values), dtype=np.bool_)
    kept[texts.starts[texts.values[texts.starts] != bos]] = False  # a chunk begins with the token before it
    flat, owner = texts.values[kept], np.repeat(encoded.rows, texts.lengths)[kept]
    starts = np.arange(0, max(1, len(flat) - 1), length, dtype=np.int64)
    lengths = np.minimum(length + 1, len(flat) - starts)
    fields = {"text": Ragged(flat, starts, lengths)}
    return replace(encoded, fields=fields, widths=lengths[:, None] - 1, rows=owner[starts])


def _holds(rooms: list[int], widths: list[int]) -> bool:
    return all(width <= room for width, room in zip(widths, rooms, strict=True))


def packed(stream: Stream, counts: Numbers, *, pad: int) -> Stream:
    """Rows (b n), each padded on its right, laid end to end: counts[i] of them in row i (p)."""
    ends = np.cumsum(counts)
    row = np.repeat(np.arange(len(counts)), counts)
    lengths = stream.lengths.numpy()
    totals = np.add.reduceat(lengths, ends - counts) if len(counts) else lengths
    real = torch.from_numpy(np.arange(int(totals.max(initial=0))) < totals[:, None])
    of_row = np.arange(len(row)) - (ends - counts)[row]

    def laid(numbers: Tensor, fill: int) -> Tensor:
        found = torch.full(real.shape, fill, dtype=numbers.dtype)
        found[real] = numbers[stream.real]
        return found

    documents = torch.from_numpy(of_row).unsqueeze(1).expand_as(stream.values)
    return replace(
        stream,
        values=laid(stream.values, pad),
        lengths=torch.from_numpy(totals),
        positions=laid(stream.positions, 0),
        documents=laid(documents, -1),
        padded=not bool(real.all()),
        packed=True,
        plain=False,
        carried={name: laid(numbers, 0) for name, numbers in stream.carried.items()},
    )
