"""Weights of a model for one with fewer heads: of each tensor, the blocks of those that stay.

A tensor differs between both models where it holds a block a head, along one axis: rows of the maps of queries, columns
of the output map, biases, tables. The block's width follows from both sizes; what stands behind the last head stays.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attncli.analysis.smaller import Kept
from attncli.nn.attention import Attention
from attncli.nn.delta import DeltaRule
from attncli.nn.model import Model
from attncli.training.states import weights

GROUPED = ("key", "value", "key_norm", "value_norm", "persistent", "short.weights.key", "short.weights.value")
"""Parts with a block a kv head; of the delta rule these are queries and keys."""
MAPPED = (
    "query", "key", "query_norm", "key_norm", "score", "position", "weighing", "persistent.key",
    "short.weights.query", "short.weights.key",
)  # fmt: skip
"""Parts with a block for each map of weights, of which a head may have two."""


class Origin(NamedTuple):
    """Where a weight comes from: its name before, its shape there, and what is kept of which axis."""

    name: str
    shape: torch.Size
    axis: int | None
    places: Tensor | None

    def cut(self, tensor: Tensor) -> Tensor:
        """What is kept of a tensor that lies beside the weight."""
        if self.axis is None or self.places is None or tensor.shape != self.shape:
            return tensor
        return tensor.index_select(self.axis, self.places).contiguous()


def origins(old: Model, new: Model, kept: Mapping[str, Kept]) -> dict[str, Origin]:
    """Each weight of the new model, by its name, with where it comes from."""
    state = old.state_dict(keep_vars=True)
    first: dict[Tensor, str] = {}
    for name, tensor in state.items():
        first.setdefault(tensor, name)
    attentions = {name: module for name, module in old.named_modules() if isinstance(module, Attention)}
    found = {}
    for name, weight in weights(new).items():
        owner = max((each for each in attentions if name.startswith(f"{each}.")), key=len, default=None)
        address = "" if owner is None else attentions[owner].address.removesuffix(".second")
        if owner is None or address not in kept:
            before, axis, places = name, None, None
        else:
            part = name.removeprefix(f"{owner}.")
            part = _numbered_before(part, kept[address])
            before = f"{owner}.{part}"
            axis, places = _places(attentions[owner], part, state[before], weight, kept[address])
        found[name] = Origin(first[state[before]], state[before].shape, axis, places)
    return found


def sliced(tensors: Mapping[str, Any], found: Mapping[str, Origin]) -> dict[str, Any]:
    """What a state keeps by the names of weights (`NAME`, or `NAME.exp_avg`), for the new model.

    A weight whose own entries have neither its shape nor one number is left out: they are made anew.
    """
    beside: dict[str, dict[str, Any]] = {}
    for key, value in tensors.items():
        beside.setdefault(key, {})[""] = value
        name, _, what = key.rpartition(".")
        beside.setdefault(name, {})[f".{what}"] = value
    made: dict[str, Any] = {}
    for name, origin in found.items():
        entries = beside.get(origin.name, {})
        odd = [one for one in entries.values() if isinstance(one, Tensor) and one.dim() and one.shape != origin.shape]
        if odd and origin.axis is not None:
            continue
        made |= {name + what: origin.cut(v) if isinstance(v, Tensor) else v for what, v in entries.items()}
    return made


def _numbered_before(part: str, kept: Kept) -> str:
    """The name before of a norm that each kv head has of its own."""
    if not part.startswith("value_norm.norms."):
        return part
    head, _, rest = part.removeprefix("value_norm.norms.").partition(".")
    return f"value_norm.norms.{kept.groups[int(head)]}.{rest}"


def _places(attention: Attention, part: str, old: Tensor, new: Tensor, kept: Kept) -> tuple[int | None, Tensor | None]:
    """The axis that has fewer places now, and which of them stay."""
    axes = [axis for axis in range(old.dim()) if old.shape[axis] != new.shape[axis]]
    if not axes:
        return None, None
    (axis,) = axes
    size = old.shape[axis]
    if isinstance(attention, DeltaRule):
        groups, heads = (attention.qk_heads, kept.groups), (attention.heads, kept.heads)
        if part.startswith("convolution"):
            query, _, value = attention.widths
            parts = [_blocks(query, *groups), query + _blocks(query, *groups), 2 * query + _blocks(value, *heads)]
            return axis, torch.cat(parts)
        return axis, _blocks(size, *(groups if part.startswith(("query", "key")) else heads))
    total, stay = (attention.kv_heads, kept.groups) if _is(part, GROUPED) else (attention.heads, kept.heads)
    width = (size - new.shape[axis]) // (total - len(stay))
    difference = attention.weighing.difference
    if difference is not None and difference.halves and _is(part, MAPPED):
        half = size // 2
        return axis, torch.cat([_blocks(half, total, stay), half + _blocks(half, total, stay)])
    behind = torch.arange(total * width, size)
    return axis, torch.cat([_blocks(total * width, total, stay), behind])


def _is(part: str, names: tuple[str, ...]) -> bool:
    return any(part == name or part.startswith(f"{name}.") for name in names)


def _blocks(size: int, total: int, stay: tuple[int, ...]) -> Tensor:
    """The places of some of `total` blocks that lie behind each other."""
    return torch.arange(size).view(total, -1)[list(stay)].flatten()
