"""What FlexAttention reads of one pass: the blocks that a mask shows, and a table of biases. See kernels/flex.py."""

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attncli.nn.kernels import flex
from attncli.nn.kernels.reference import wide
from attncli.nn.positions import Relative, distances_of
from attncli.nn.scores import Product
from attncli.nn.telling import Remade
from attncli.nn.view import View
from attncli.spec.masks import Mask

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

    from attncli.nn.serving import Ready, Served


def flexed(served: "Served", ready: "Ready") -> Tensor:
    """Mixtures (b h q v), without the blocks of pairs that the mask hides; a tap is told of them as of any kernel's."""
    assert isinstance(served.score, Product)
    view, asked = ready.view, served._asked(ready)
    call = flex.Call(
        served.score.scale, served.weighing.cap, table_of(served.position, view),
        blocks_of(view, served.mask, served.heads),
    )  # fmt: skip
    made, lse = flex.attend(asked, ready.key.to(asked.dtype), ready.value.to(asked.dtype), call)
    made, lse, total = served.weighing.sunk(made, lse.unsqueeze(-1))
    mixed = made.to(ready.value.dtype)
    if view.tap is not None:
        told = lse.squeeze(-1).detach() if served.weighing.cap is None else None
        served._tell(ready._replace(key=ready.key.to(asked.dtype)), told, None, total, mixed, "flex",
                    joining=Remade(served, ready, True))  # fmt: skip
    return mixed


def blocks_of(view: View, mask: Mask, heads: int) -> "BlockMask | None":
    """The blocks of pairs that mask, padding and documents show, made once a pass; None where nothing is hidden."""
    return view.once(("blocks", mask, heads), lambda: _blocks(view, mask, heads))


def _blocks(view: View, mask: Mask, heads: int) -> "BlockMask | None":
    """As `View.visible` has it, told for one pair."""
    shows: list[flex.Pairwise] = []
    asks, reads, rows = view.query_documents, view.key_documents, 1
    if view.triangle(mask):
        shows.append(_behind)
    else:
        if mask.text != "full":
            told = view.arguments(mask, heads)
            shows.append(_of_mask(mask, told))
            tensors = (x for x in (*told.values(), *told["carried"].values()) if isinstance(x, Tensor) and x.dim())
            rows = max(len(x) for x in tensors)
        if view.packed and asks is not None and reads is not None:
            shows.append(_of_one_text(asks, reads))
            rows = len(reads)
        elif view.key_real is not None:
            shows.append(flex.of_pair(view.key_real[:, None, None, :]))
            rows = len(view.key_real)
        if view.ways is not None:
            shows.append(flex.of_pair(view.ways.unsqueeze(1)))
            rows = len(view.ways)
    if not shows:
        return None

    def sees(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return reduce(and_, (each(b, h, q, k) for each in shows))

    return flex.blocks(
        sees, rows=rows, heads=heads if "h" in mask.names else 1, queries=view.query_positions.shape[1],
        keys=view.key_positions.shape[1], device=view.query_positions.device,
    )  # fmt: skip


def _behind(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return k <= q


def _of_mask(mask: Mask, told: dict[str, Any]) -> flex.Pairwise:
    carried = {name: flex.of_pair(x) for name, x in told["carried"].items()}
    own = {name: flex.of_pair(x) for name, x in told.items() if isinstance(x, Tensor)}
    absent = {name: None for name, x in told.items() if x is None}

    def shows(*place: Tensor) -> Tensor:
        beside = {name: at(*place) for name, at in carried.items()}
        seen = mask.allows(**absent, **{name: at(*place) for name, at in own.items()}, carried=beside)
        shown: Tensor = (place[2] >= 0) & seen  # where the mask gives a plain bool
        return shown

    return shows


def _of_one_text(asks: Tensor, reads: Tensor) -> flex.Pairwise:
    query, key = flex.of_pair(asks[:, None, :, None]), flex.of_pair(reads[:, None, None, :])
    return lambda *place: query(*place) == key(*place)


def table_of(position: Relative, view: View) -> flex.Table | None:
    """The bias of each distance between a query and a key, made once a pass; None where nothing is added."""
    if type(position).bias is Relative.bias:
        return None
    return view.once(("table", id(position)), lambda: _table(position, view))


def _table(position: Relative, view: View) -> flex.Table:
    q, k = view.query_positions, view.key_positions
    least, most = int(q.min() - k.max()), int(q.max() - k.min())
    every, zero = torch.arange(least, most + 1, device=q.device).unsqueeze(0), torch.zeros_like(k[:1, :1])
    bias = position.bias(every, zero, lambda: distances_of(every, zero))
    assert bias is not None
    query, key = flex.of_pair((q - least)[:, None, :, None]), flex.of_pair(k[:, None, None, :])
    return flex.Table(wide(bias[0, :, :, 0]), lambda *place: query(*place) - key(*place))
