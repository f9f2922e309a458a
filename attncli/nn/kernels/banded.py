"""Softmax attention whose keys lie near their queries: blocks of queries meet the blocks of keys around them.

    s = cap(scale q . k) + tile;  weights = exp(s - L), L = ln sum_k exp(s);  mixture = weights v

A block of `size` queries reads `behind` blocks of keys before its own and `ahead` after it, so time and memory grow
with the length and not with its square. The weights are made again backward, from L (Dao et al. 2022, arXiv:2205.14135,
algorithm 4). Blocks are taken a few at a time, so that their scores stay in the cache of the processor; the keys of a
block are a view, no copy. Beltagy et al. 2020, arXiv:2004.05150, section 3.2, call the layout sliding chunks.

Shapes: query (b h n e), key (b g n e), value (b g n v) with g dividing h, in float32 or wider; c blocks of s places,
w = (behind + 1 + ahead) s places of keys for each. Heads that share keys stand under each other in a block.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn import dropout
from attncli.nn.function import Function

CACHED = 1 << 18
"""Scores that are made at a time: a megabyte of float32, which a core's cache holds."""


class Blocks(NamedTuple):
    """Queries of a block, and the blocks of keys that it reads besides its own."""

    size: int
    behind: int
    ahead: int

    @property
    def width(self) -> int:
        """Keys that a block reads."""
        return (self.behind + 1 + self.ahead) * self.size


class Call(NamedTuple):
    """What does not change from block to block, or is no number of the model."""

    blocks: Blocks
    scale: float
    cap: float | None
    dropout: float
    keys: int
    hidden: Tensor | None  # bool (b|1 h|1 c s|1 w)


def attend(query: Tensor, key: Tensor, value: Tensor, tile: Tensor, call: Call) -> tuple[Tensor, Tensor]:
    """Mixtures (b h n v) and L (b h n); zeros and -inf for a query that sees no key.

    `tile` (h|1 s w) joins the scores of every block, with -inf where nothing is seen.
    """
    size, queries = call.blocks.size, query.shape[2]
    groups = key.shape[1]
    made: tuple[Tensor, Tensor] = _Banded.apply(
        _stacked(query, groups, size), key, value, _stacked_tile(tile, query.shape[1], groups), call
    )  # fmt: skip
    return _unstacked(made[0], query.shape[1])[:, :, :queries], _unstacked(made[1], query.shape[1])[:, :, :queries, 0]


def windows(x: Tensor, blocks: Blocks, queries: int, fill: float) -> Tensor:
    """What the keys of each block of so many queries carry: (b n) to (b c w), `fill` beyond the ends."""
    return F.pad(x, _around(x.shape[1], blocks, queries), value=fill).unfold(1, blocks.width, blocks.size)


def _padded(x: Tensor, blocks: Blocks, queries: int) -> Tensor:
    """(b g n e) to (b g n' e), with zeros before and after; keys that no query is near are cut off."""
    return F.pad(x, (0, 0, *_around(x.shape[2], blocks, queries)))


def _around(keys: int, blocks: Blocks, queries: int) -> tuple[int, int]:
    """Places to add before and behind the keys, fewer than none where keys are too many."""
    count = -(-queries // blocks.size)
    return blocks.behind * blocks.size, (count + blocks.ahead) * blocks.size - keys


def _stacked(x: Tensor, groups: int, size: int) -> Tensor:
    """(b h n e) to (b g c (h/g)s e): the heads that read one key head, block by block."""
    x = F.pad(x, (0, 0, 0, -x.shape[2] % size))
    x = x.view(len(x), groups, x.shape[1] // groups, -1, size, x.shape[3])
    return x.transpose(2, 3).flatten(3, 4).contiguous()


def _unstacked(x: Tensor, heads: int) -> Tensor:
    """(b g c (h/g)s e) to (b h n e)."""
    x = x.view(*x.shape[:3], heads // x.shape[1], -1, x.shape[4])
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _stacked_tile(tile: Tensor, heads: int, groups: int) -> Tensor:
    """(h|1 s w) to (g|1 rs w)."""
    each = heads // groups
    return tile.repeat(1, each, 1) if len(tile) == 1 else tile.reshape(groups, -1, tile.shape[2])


class _Banded(Function):
    """Of stacked queries (b g c rs e), keys and values (b g n ·), and a tile (g|1 rs w); r = h/g."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, tile: Tensor, call: Call) -> tuple[Tensor, Tensor]:
        key, value = (_padded(x, call.blocks, query.shape[2] * call.blocks.size) for x in (key, value))
        mixed = query.new_empty(*query.shape[:4], value.shape[3])
        lse = query.new_empty(*query.shape[:4], 1)
        draws = _Draws(call.dropout, query.device, None)
        for part in _parts(query, key, value, tile, call):
            scores, _ = part.scores()
            most = scores.amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
            total = scores.sub_(most).exp_().sum(-1, keepdim=True)
            lse[part.at] = torch.where(total > 0, most + total.log(), -torch.inf)
            kept = draws.drop(scores)
            out = mixed[part.at]
            torch.bmm(kept, part.value, out=out)
            out.div_(torch.where(total > 0, total, 1.0))
        ctx.save_for_backward(query, key, value, tile, mixed, lse)
        ctx.call, ctx.seed = call, draws.seed
        return mixed, lse

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, tile, mixed, lse = ctx.saved_tensors
        call, size = ctx.call, ctx.call.blocks.size
        grad = grads[0].contiguous()
        shift = lse.masked_fill(lse == -torch.inf, torch.inf)
        of_query = torch.empty_like(query)
        of_key, of_value = (x.new_zeros(x.shape) for x in (key, value))
        of_tile = torch.zeros_like(tile) if ctx.needs_input_grad[3] else None
        key_blocks, value_blocks = (x.view(*x.shape[:2], -1, size, x.shape[3]) for x in (of_key, of_value))
        draws = _Draws(call.dropout, query.device, ctx.seed)
        for part in _parts(query, key, value, tile, call):
            b, g, some = part.at
            given, (scores, slope) = grad[part.at], part.scores()
            weights = scores.sub_(shift[part.at]).exp_()
            keep = draws.mask(weights)
            part.add(value_blocks[b, g], torch.bmm((weights if keep is None else weights * keep).mT, given))
            change = torch.bmm(given, part.value.mT)
            change = change if keep is None else change.mul_(keep)
            away = (given * mixed[part.at]).sum(-1, keepdim=True) - grads[1][part.at]
            change.sub_(away).mul_(weights)
            if of_tile is not None:
                of_tile[part.row] += change.sum(0)
            if slope is not None:
                change.mul_(slope)
            torch.bmm(change.mul_(call.scale), part.key, out=of_query[b, g, some])
            part.add(key_blocks[b, g], torch.bmm(change.mT, part.query))
        before, behind = _around(call.keys, call.blocks, query.shape[2] * size)
        if behind < 0:  # keys that no query is near
            of_key, of_value = (F.pad(x, (0, 0, 0, -behind)) for x in (of_key, of_value))
        own = slice(before, before + call.keys)
        return of_query, of_key[:, :, own], of_value[:, :, own], of_tile, None


class _Part(NamedTuple):
    """A few blocks of one key head."""

    at: tuple[int, int, slice]
    query: Tensor  # (c rs e)
    key: Tensor  # (c w e), a view
    value: Tensor  # (c w v), a view
    tile: Tensor  # (rs w)
    row: int  # of the tile
    hidden: Tensor | None  # bool (c r|1 s|1 w)
    edges: tuple[tuple[int, slice], ...]  # blocks of this part, and their keys that do not exist
    call: Call

    def scores(self) -> tuple[Tensor, Tensor | None]:
        """(c rs w), -inf where nothing is seen; and the slope of the cap there."""
        cap, slope = self.call.cap, None
        if cap is None:
            tile = self.tile.expand(len(self.query), -1, -1)
            scores = torch.baddbmm(tile, self.query, self.key.mT, alpha=self.call.scale)
        else:
            bent = torch.bmm(self.query, self.key.mT).mul_(self.call.scale / cap).tanh_()
            slope, scores = 1 - bent.square(), torch.add(self.tile, bent, alpha=cap)
        if self.hidden is not None:
            rows = scores.view(len(scores), -1, self.call.blocks.size, scores.shape[2])
            rows.masked_fill_(self.hidden, -torch.inf)
        for block, places in self.edges:
            scores[block, :, places] = -torch.inf
        return scores, slope

    def add(self, total: Tensor, each: Tensor) -> None:
        """Gradients (c w ·) of the keys that each block read, to those of all blocks of keys (c' s ·)."""
        some, size = self.at[2], self.call.blocks.size
        for ahead in range(each.shape[1] // size):
            total[some.start + ahead : some.stop + ahead] += each[:, ahead * size : (ahead + 1) * size]


def _parts(query: Tensor, key: Tensor, value: Tensor, tile: Tensor, call: Call) -> Iterator[_Part]:
    count, blocks = query.shape[2], call.blocks
    near_key, near_value = (x.unfold(2, blocks.width, blocks.size).mT for x in (key, value))
    step = max(1, CACHED // (query.shape[3] * blocks.width))
    for b in range(query.shape[0]):
        for g in range(query.shape[1]):
            row = g if len(tile) > 1 else 0
            for start in range(0, count, step):
                some = slice(start, min(count, start + step))
                yield _Part(
                    (b, g, some), query[b, g, some], near_key[b, g, some], near_value[b, g, some], tile[row], row,
                    _hidden(call, b, g, query.shape[1], some), tuple(_edges(some, call)), call,
                )  # fmt: skip


def _hidden(call: Call, b: int, g: int, groups: int, some: slice) -> Tensor | None:
    if call.hidden is None:
        return None
    row = call.hidden[b if len(call.hidden) > 1 else 0]
    heads = row if len(row) == 1 else row.view(groups, -1, *row.shape[1:])[g]
    return heads[:, some].transpose(0, 1)


def _edges(some: slice, call: Call) -> Iterator[tuple[int, slice]]:
    """Places before the first key and after the last one, by blocks of a part."""
    size, width = call.blocks.size, call.blocks.width
    for block in range(some.start, some.stop):
        first = (block - call.blocks.behind) * size
        if first < 0:
            yield block - some.start, slice(0, -first)
        if first + width > call.keys:
            yield block - some.start, slice(max(0, call.keys - first), None)


class _Draws:
    """Which weights are dropped: the same for the same seed, part after part."""

    def __init__(self, rate: float, device: torch.device, seed: int | None) -> None:
        self.rate, self.seed, self.generator = rate, seed, None
        if rate:
            self.seed = int(torch.randint(1 << 62, ())) if seed is None else seed
            self.generator = torch.Generator(device).manual_seed(self.seed)

    def mask(self, like: Tensor) -> Tensor | None:
        """1 / (1 - rate) at what stays and 0 at what is dropped; None where nothing is."""
        if self.generator is None:
            return None
        return dropout.mask(like, self.rate, self.generator)

    def drop(self, weights: Tensor) -> Tensor:
        """The weights with some of them dropped."""
        keep = self.mask(weights)
        return weights if keep is None else weights * keep
