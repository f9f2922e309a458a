"""What is kept of a map however long it is: statistics, an overview, and the keys that each row looks at most.

Nothing here needs torch; attncli/maps/reducing.py makes it, block of rows by block of rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Indices = NDArray[np.int32]

CELLS = 128
"""Cells of an overview on either side, at the most."""
TOP = 8
"""Keys that are kept of every row."""
NEAR = 4
"""Places before and after the query's own whose mean share is kept."""
STATISTICS = ("entropy", "information", "distance", "diagonal", "first", "peak", "coverage")
"""The names, in the order to show; what they are: attncli/maps/statistics.py."""


def cell_of(places: int) -> int:
    """Places a cell of an overview covers: the smallest power of two that leaves at most CELLS of them."""
    return 1 << max(0, (places - 1) // CELLS).bit_length()


@dataclass(frozen=True)
class Overview:
    """A map made small: cell (i, j) covers queries i c to (i + 1) c - 1 and keys likewise; the last may be narrower."""

    largest: Floats
    """(head, cells of queries, cells of keys): the largest |weight| of a cell. A thin stripe survives in it."""
    mean: Floats
    """Of the same shape: the mean weight of a cell, over the pairs that lie in it."""
    query_cell: int
    """c of the queries."""
    key_cell: int
    """c of the keys."""


@dataclass(frozen=True)
class Summary:
    """One map, reduced. Shares are |weights| over their row's sum."""

    statistics: dict[str, Numbers]
    """(head,) each: the numbers that attncli/maps/statistics.py defines."""
    received: Floats
    """(head key): the mean share that a key receives, over the rows that look somewhere. With the tokens of the keys it
    tells the mass on any set of them: separators, punctuation, the prompt."""
    near: Floats
    """(head, 2 NEAR + 1): the mean share at the query's own place + d, d from -NEAR to NEAR; the middle is `diagonal`
    where both sides are one text."""
    overview: Overview
    top_keys: Indices
    """(head query TOP), largest |weight| first; -1 where a row has fewer keys with a weight."""
    top_weights: Floats
    """(head query TOP): their weights as applied, 0 where there is no key."""

    @property
    def bytes(self) -> int:
        """Memory of all arrays."""
        arrays = (self.received, self.near, self.top_keys, self.top_weights)
        own = sum(array.nbytes for array in (*arrays, self.overview.largest, self.overview.mean))
        return own + sum(values.nbytes for values in self.statistics.values())
