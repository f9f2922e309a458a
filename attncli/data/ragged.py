"""Rows of unlike length in one flat array, and the padded streams that batches are made of.

Shapes: b rows, n places of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from attncli.streams import Stream


@dataclass(frozen=True)
class Ragged:
    """Row r is values[starts[r] : starts[r] + lengths[r]]. `values` may be a memory map."""

    values: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @staticmethod
    def of(rows: Sequence[Sequence[int]]) -> "Ragged":
        """Lay rows end to end."""
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        values = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(lengths.sum()))
        return Ragged(values, starts_of(lengths), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, index: int) -> list[int]:
        """One row as a list."""
        found: list[int] = self.values[self.starts[index] : self.starts[index] + self.lengths[index]].tolist()
        return found

    def take(self, rows: NDArray[np.int64]) -> "Ragged":
        """The rows named, in that order; nothing is copied but their borders."""
        return Ragged(self.values, self.starts[rows], self.lengths[rows])

    def trimmed(self, *, first: int = 0, last: int = 0) -> "Ragged":
        """Every row without its first and last places."""
        return Ragged(self.values, self.starts + first, self.lengths - first - last)

    def stream(self, *, pad: int) -> Stream:
        """The rows under each other, padded on the right with `pad`; equal to attncli.streams.stream, and faster."""
        places = np.arange(int(self.lengths.max(initial=0)))
        real = places < self.lengths[:, None]
        values = np.full(real.shape, pad, dtype=np.int64)
        values[real] = self.values[(self.starts[:, None] + places)[real]]
        return Stream(
            values=torch.from_numpy(values),
            lengths=torch.from_numpy(self.lengths.copy()),
            positions=torch.from_numpy(np.where(real, places, 0)),
            documents=torch.from_numpy(np.where(real, 0, -1)),
            padded=not bool(real.all()),
        )


def starts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of the rows laid end to end begins."""
    starts = np.zeros(len(lengths), dtype=np.int64)
    np.cumsum(lengths[:-1], out=starts[1:])
    return starts
