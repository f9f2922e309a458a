"""From weights to a summary, some rows at a time: no map is ever held. The numbers: attncli/maps/statistics.py.

With u = |w| and T a row's sum of u, every number of a row is made of sums that one pass gives:

    entropy    ln T - (sum u ln u) / T, where ln u is what u came of, if that is known
    distance   sum u |p - k| / T, where |p - k| is p - k on the left of all of a block's places, k - p on their right,
               so that only the keys between them need a distance for each pair
    top keys   those of the TOP narrow strips of keys with the largest maxima: a key outside of these has TOP keys
               above it

Shapes: h heads, r rows of a block, w keys of a block. Sums are float64; the rows have the dtype of their weights.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from attncli.maps.summary import NEAR, STATISTICS, TOP, Overview, Summary, cell_of

STRIP = 32
"""Keys of a strip in which a maximum is taken first; a power of two."""
DIRECT = 1024
"""Keys up to which rows are searched for their top keys as they are."""
BLOCK = 4_000_000
"""Weights that are summarized at a time where all of them are there."""


class Block(NamedTuple):
    """Weights (h r w) of rows from `first` on over keys from `start` on; all other keys have none."""

    weights: Tensor
    first: int
    start: int
    logs: Tensor | None = None
    """(h r w) of the weights, where these came of them; any number where a weight is 0."""


class Reducer:
    """What one map is reduced to, while its rows pass."""

    def __init__(self, *, heads: int, queries: int, keys: int, own_text: bool, ahead: int) -> None:
        """`own_text`: queries and keys are the same places; `ahead` keys in front stand at no place."""
        self.queries, self.keys, self.ahead = queries, keys, ahead
        self.scale = 1.0 if own_text else max(keys - ahead - 1, 0) / max(queries - 1, 1)
        self.query_cell, self.key_cell = cell_of(queries), cell_of(keys)
        cells = [-(-n // c) for n, c in ((queries, self.query_cell), (keys, self.key_cell))]
        names = ("entropy", "distance", "diagonal", "first", "peak")
        self.sums = {name: torch.zeros(heads, dtype=torch.float64) for name in names}
        self.received = torch.zeros(heads, keys, dtype=torch.float64)
        self.near = torch.zeros(heads, 2 * NEAR + 1, dtype=torch.float64)
        self.seen = torch.zeros(heads, dtype=torch.float64)
        self.broken = torch.zeros(heads, dtype=torch.bool)
        self.largest = torch.zeros(heads, *cells)
        self.total = torch.zeros(heads, *cells, dtype=torch.float64)
        self.top_keys = torch.full((heads, queries, TOP), -1, dtype=torch.int32)
        self.top_weights = torch.zeros(heads, queries, TOP)

    def add(self, block: Block) -> None:
        """Take these rows in, each row once. A weight that is no finite number counts as 0 in the overview; the
        statistics of its head are NaN."""
        weights = block.weights
        if not weights.shape[2] or not weights.shape[1]:
            return
        if not bool(weights.sum().isfinite()):
            self.broken |= ~weights.isfinite().flatten(1).all(1)
            weights, block = torch.where(weights.isfinite(), weights, 0.0), block._replace(logs=None)
        signed = bool(weights.amin() < 0)
        block = block._replace(weights=weights.abs() if signed else weights, logs=None if signed else block.logs)
        strips, sums = self._strips(block)
        row_sum = sums.sum(-1, dtype=torch.float64)
        share = torch.where(row_sum > 0, 1 / row_sum, 0.0)
        self._count(block, strips, row_sum, share)
        self._pool(block, strips, _cells(weights, self._per_cell, torch.sum) if signed else sums)
        self._choose(block, strips, weights)

    @property
    def _per_strip(self) -> int:
        return min(STRIP, self.key_cell)

    @property
    def _per_cell(self) -> int:
        return self.key_cell

    def _strips(self, block: Block) -> tuple[Tensor, Tensor]:
        """The maximum of each strip of keys, and the sum of each cell; a block starts with a cell."""
        assert block.start % self.key_cell == 0, "a block starts where a cell does"
        return _cells(block.weights, self._per_strip, torch.amax), _cells(block.weights, self._per_cell, torch.sum)

    def _count(self, block: Block, strips: Tensor, row_sum: Tensor, share: Tensor) -> None:
        weights, first, start, logs = block
        like = share.to(weights.dtype)
        columns = slice(start, start + weights.shape[2])
        self.received[:, columns] += torch.bmm(like.unsqueeze(1), weights).squeeze(1)
        seen = row_sum > 0
        self.seen += seen.sum(-1)
        least = torch.finfo(weights.dtype)
        # 0 times minus infinity would be no number
        logs = weights.clamp(min=least.tiny).log_() if logs is None else logs.clamp_(min=least.min)
        entropy = row_sum.clamp(min=1e-300).log() - logs.mul_(weights).sum(-1).double() * share
        places = torch.arange(first, first + weights.shape[1], dtype=torch.float64) * self.scale
        at = places.unsqueeze(0) + (self.ahead - start)  # where in the block's columns
        own = (at + 0.5).floor()
        reached = self._at(weights, own.long().unsqueeze(2) + torch.arange(-NEAR, NEAR + 1)) * share.unsqueeze(2)
        self.near += reached.sum(1)
        halfway = own - at == 0.5  # two keys are as near as each other
        diagonal = reached[..., NEAR] + torch.where(halfway, reached[..., NEAR - 1], 0.0)
        sink = weights[:, :, self.ahead] * share if start <= self.ahead < columns.stop else torch.zeros_like(share)
        rows = {
            "entropy": torch.where(seen, entropy, 0.0),
            "distance": self._distances(weights, at.squeeze(0)) * share,
            "diagonal": diagonal,
            "first": sink,
            "peak": strips.amax(-1) * share,
        }
        for name, values in rows.items():
            self.sums[name] += values.sum(-1)

    def _at(self, weights: Tensor, columns: Tensor) -> Tensor:
        """(h r n) in columns (1 r n) of the block; 0 outside of it, and at keys that stand at no place."""
        inside = (columns >= self.ahead) & (columns < weights.shape[2])
        index = columns.clamp(0, weights.shape[2] - 1).expand(len(weights), -1, -1)
        return torch.where(inside, weights.gather(2, index), 0.0).double()

    def _distances(self, weights: Tensor, at: Tensor) -> Tensor:
        """(h r): sum of w |at - column|. Distances are counted from the nearest place of the block: all are sums of
        numbers of one sign, so a head that looks near has no rounding of far keys."""
        width, low, high = weights.shape[2], float(at[0]), float(at[-1])
        left, right = min(max(int(np.ceil(low)), 0), width), min(max(int(np.floor(high)) + 1, 0), width)
        left, right = max(left, self.ahead), max(right, self.ahead)
        columns = torch.arange(width, dtype=torch.float64)
        found = torch.zeros(weights.shape[:2], dtype=torch.float64)
        parts = ((slice(self.ahead, left), low - columns, at - low), (slice(right, width), columns - high, high - at))
        for keys, away, more in parts:
            if keys.start < keys.stop:
                some, far = weights[:, :, keys], away[keys].to(weights.dtype)
                found += (some @ far).double() + some.sum(-1).double() * more
        between = (at.unsqueeze(1) - columns[left:right]).abs().to(weights.dtype)
        nearest: Tensor = torch.linalg.vecdot(weights[:, :, left:right], between.unsqueeze(0))
        return found + nearest.double()

    def _pool(self, block: Block, strips: Tensor, sums: Tensor) -> None:
        rows, first = block.weights.shape[1], block.first
        largest = _cells(strips, self._per_cell // self._per_strip, torch.amax)
        columns = slice(block.start // self.key_cell, block.start // self.key_cell + largest.shape[2])
        ahead = first % self.query_cell
        behind = -(ahead + rows) % self.query_cell
        high, low = (_parted(pad(x, (0, 0, ahead, behind)), self.query_cell) for x in (largest, sums.double()))
        cells = slice(first // self.query_cell, first // self.query_cell + high.shape[1])
        held = self.largest[:, cells, columns]
        self.largest[:, cells, columns] = torch.maximum(held, high.amax(2).float())
        self.total[:, cells, columns] += low.sum(2)

    def _choose(self, block: Block, strips: Tensor, signed: Tensor) -> None:
        weights, first, start, _ = block
        width, strip = weights.shape[2], self._per_strip
        count = min(TOP, width)
        if width <= DIRECT or strip == 1:
            values, index = weights.topk(count, -1)
        else:
            best = strips.topk(min(TOP, strips.shape[2]), -1).indices
            keys = (best.unsqueeze(3) * strip + torch.arange(strip)).flatten(2)
            among = torch.where(keys < width, weights.gather(2, keys.clamp(max=width - 1)), -1.0)
            values, place = among.topk(count, -1)
            index = keys.gather(2, place)
        taken = slice(first, first + weights.shape[1])
        there = values > 0
        if signed is not weights:
            values = signed.gather(2, index.clamp(max=width - 1))
        self.top_keys[:, taken, :count] = torch.where(there, index + start, -1).int()
        self.top_weights[:, taken, :count] = torch.where(there, values, 0.0).float()

    def summary(self) -> Summary:
        """Once all rows were added."""
        seen = self.seen.clamp(min=1)
        mean = self.received / seen.unsqueeze(1)
        own = self.received[:, self.ahead :]
        found = {name: values / seen for name, values in self.sums.items()}
        entropy = found.get("entropy", torch.zeros_like(seen))
        spread = -torch.xlogy(mean, mean).sum(-1)
        found["information"] = (spread - entropy).clamp(min=0)
        found["coverage"] = own.clamp(max=1).mean(-1) if own.shape[1] else torch.zeros_like(seen)
        # how many pairs lie in each cell
        sides = zip((self.queries, self.keys), (self.query_cell, self.key_cell), strict=True)
        sizes = [(torch.arange(0, n, c) + c).clamp(max=n) - torch.arange(0, n, c) for n, c in sides]
        pairs = sizes[0].view(1, -1, 1) * sizes[1].view(1, 1, -1)
        return Summary(
            {
                name: found.get(name, torch.zeros_like(seen)).masked_fill(self.broken, torch.nan).numpy()
                for name in STATISTICS
            },
            mean.float().numpy(),
            (self.near / seen.unsqueeze(1)).float().numpy(),
            Overview(self.largest.numpy(), (self.total / pairs).float().numpy(), self.query_cell, self.key_cell),
            self.top_keys.numpy(),
            self.top_weights.numpy(),
        )


def _parted(x: Tensor, size: int) -> Tensor:
    """(h r w) to (h r/size size w)."""
    return x.reshape(len(x), -1, size, x.shape[2])


def _cells(x: Tensor, size: int, reduce: object) -> Tensor:
    """(h r w) to (h r ceil(w / size)): the reduction of each `size` neighbours; the last may be fewer."""
    assert callable(reduce)
    if size == 1:
        return x
    whole = x.shape[2] // size * size
    parts = [reduce(x[:, :, :whole].reshape(*x.shape[:2], -1, size), -1)] if whole else []
    if whole < x.shape[2]:
        parts.append(reduce(x[:, :, whole:], -1, keepdim=True))
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


def summarize(weights: np.ndarray, *, own_text: bool, ahead: int) -> Summary:
    """The summary of a map (head query key) that is all there; in float64."""
    heads, queries, keys = weights.shape
    reducer = Reducer(heads=heads, queries=queries, keys=keys, own_text=own_text, ahead=ahead)
    step = max(reducer.query_cell, BLOCK // max(1, heads * keys) // reducer.query_cell * reducer.query_cell)
    for first in range(0, queries, step):
        rows = np.asarray(weights[:, first : first + step], dtype=np.float64)
        reducer.add(Block(torch.from_numpy(rows), first, 0))
    return reducer.summary()
