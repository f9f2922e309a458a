"""Softmax attention by torch's FlexAttention: blocks of pairs that the mask hides are not computed.

    s = cap(scale q . k) + table[h, i - j];  L = ln sum_k exp(s);  mixture = sum_k exp(s - L) v,  over the keys shown

i and j are the places of query and key. What is shown and what is added are functions of one pair, which torch compiles
into one kernel of a GPU, forward and backward; no weights are held, and a bias is read of its table. On the CPU torch
makes all weights and has no backward pass. Dong et al. 2024, arXiv:2412.05496.

Shapes: query (b h q e), key (b g k e), value (b g k v) with g dividing h. On a GPU e and v are NARROWEST or more.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

Pairwise = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""What a row, a head, a query and a key, each told by its place, have together."""

VARIANTS = 256
"""Masks and kinds of scores of one process that are compiled, before torch would make all weights instead."""

UNTRACED = "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"
"""By which torch's plain form is called as it is, not traced first for each mask and shape; it then has no gradient."""


class Table(NamedTuple):
    """A bias of distances: values[h, row] where `row` is that of the pair."""

    values: Tensor  # (h r), in float32 or wider
    row: Pairwise


class Call(NamedTuple):
    """What is done to the scores, and which blocks of them are made; None: nothing, and all."""

    scale: float
    cap: float | None
    table: Table | None
    shown: "BlockMask | None"


def of_pair(x: Tensor) -> Pairwise:
    """Numbers that broadcast to (b h q k), read one pair at a time."""
    own, kept = [side for side, size in enumerate(x.shape) if size > 1], x.squeeze()
    return lambda *place: kept[tuple(place[side] for side in own)] if own else kept


def blocks(sees: Pairwise, *, rows: int, heads: int, queries: int, keys: int, device: torch.device) -> "BlockMask":
    """The blocks that hold a pair which `sees` shows; rows or heads are 1 where all see alike."""
    with _called("create_block_mask", device) as make:
        made: BlockMask = make(sees, rows, heads, queries, keys, device=device)
        return made


def attend(query: Tensor, key: Tensor, value: Tensor, call: Call) -> tuple[Tensor, Tensor]:
    """Mixtures (b h q v) and L (b h q); zeros and -inf for a query that sees no key."""
    from torch.nn.attention import flex_attention as torchs

    newer = hasattr(torchs, "AuxRequest")
    asks: dict[str, Any] = {"return_aux": torchs.AuxRequest(lse=True)} if newer else {"return_lse": True}
    with _called("flex_attention", query.device) as run:
        mixed, told = run(
            query, key, value, score_mod=_changed(call), block_mask=call.shown, scale=call.scale,
            enable_gqa=query.shape[1] != key.shape[1], **asks,
        )  # fmt: skip
    return mixed, told.lse if newer else told


def _changed(call: Call) -> Callable[..., Tensor] | None:
    """From the score of a pair to what the softmax reads."""
    cap, table = call.cap, call.table
    if cap is None and table is None:
        return None

    def score(made: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        if cap is not None:
            made = cap * torch.tanh(made / cap)
        return made if table is None else made + table.values[h, table.row(b, h, q, k)]

    return score


@contextmanager
def _called(name: str, device: torch.device) -> Iterator[Callable[..., Any]]:
    """A function of torch's module as it is to be called there."""
    from torch.nn.attention import flex_attention as torchs

    function: Callable[..., Any] = getattr(torchs, name)
    before = getattr(torchs, UNTRACED, False)
    with torch._dynamo.config.patch(recompile_limit=VARIANTS), warnings.catch_warnings():
        # that all weights are made on the CPU is what the plan says
        warnings.filterwarnings("ignore", "flex_attention called without")
        try:
            setattr(torchs, UNTRACED, before or (device.type == "cpu" and not torch.is_grad_enabled()))
            yield _compiled(function) if device.type == "cuda" else function
        finally:
            setattr(torchs, UNTRACED, before)


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = torch.compile(function)
    return compiled
