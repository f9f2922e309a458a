"""Softmax attention whose keys lie near their queries: blocks of queries meet the blocks of keys around them.

    s = cap(scale q . k) + tile;  weights = exp(s - L), L = ln sum_k exp(s);  mixture = weights v

A block of `size` queries reads `behind` blocks of keys before its own and `ahead` after it, so time and memory grow
with the length and not with its square. The weights are made again backward, from L (Dao et al. 2022, arXiv:2205.14135,
algorithm 4). Blocks are taken a few at a time, so that their scores stay in the cache of the processor; the keys of a
block are a view, no copy. Beltagy et al. 2020, arXiv:2004.05150, section 3.2, call the layout sliding chunks. A few
keys may be read from any distance besides; L is then of both, near and far:

    mixture = e^(N - L) near + e^(F - L) far,  L = ln(e^N + e^F)

Shapes: query (b h n e), key (b g n e), value (b g n v) with g dividing h, in float32 or wider; c blocks of s places,
w = (behind + 1 + ahead) s places of near keys for each, and x far keys. Heads that share keys stand under each other in
a block.
"""

from collections.abc import Iterator
from itertools import product
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
    first: int = 0  # keys before it are no near ones


class Far(NamedTuple):
    """Keys that blocks read from any distance; `tile` joins their scores, with -inf where nothing is seen."""

    places: Tensor  # (b|1 c|1 x): of each block, or the same for all
    tile: Tensor  # (b|1 h|1 n x)


def attend(
    query: Tensor, key: Tensor, value: Tensor, tile: Tensor, call: Call, far: Far | None = None
) -> tuple[Tensor, Tensor]:
    """Mixtures (b h n v) and L (b h n); zeros and -inf for a query that sees no key.

    `tile` (h|1 s w) joins the scores of every block, with -inf where nothing is seen.
    """
    size, (heads, queries) = call.blocks.size, query.shape[1:3]
    groups = key.shape[1]
    places = far_tile = None
    if far is not None:
        places = far.places.expand(len(key), -1, -1)
        tiles, own = (far.tile, groups) if far.tile.shape[1] > 1 else (far.tile.expand(-1, heads // groups, -1, -1), 1)
        far_tile = _stacked(tiles, own, size)
    made: tuple[Tensor, Tensor] = _Banded.apply(
        _stacked(query, groups, size), key, value, _stacked_tile(tile, heads, groups), far_tile, places, call
    )
    return _unstacked(made[0], heads)[:, :, :queries], _unstacked(made[1], heads)[:, :, :queries, 0]


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


def _gathered(x: Tensor, places: Tensor) -> Tensor:
    """(b g n e) at places (b c|1 x): (b g c|1 x e)."""
    return x.gather(2, _index(x, places)).view(*x.shape[:2], *places.shape[1:], x.shape[3])


def _index(x: Tensor, places: Tensor) -> Tensor:
    return places.flatten(1)[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3])


class _Banded(Function):
    """Of stacked queries (b g c rs e), keys and values (b g n ·), and a tile (g|1 rs w); r = h/g.

    And of a tile (b|1 g|1 c rs x) of far keys at places (b c|1 x), or none.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, tile: Tensor, far_tile: Tensor | None,
        places: Tensor | None, call: Call,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        far = [] if places is None or far_tile is None else [_gathered(x, places) for x in (key, value)] + [far_tile]
        near = [*(_padded(x, call.blocks, query.shape[2] * call.blocks.size) for x in (key, value)), tile]
        mixed = query.new_empty(*query.shape[:4], value.shape[3])
        lse = query.new_empty(*query.shape[:4], 1)
        draws = _Draws(call.dropout, query.device, None)
        for part in _parts(query, near, far, call):
            scores, out, known = part.scores()[0], mixed[part.at], lse[part.at]
            most = scores.amax(-1, keepdim=True)
            most = (torch.maximum(most, known) if part.far else most).clamp(min=torch.finfo(scores.dtype).min)
            total = scores.sub_(most).exp_().sum(-1, keepdim=True)
            if part.far:
                before = known.sub(most).exp_()
                total += before
                out.mul_(before)
            part.rows(out).baddbmm_(part.rows(draws.drop(scores)), part.value, beta=part.far)
            out.div_(torch.where(total > 0, total, 1.0))
            lse[part.at] = torch.where(total > 0, most + total.log(), -torch.inf)
        ctx.save_for_backward(query, mixed, lse, places, *near, *far)
        ctx.call, ctx.seed = call, draws.seed
        return mixed, lse

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, mixed, lse, places, *read = ctx.saved_tensors
        call, near, far = ctx.call, read[:3], read[3:]
        grad = grads[0].contiguous()
        shift = lse.masked_fill(lse == -torch.inf, torch.inf)
        of_query = torch.empty_like(query)
        of_near, of_far = ([x.new_zeros(x.shape) for x in side] for side in (near, far))
        cut = [x.view(*x.shape[:2], -1, call.blocks.size, x.shape[3]) for x in of_near[:2]]
        draws = _Draws(call.dropout, query.device, ctx.seed)
        for part in _parts(query, near, far, call):
            of_key, of_value, of_tile = of_far if part.far else (*cut, of_near[2])
            (b, g, _), given, (scores, slope) = part.at, grad[part.at], part.scores()
            weights = scores.sub_(shift[part.at]).exp_()
            keep = draws.mask(weights)
            kept = weights if keep is None else weights * keep
            part.add(of_value[b, g], torch.bmm(part.rows(kept).mT, part.rows(given)))
            change = torch.bmm(part.rows(given), part.value.mT).view_as(weights)
            change = change if keep is None else change.mul_(keep)
            away = (given * mixed[part.at]).sum(-1, keepdim=True) - grads[1][part.at]
            change.sub_(away).mul_(weights)
            if ctx.needs_input_grad[4 if part.far else 3]:
                of_tile[part.own] += change.sum_to_size(part.tile.shape)
            if slope is not None:
                change.mul_(slope)
            change = part.rows(change.mul_(call.scale))
            part.rows(of_query[part.at]).baddbmm_(change, part.key, beta=part.far)
            part.add(of_key[b, g], torch.bmm(change.mT, part.rows(part.query)))
        before, behind = _around(call.keys, call.blocks, query.shape[2] * call.blocks.size)
        own = slice(before, before + call.keys)
        of = [F.pad(x, (0, 0, 0, max(0, -behind)))[:, :, own] for x in of_near[:2]]  # beyond are keys no query is near
        for total, each in zip(of, of_far, strict=False):
            total.scatter_add_(2, _index(total, places), each.flatten(2, 3))
        return of_query, *of, of_near[2], of_far[2] if far else None, None, None


class _Part(NamedTuple):
    """A few blocks of one key head, and the keys around each, or their far keys."""

    at: tuple[int, int, slice]
    query: Tensor  # (c rs e)
    key: Tensor  # (c|1 w e), near ones a view
    value: Tensor  # (c|1 w v)
    tile: Tensor  # (c|1 rs w)
    own: tuple[slice | int, ...]  # where that is in all tiles
    far: bool
    blocks: slice  # of keys, the first that each reads
    size: int  # of a block of keys
    hidden: Tensor | None  # bool (c r|1 s|1 w)
    edges: tuple[tuple[int, slice], ...]  # blocks of this part, and their keys that do not exist
    call: Call

    def rows(self, x: Tensor) -> Tensor:
        """(c rs ·), or (1 crs ·) where all blocks read the same keys."""
        return x.view(len(self.key), -1, x.shape[-1])

    def scores(self) -> tuple[Tensor, Tensor | None]:
        """(c rs w), -inf where nothing is seen; and the slope of the cap there."""
        cap, slope, shape = self.call.cap, None, (*self.query.shape[:2], self.key.shape[1])
        if cap is None:
            tile = self.rows(self.tile.expand(shape))
            scores = torch.baddbmm(tile, self.rows(self.query), self.key.mT, alpha=self.call.scale).view(shape)
        else:
            bent = torch.bmm(self.rows(self.query), self.key.mT).view(shape).mul_(self.call.scale / cap).tanh_()
            slope, scores = 1 - bent.square(), torch.add(self.tile, bent, alpha=cap)
        if self.hidden is not None:
            rows = scores.view(len(scores), -1, self.call.blocks.size, scores.shape[2])
            rows.masked_fill_(self.hidden, -torch.inf)
        for block, places in self.edges:
            scores[block, :, places] = -torch.inf
        return scores, slope

    def add(self, total: Tensor, each: Tensor) -> None:
        """Gradients (c|1 w ·) of the keys that each block read, to those of all blocks of keys (c' s ·)."""
        for ahead in range(each.shape[1] // self.size):
            place = slice(self.blocks.start + ahead, self.blocks.stop + ahead)
            total[place] += each[:, ahead * self.size : (ahead + 1) * self.size]


def _parts(query: Tensor, near: list[Tensor], far: list[Tensor], call: Call) -> Iterator[_Part]:
    """All near parts of a key head, then its far ones."""
    blocks, (batch, groups, count, stacked, _) = call.blocks, query.shape
    near_key, near_value = (x.unfold(2, blocks.width, blocks.size).mT for x in near[:2])
    tile = near[2]
    for b, g in product(range(batch), range(groups)):
        row = g if len(tile) > 1 else 0
        for some in _steps(count, stacked * blocks.width):
            at, own = (b, g, some), slice(row, row + 1)
            hidden, edges = _hidden(call, b, g, groups, some), tuple(_edges(some, call))
            yield _Part(at, query[at], near_key[at], near_value[at], tile[own], (own,), False, some, blocks.size,
                        hidden, edges, call)  # fmt: skip
        for some in _steps(count, stacked * far[0].shape[3]) if far else ():
            key, value, tiles = far
            which = some if key.shape[2] > 1 else slice(0, 1)
            place = (b if len(tiles) > 1 else 0, g if tiles.shape[1] > 1 else 0, some)
            yield _Part((b, g, some), query[b, g, some], key[b, g, which], value[b, g, which], tiles[place], place,
                        True, which, key.shape[3], None, (), call)  # fmt: skip


def _steps(count: int, each: int) -> Iterator[slice]:
    """Blocks that have so many scores each, a few at a time."""
    step = max(1, CACHED // each)
    return (slice(start, min(count, start + step)) for start in range(0, count, step))


def _hidden(call: Call, b: int, g: int, groups: int, some: slice) -> Tensor | None:
    if call.hidden is None:
        return None
    row = call.hidden[b if len(call.hidden) > 1 else 0]
    heads = row if len(row) == 1 else row.view(groups, -1, *row.shape[1:])[g]
    return heads[:, some].transpose(0, 1)


def _edges(some: slice, call: Call) -> Iterator[tuple[int, slice]]:
    """Places before the first near key and after the last one, by blocks of a part."""
    size, width = call.blocks.size, call.blocks.width
    for block in range(some.start, some.stop):
        first = (block - call.blocks.behind) * size
        if first < call.first:
            yield block - some.start, slice(0, call.first - first)
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
