"""What the position of an attention does there, step by step: the calls of positions/base.py with what they ask for.

Part of attncli/nn/attention.py.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from attncli.nn.kernels.reference import repeat_heads, wide
from attncli.nn.positions import Distances, Met, Place, Relative, Side, build_common, build_relative, distances_of
from attncli.nn.scores import Product, Score
from attncli.nn.view import View
from attncli.spec import attention as spec


def turned(position: Relative, x: Tensor, view: View, side: Side) -> Tensor:
    """Queries or keys (b h n e), turned."""
    angles = angles_of(position, view, side)
    return x if angles is None else position.turn(x, angles)


def angles_of(position: Relative, view: View, side: Side) -> tuple[Tensor, ...] | None:
    """What queries or keys are turned by, made once a pass; None where nothing turns."""
    positions = view.query_positions if side == "query" else view.key_positions
    return view.once(
        (id(position), side),
        lambda: position.angles(positions, side=side, lengths=lambda: view.text_lengths(side)),
    )


def bias_of(position: Relative, query: Tensor, kept: tuple[Tensor, ...], view: View) -> Tensor | None:
    """What joins the logits, in their width: of positions, made once a pass, or of what was kept."""
    sides = (view.query_positions, view.key_positions)
    bias = view.once(("bias", id(position)), lambda: position.bias(*sides, distances_in(view)))
    found = position.fade(kept, queries=query.shape[2]) if bias is None else bias
    return None if found is None else found.to(wide(query[..., :0]).dtype)


def term_of(
    position: Relative, score: Score, query: Tensor, key: Tensor, view: View, scores: Tensor | None,
    visible: Tensor | None, demand: Tensor | None,
) -> Tensor | None:  # fmt: skip
    """What joins the scores, of turned queries (b h q e) and keys (b g k ·)."""

    def product(one: Tensor, other: Tensor) -> Tensor:
        assert isinstance(score, Product)
        return torch.matmul(score.ask(one), other.mT) * score.scale

    return position.term(
        Met(query, repeat_heads(key, query.shape[1]), product, distances_in(view), scores, visible, demand)
    )


def bias_trait(position: Relative) -> Literal["none", "fixed", "learned"]:
    """What the plan of kernels must know of what the position adds."""
    if position.learned:
        return "learned"
    return "none" if type(position).bias is Relative.bias else "fixed"


def distances_in(view: View) -> Callable[[], Distances]:
    """Made once a pass, if some position asks."""
    return lambda: view.once("distances", lambda: distances_of(view.query_positions, view.key_positions))


def place_of(attention: spec.AnyAttention, *, d_model: int) -> Place:
    """What a relative position takes from its attention, which asks and reads states of one width."""
    heads, kv_heads = attention.heads * attention.maps_a_head, attention.kv_heads * attention.maps_a_head
    wide = attention.d_head + (attention.d_rotary if isinstance(attention, spec.Latent) else 0)
    ask = wide if attention.maps("query") else d_model // heads
    return Place(
        heads=heads,
        kv_heads=kv_heads,
        d_model=d_model,
        d_query=ask,
        d_key=wide if attention.maps("key") else d_model // kv_heads,
        d_turning=attention.d_rotary if isinstance(attention, spec.Latent) else ask,
        d_value=attention.d_value if attention.maps("value") else d_model // attention.kv_heads,
        two_sided=attention.mask.causal() is not None,
    )


def build_position(attention: spec.AnyAttention, *, d_model: int) -> Relative:
    """The module of an attention's relative position, which shares nothing with others."""
    place = place_of(attention, d_model=d_model)
    return build_relative(attention.position, place=place, common=build_common(attention.position, place=place))
