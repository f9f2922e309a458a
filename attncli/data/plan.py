"""Which examples make a batch.

A plan is made once from the lengths; an epoch then only draws which examples take which places. So every epoch has as
many batches, and the order is a pure function of (seed, epoch).

Shapes: n examples, f inputs of a batch (source and target, or text alone).
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from attncli.spec.training import Batch, SequenceBatch, TokenBatch

Numbers = NDArray[np.int64]


class Plan(Protocol):
    """How n examples are shared out."""

    steps: int
    """Batches of an epoch."""

    def groups(self, random: np.random.Generator) -> list[Numbers]:
        """The examples of every batch of one epoch: each example once."""
        ...


def make_plan(batch: Batch, widths: Numbers, *, columns: bool = False) -> Plan:
    """The plan of a spec for examples whose inputs have these widths (n f); `columns`: each goes on from the last."""
    if columns:
        rows = batch.size if isinstance(batch, SequenceBatch) else max(1, batch.size // int(widths.max(initial=1)))
        return ColumnPlan(len(widths), rows)
    match batch:
        case TokenBatch(size=size):
            return TokenPlan(widths, size)
        case SequenceBatch(size=size):
            return SequencePlan(len(widths), size)


class SequencePlan:
    """`size` examples a batch, drawn from all; the last one has the rest."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size = count, size
        self.steps = -(-count // size)

    def groups(self, random: np.random.Generator) -> list[Numbers]:
        return np.split(random.permutation(self._count), range(self._size, self._count, self._size))


class ColumnPlan:
    """The examples cut into `rows` runs of neighbours; batch i has the i-th of each, so that a row of a batch goes on
    where it stood in the batch before. Longer runs come first: the rows of the last batch are the first of the others.
    """

    def __init__(self, count: int, rows: int) -> None:
        self.steps = -(-count // rows)
        self._lengths = count // rows + (np.arange(min(rows, count)) < count % rows)

    def groups(self, random: np.random.Generator) -> list[Numbers]:
        starts = np.cumsum(self._lengths) - self._lengths
        return [starts[self._lengths > step] + step for step in range(self.steps)]


class TokenPlan:
    """Examples of like lengths, as many as fit into `size` places, padding included; never more, but one example.

    Examples lie in cells of like lengths: exact below 32 places, then within 6 %. The cells stand in a row, by the
    first length, and by the second up and down in turn; batches are cut from that row. How coarsely the first length
    is taken is tried out, and what pads least is taken. An epoch shuffles the examples of each cell, and the batches.
    """

    def __init__(self, widths: Numbers, size: int) -> None:
        upper = _rounded_up(widths)
        cells, inverse, counts = np.unique(upper, axis=0, return_inverse=True, return_counts=True)
        self._cell_of = inverse.reshape(-1)
        best: tuple[int, list[int], Numbers] | None = None
        for coarse in (1, 2, 4, 8, 16) if widths.shape[1] > 1 else (1,):
            order = _snake(cells, coarse)
            sizes, places = _packed(cells[order].tolist(), counts[order].tolist(), size)
            if best is None or places < best[0]:
                best = places, sizes, order
        assert best is not None
        _, sizes, order = best
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        self._rank = rank[self._cell_of]
        self._ends = np.cumsum(sizes)[:-1]
        self.steps = len(sizes)

    def groups(self, random: np.random.Generator) -> list[Numbers]:
        shuffled = random.permutation(len(self._rank))
        ordered = shuffled[np.argsort(self._rank[shuffled], kind="stable")]
        groups = np.split(ordered, self._ends)
        return [groups[place] for place in random.permutation(len(groups))]


def _rounded_up(widths: Numbers) -> Numbers:
    """Each width up to a multiple of a sixteenth of the power of two below it."""
    step = np.maximum(1, 2 ** np.floor(np.log2(np.maximum(widths, 1))).astype(np.int64) // 16)
    rounded: Numbers = -(-widths // step) * step
    return rounded


def _snake(cells: Numbers, coarse: int) -> Numbers:
    """The order of cells (c f) by the first width in strips, and by the second up and down in turn."""
    if cells.shape[1] == 1:
        return np.argsort(cells[:, 0], kind="stable")
    wide = np.unique(_strip(cells[:, 0], coarse), return_inverse=True)[1].reshape(-1)
    second = np.where(wide % 2 == 0, cells[:, 1], -cells[:, 1])
    return np.lexsort((cells[:, 0], second, wide))


def _strip(widths: Numbers, coarse: int) -> Numbers:
    step = np.maximum(1, 2 ** np.floor(np.log2(np.maximum(widths, 1))).astype(np.int64) // 16) * coarse
    rounded: Numbers = -(-widths // step) * step
    return rounded


def _packed(cells: list[list[int]], counts: list[int], size: int) -> tuple[list[int], int]:
    """Cut a row of cells into batches: the number of examples of each, and the places that all of them fill."""
    sizes: list[int] = []
    places = count = 0
    wide = [0] * len(cells[0])
    for cell, number in zip(cells, counts, strict=True):
        while number:
            wider = [max(pair) for pair in zip(wide, cell, strict=True)]
            room = size // sum(wider) - count
            if count and room < 1:
                sizes.append(count)
                places += count * sum(wide)
                count, wide = 0, [0] * len(cell)
                continue
            taken = min(number, max(room, 1))
            count, number, wide = count + taken, number - taken, wider
    sizes.append(count)
    return sizes, places + count * sum(wide)
