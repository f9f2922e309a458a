"""Blocks for the banded kernel: what a mask and the positions of one pass come to, with nothing of size q x k.

A mask that repeats itself from block to block becomes one small tile; what differs from row to row (padding, documents,
a mask whose period fits no block) is told for each block. Where a mask lets a query see only every step-th key, places
are put into `step` classes first, in each of which the keys stand side by side. The first n keys of a text that are
seen from any distance are far ones: under a tile all of them, and they are no near ones; else those that stand before
the near ones of a block. Shapes: see kernels/banded.py.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from attncli.nn.kernels.banded import Blocks, Far, windows
from attncli.nn.kernels.plan import Span
from attncli.nn.normalizers import Softmax
from attncli.nn.positions import Relative, distances_of
from attncli.nn.scores import Product, Score
from attncli.nn.sequential import SequentialNormalizer
from attncli.nn.view import View
from attncli.nn.weighing import Weighing
from attncli.spec.masks import Mask
from attncli.spec.masks.local import Local

LARGEST_PERIOD = 256
"""A mask that repeats itself after more places than this is told for each block."""


class Band(NamedTuple):
    """How a mask is laid in blocks."""

    local: Local
    blocks: Blocks
    step: int  # classes of places
    tiled: bool  # one tile says all that the mask says


def span_of(mask: Mask, heads: int) -> Span | None:
    """What a block of queries reads, with which the cost grows; None where the mask is not local."""
    local = mask.local(heads)
    return None if local is None else Span(_blocks(local)[0].width + local.columns, local.columns, local.rows)


def unbanded(
    score: Score,
    position: Relative,
    weighing: Weighing,
    *,
    span: object | None,
    persistent: object | None,
    key_dropout: object | None,
    indexer: object | None,
) -> tuple[str, ...]:
    """What of an attention keeps the banded kernel away, as the spec names it."""
    kind = type(position)
    moves = (kind.term, kind.fade, kind.carry) != (Relative.term, Relative.fade, Relative.carry)
    found = {
        "score but dot products": not isinstance(score, Product),
        "normalizer but softmax": not isinstance(weighing.normalizer, Softmax),
        "position that reads what the tokens hold": moves,
        "bias of more than the distance": kind.bias is not Relative.bias and not position.of_distance,
        "talking_heads": weighing.before is not None or weighing.after is not None,
        "select": weighing.select is not None or indexer is not None,
        "span": span is not None or weighing.reach is not None,
        "persistent": persistent is not None,
        "selective": weighing.selective is not None,
        "key_dropout": key_dropout is not None,
        "difference of maps": weighing.difference is not None,
    }
    return tuple(name for name, holds in found.items() if holds)


def unchunked(score: Score, weighing: Weighing, mask: Mask, *, indexer: object | None) -> tuple[str, ...]:
    """What of an attention needs all queries or all keys at once, as the spec names it."""
    normalizer = weighing.normalizer
    found = {
        "a score that reads earlier weights": score.sequential,
        "a normalizer that reads earlier weights": isinstance(normalizer, SequentialNormalizer),
        "a normalizer over the queries": normalizer.joins_queries,
        "selective": weighing.selective is not None,
        "select 'indexer'": indexer is not None,
        f"mask '{mask.text}', which counts the tokens of a text": any(
            name in ("q_length", "k_length") or name.startswith("most ") for name in mask.names
        ),
    }
    return tuple(name for name, holds in found.items() if holds)


@lru_cache(maxsize=256)
def band_of(mask: Mask, heads: int, *, counted: bool) -> Band:
    """The blocks of a local mask; `counted`: the positions of each row are its places."""
    local = mask.local(heads)
    assert local is not None, "the plan gives the banded kernel local masks"
    blocks, step, period = _blocks(local)
    tiled = counted and period is not None and blocks.size % period == 0
    tiled |= period == 1 and not (local.columns or local.rows)
    band = Band(local, blocks, step, tiled)
    if not tiled:  # a text may begin in a block, and its first keys that are seen end behind it
        after = min(max(local.after, local.columns - 1), mask.reach(heads)[1])
        ahead = max(blocks.ahead, -(-int(after) // blocks.size) if local.columns else 0)
        return band._replace(blocks=blocks._replace(ahead=ahead))
    used = seen_in(mask, heads, band).any(0).any(0).view(-1, blocks.size).any(1).nonzero().flatten().tolist()
    first, last = min(used, default=blocks.behind), max(used, default=blocks.behind)
    return band._replace(blocks=Blocks(blocks.size, max(0, blocks.behind - first), max(0, last - blocks.behind)))


def _blocks(local: Local) -> tuple[Blocks, int, int | None]:
    """The blocks, the number of classes, and the period within a class."""
    step = local.step if local.period == 1 else 1
    before, after = local.before // step, local.after // step
    reach = before + after
    size = 32 if reach <= 160 else 64 if reach <= 640 else 128
    if local.period is not None and 1 < local.period <= LARGEST_PERIOD:
        size = -(-size // local.period) * local.period
    return Blocks(size, -(-before // size), -(-after // size)), step, local.period


def _places(band: Band, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Positions of the queries of a block (s) and of its keys (w), behind those that are set apart."""
    size = band.blocks.size
    behind = -(-max(band.local.columns, band.local.rows) // size) * size
    keys = (behind + torch.arange(band.blocks.width, device=device)) * band.step
    start = band.blocks.behind * band.blocks.size
    return keys[start : start + band.blocks.size], keys


def seen_in(mask: Mask, heads: int, band: Band, device: torch.device | None = None) -> Tensor:
    """Bool (h|1 s w): what the mask shows of every block."""
    q, k = _places(band, device)
    h = torch.arange(heads if "h" in mask.names else 1, device=device).view(-1, 1, 1)
    allowed = mask.allows(q.unsqueeze(1), k, h=h, q_length=None, k_length=None, document_q=None, document_k=None,
                          carried={})  # fmt: skip
    return torch.as_tensor(allowed, device=device).expand(len(h), len(q), len(k))


def tile_of(mask: Mask, heads: int, band: Band, position: Relative, like: Tensor) -> Tensor:
    """(h|1 s w) of the dtype and device of a tensor: the bias of every block, -inf where the mask hides."""
    q, k = (x.unsqueeze(0) for x in _places(band, like.device))
    bias = position.bias(q, k, lambda: distances_of(q, k))
    tile = like.new_zeros(1, q.shape[1], k.shape[1]) if bias is None else bias[0].to(like.dtype)
    return tile.masked_fill(~seen_in(mask, heads, band, like.device), -torch.inf) if band.tiled else tile


def hidden_in(view: View, mask: Mask, heads: int, band: Band) -> Tensor | None:
    """Bool (b h|1 c s|1 w): what padding, documents and a mask without a tile hide; None where that is nothing."""
    backward = view.aligned and band.local.after == 0  # no real query sees the padding behind its row
    whole = view.query_positions.shape[1] % band.step == 0
    if band.tiled and not view.packed and (backward or (view.key_real is None and whole)):
        return None
    return view.once(("hidden", mask, heads), lambda: ~_shown(view, mask, heads, band))


def _shown(view: View, mask: Mask, heads: int, band: Band) -> Tensor:
    rows = max(len(view.query_positions), 1 if view.key_documents is None else len(view.key_documents))
    queries = folded(view.query_positions.unsqueeze(-1), band.step).shape[1]

    def asks(x: Tensor) -> Tensor:
        cut = pad(folded(x.expand(rows, -1).unsqueeze(-1), band.step).squeeze(-1), (0, -queries % band.blocks.size))
        return cut.view(len(cut), 1, -1, band.blocks.size, 1)

    def read(x: Tensor, fill: int) -> Tensor:
        cut = folded(x.expand(rows, -1).unsqueeze(-1), band.step, fill).squeeze(-1)
        return windows(cut, band.blocks, queries, fill)[:, None, :, None, :]

    document = torch.zeros_like(view.key_positions) if view.key_documents is None else view.key_documents
    document = read(document, -1)
    shown = document >= 0
    if view.packed and view.query_documents is not None:
        shown = shown & (asks(view.query_documents) == document)
    if not band.tiled:
        h = torch.arange(heads if "h" in mask.names else 1, device=shown.device).view(1, -1, 1, 1, 1)
        q, k = asks(view.query_positions), read(view.key_positions, 0)
        shown = shown & mask.allows(q, k, h=h, q_length=None, k_length=None, document_q=None, document_k=None,
                                    carried={})  # fmt: skip
    return shown


class Apart(NamedTuple):
    """The far keys of each block, where there is one for each of the first keys of a text, and who sees them."""

    places: Tensor  # (b|1 c|1 x)
    seen: Tensor  # bool (b|1 h|1 q x)


def far_in(view: View, mask: Mask, heads: int, band: Band, position: Relative, like: Tensor) -> Far | None:
    """The far keys of a pass, in the dtype and on the device of its keys; None where the mask has none."""
    columns = torch.arange(min(band.local.columns, view.key_positions.shape[1]), device=like.device)
    if not len(columns):
        return None
    apart = view.once(("far", mask, heads), lambda: _apart(view, mask, heads, band, columns))

    def tile() -> Tensor:
        q, k = view.query_positions, columns.unsqueeze(0)
        bias = position.bias(q, k, lambda: distances_of(q, k))
        made = like.new_zeros(1, 1, 1, 1) if bias is None else bias.to(like.dtype)
        return torch.where(apart.seen, made, -torch.inf)

    return Far(apart.places, view.once(("far tile", id(position), mask, heads), tile))


def _apart(view: View, mask: Mask, heads: int, band: Band, columns: Tensor) -> Apart:
    """Of the text that the first near key of a block is of; under a tile no first key is near, and one row a text."""
    (size, behind, _), queries, keys = band.blocks, view.query_positions.shape[1], view.key_positions.shape[1]
    documents = torch.zeros_like(view.key_positions) if view.key_documents is None else view.key_documents
    rows, count, device = max(len(documents), len(view.key_positions)), -(-queries // size), columns.device
    documents, positions = (x.expand(rows, -1) for x in (documents, view.key_positions))
    starts = (torch.arange(count, device=device) - behind) * size
    near = torch.tensor([keys], device=device) if band.tiled else starts.clamp(0, keys)
    first = near.clamp(max=keys - 1)
    places = (first - positions[:, first]).unsqueeze(-1) + columns
    held = places.clamp(0, keys - 1)
    document, position = (x.gather(1, held.flatten(1)).view_as(held) for x in (documents, positions))
    there = (places >= 0) & (places < near.unsqueeze(-1)) & (position == columns) & (document >= 0)
    there, document = (
        x.expand(-1, count, -1).repeat_interleave(size, 1)[:, :queries] for x in (there, document)
    )  # of each query
    if view.packed and view.query_documents is not None:
        there = there & (document == view.query_documents.unsqueeze(-1))
    h = torch.arange(heads if "h" in mask.names else 1, device=device).view(-1, 1, 1)
    q = view.query_positions[:, None, :, None]
    seen = mask.allows(q, columns, h=h, q_length=None, k_length=None, document_q=None, document_k=None, carried={})
    return Apart(held, there.unsqueeze(1) & seen)


def rows_apart(view: View, band: Band) -> Tensor | None:
    """(r): the places of queries that see at any distance, in any row; None where the mask has none."""
    if not band.local.rows:
        return None
    at = view.query_positions < band.local.rows
    real = view.query_real
    return view.once(("rows", band.local.rows), lambda: (at if real is None else at & real).any(0).nonzero().flatten())


def folded(x: Tensor, step: int, fill: float = 0) -> Tensor:
    """(b … n e) to (b·step … n/step e): each class of places in a row of its own."""
    if step == 1:
        return x
    whole = pad(x, (0, 0, 0, -x.shape[-2] % step), value=fill)
    return whole.view(*x.shape[:-2], -1, step, x.shape[-1]).movedim(-2, 1).flatten(0, 1)


def unfolded(x: Tensor, step: int, places: int) -> Tensor:
    """(b·step … n/step e) back to (b … n e)."""
    if step == 1:
        return x
    rows = x.view(-1, step, *x.shape[1:]).movedim(1, -2)
    return rows.flatten(-3, -2)[..., :places, :]
