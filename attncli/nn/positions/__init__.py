"""How a model knows the order of its tokens. Mirrors attncli/spec/positions.

A relative kind meets an attention in the steps that positions/base.py lists; an absolute one is added to the
embeddings.
"""

from dataclasses import dataclass
from typing import assert_never

from torch import nn

from attncli.nn.positions.absolute import Absolute, Learned, Sinusoidal, build_absolute
from attncli.nn.positions.base import Distances, Met, Relative, Side, distances_of
from attncli.nn.positions.biases import T5, Alibi, Kerple, LearnedAlibi, LogDistance, Sandwich, alibi_slopes
from attncli.nn.positions.contents import Bank, Cope, Directions, Disentangled, Forgetting, Shaw, TransformerXl
from attncli.nn.positions.rotary import DynamicNtk, Longrope, Pope, Rotary, Xpos, build_rotary
from attncli.spec import positions as spec


@dataclass(frozen=True)
class Place:
    """What a relative position takes from the attention in which it stands: its heads, and widths of one of them."""

    heads: int  # that have a query of their own, where a head makes two maps
    kv_heads: int  # that have a key of their own
    d_model: int  # of the states that ask and are read
    d_query: int
    d_key: int
    d_turning: int  # of the part of a query and a key that a position turns
    d_value: int
    two_sided: bool  # the mask lets a query look ahead


def build_common(position: spec.Relative, *, place: Place) -> nn.Module | None:
    """The part of a position that layers may share though each has a map of its own; None where there is none."""
    match position:
        case spec.TransformerXl():
            return Directions(heads=place.heads, d_head=place.d_query)
        case spec.Disentangled():
            return nn.Embedding(2 * position.max_distance, place.d_model)
        case _:
            return None


def build_relative(position: spec.Relative, *, place: Place, common: nn.Module | None) -> Relative:
    """The module of a relative position; `common` as build_common made it."""
    heads, kv_heads, d_model = place.heads, place.kv_heads, place.d_model
    match position:
        case spec.NoPosition():
            return Relative()
        case spec.Rotary():
            return build_rotary(position, two_sided=place.two_sided)
        case spec.Xpos():
            return Xpos(
                d_rotary=position.d_rotary,
                base=position.base,
                layout=position.layout,
                scale_base=position.scale_base,
            )
        case spec.Alibi():
            return LearnedAlibi(heads=heads) if position.slopes == "learned" else Alibi(heads=heads)
        case spec.T5():
            return T5(
                heads=heads,
                buckets=position.buckets,
                max_distance=position.max_distance,
                two_sided=place.two_sided,
            )
        case spec.Kerple():
            return Kerple(heads=heads, form=position.form)
        case spec.Sandwich():
            return Sandwich(heads=heads, width=position.width, base=position.base)
        case spec.LogDistance():
            return LogDistance(heads=heads, d_hidden=position.d_hidden)
        case spec.Shaw():
            d_value = place.d_value if position.on == "both" else None
            return Shaw(max_distance=position.max_distance, d_key=place.d_key, d_value=d_value)
        case spec.TransformerXl():
            assert isinstance(common, Directions)
            return TransformerXl(heads=heads, kv_heads=kv_heads, d_head=place.d_key, d_model=d_model, directions=common)
        case spec.Disentangled():
            assert isinstance(common, nn.Embedding)
            return Disentangled(
                heads=heads,
                kv_heads=kv_heads,
                d_head=place.d_key,
                d_model=d_model,
                table=common,
                released=position.key_distance == "released",
            )
        case spec.Cope():
            return Cope(maximum=position.maximum, d_head=place.d_query)
        case spec.Bank():
            return Bank(heads=heads, d_model=d_model, d_bank=position.d_bank, extent=position.extent)
        case spec.Pope():
            return Pope(heads=heads, width=place.d_turning, base=position.base)
        case spec.Forgetting():
            return Forgetting(heads=heads, d_model=d_model)
        case _:
            assert_never(position)


def shared_relative(position: spec.Relative, *, place: Place, shared: dict[object, nn.Module]) -> Relative:
    """One module for all attentions of a stack that turn or bias alike; what a layer has of its own is built anew."""

    def once(key: object, module: nn.Module | None) -> nn.Module | None:
        return shared.setdefault(key, module) if module is not None else None

    match position:
        case spec.Alibi(slopes="learned") | spec.Cope() | spec.Forgetting() | spec.Bank() | spec.Pope():
            return build_relative(position, place=place, common=None)
        case (
            spec.T5(share="layer")
            | spec.Kerple(share="layer")
            | spec.LogDistance(share="layer")
            | spec.Shaw(share="layer")
            | spec.TransformerXl(share="layer")
        ):
            return build_relative(position, place=place, common=build_common(position, place=place))
        case spec.TransformerXl() | spec.Disentangled():
            common = once(("common", position, place.heads, place.d_query), build_common(position, place=place))
            return build_relative(position, place=place, common=common)
        case _:
            made = shared.get((position, place))
            if made is None:
                made = shared[position, place] = build_relative(position, place=place, common=None)
            assert isinstance(made, Relative)
            return made


__all__ = [
    "T5",
    "Absolute",
    "Alibi",
    "Bank",
    "Cope",
    "Directions",
    "Disentangled",
    "Distances",
    "DynamicNtk",
    "Forgetting",
    "Kerple",
    "Learned",
    "LearnedAlibi",
    "LogDistance",
    "Longrope",
    "Met",
    "Place",
    "Pope",
    "Relative",
    "Rotary",
    "Sandwich",
    "Shaw",
    "Side",
    "Sinusoidal",
    "TransformerXl",
    "Xpos",
    "alibi_slopes",
    "build_absolute",
    "build_common",
    "build_relative",
    "build_rotary",
    "distances_of",
    "shared_relative",
]
