"""What each token owes to which other, by name: maps in the shape of attention maps, of more than the weights.

    rollout, flow     through all layers up to this one, by the maps alone (attncli/analysis/rollout.py)
    norm              |w_ij v_j W_o| of each head: the length of what it adds of token j to place i. Kobayashi et al.
                      2020, arXiv:2004.10102, eq. 4; head scale and gate are factors on the value
    gradient          w_ij dy/dw_ij of each head. The mixture is sum_j w_ij v_j, so dy/dw_ij is (dy/dmixture_i) . v_j,
                      and no weights are made for it: what the head adds to y, in nats, to first order. Chefer et al.
                      2021, arXiv:2103.15679, eq. 5, without its max and mean
    value_zeroing     1 - cos(x_i, x_i with v_j = 0 in all heads) of the layer's output, rows over their sums. Mohebbi
                      et al. 2023, arXiv:2301.12971, eq. 4 and 5

Each is refused for an attention in which it has no meaning, with the reason, and given for the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attncli.analysis.looking import Look, weights_of
from attncli.analysis.masking import unseen
from attncli.analysis.rollout import Matrix, flow, half_residual, rollout
from attncli.errors import InputError
from attncli.nn.attention import Attention
from attncli.nn.kernels.reference import repeat_heads
from attncli.nn.latent import LatentAttention
from attncli.nn.layers import Layer
from attncli.nn.model import Model
from attncli.nn.positions import Relative
from attncli.nn.running import Running
from attncli.nn.stacks import Transformer
from attncli.nn.steps import HeadScale, OnAttention
from attncli.nn.view import Record
from attncli.streams import Batch


@dataclass(frozen=True)
class Explanation:
    """One map of one method."""

    method: str
    address: str
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    rows: tuple[str, ...]
    values: Matrix
    """(head query key); one head where all count together."""

    def json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "method": self.method, "address": self.address, "queries": list(self.queries), "keys": list(self.keys),
            "rows": list(self.rows), "values": self.values.tolist(),
        }  # fmt: skip


@dataclass
class Explained:
    """The maps of one method, and why some attentions have none."""

    maps: list[Explanation] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def explain(look: Look, method: str) -> Explained:
    """The maps of a method over everything that was looked at.

    Raises:
        InputError: no attention has one, with the reasons.
    """
    found = METHODS[method](look)
    if not found.maps:
        reasons = [f"{address}: {why}" for address, why in found.refused.items()]
        raise InputError("\n".join([f"--explain-by {method}: no attention has such a map", *reasons]),
                         help=f"choose another of {', '.join(METHODS)}")  # fmt: skip
    return found


def _add(found: Explained, look: Look, method: str, address: str, values: Tensor | Matrix) -> None:
    axes = look.axes[address]
    numbers = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    keys = axes.keys[len(axes.keys) - numbers.shape[2] :]
    rows = axes.writes if look.ends[address].kind == "cross" and axes.writes is not None else axes.queries
    found.maps.append(Explanation(method, address, axes.queries, keys, rows, np.asarray(numbers, np.float64)))


def _norm(look: Look) -> Explained:
    found = Explained()
    for address in look.records:
        why = _no_norm(look.attention(address))
        if why:
            found.refused[address] = why
        else:
            made = look.joined(address, partial(_lengths, gates=look.gates[address]))
            _add(found, look, "norm", address, made)
    return found


def _no_norm(attention: Attention) -> str:
    if isinstance(attention.output, OnAttention):
        return "its output map multiplies what heads add"
    if not isinstance(attention.ending.norm, nn.Identity):
        return "context_norm divides what all tokens add by their common length"
    if attention.shared:
        return "its mixtures are turned back, place by place"
    return _no_values(attention)


def _no_values(attention: Attention) -> str:
    if type(attention.position).carry is not Relative.carry:
        return "its position adds values of the distance"
    return "its rows are added to those of another" if hasattr(attention, "second") or not attention.address else ""


def _lengths(record: Record, number: int, gates: Sequence[Tensor | None]) -> Tensor:
    """(h r k): w |(gate_i * scale * v_j) W_o|."""
    attention, gate = record.attention, gates[number]
    value = repeat_heads(record.value, attention.heads)[0].detach().double()  # (h k v)
    if isinstance(attention.ending.scale, HeadScale):
        value = value * attention.ending.scale.factor.detach().double()[:, None, None]
    heads, _, width = value.shape
    output = torch.eye(heads * width, dtype=torch.float64)
    if isinstance(attention.output, nn.Linear):
        output = attention.output.weight.detach().double().cpu().T
    by_head = output.view(heads, width, -1)
    square = by_head @ by_head.mT  # (h v v)
    value = value.cpu()
    if gate is None:
        lengths = torch.einsum("hkv,hvw,hkw->hk", value, square, value).clamp(min=0).sqrt().unsqueeze(1)
    else:
        own = gate[0].detach().double().cpu().expand(-1, -1, width)  # (h r v)
        outer = torch.einsum("hrv,hvw,hrw->hrvw", own, square, own)
        lengths = torch.einsum("hkv,hrvw,hkw->hrk", value, outer, value).clamp(min=0).sqrt()
    return weights_of(record).abs() * lengths


def _gradient(look: Look) -> Explained:
    found = Explained()
    outputs = [record.output for records in look.records.values() for record in records]
    gradients = iter(torch.autograd.grad(look.said, outputs, allow_unused=True, retain_graph=True))
    for address, records in look.records.items():
        mine = [next(gradients) for _ in records]
        if why := _no_values(look.attention(address)):
            found.refused[address] = why
            continue
        _add(found, look, "gradient", address, look.joined(address, partial(_owed, slopes=mine)))
    return found


def _owed(record: Record, number: int, slopes: Sequence[Tensor | None]) -> Tensor:
    """(h r k): w_ij (v_j . slope of what is said by the mixture of row i)."""
    slope, weights = slopes[number], weights_of(record)
    if slope is None:
        return torch.zeros_like(weights)
    value = repeat_heads(record.value, record.attention.heads)[0].detach().double()
    return weights * (slope[0].double() @ value.mT).cpu()


@torch.no_grad()
def _value_zeroing(look: Look) -> Explained:
    found = Explained()
    layers = {
        branch.body.address: (layer, name)
        for stack in look.model.stacks.values() if isinstance(stack, Transformer)
        for layer in stack.each_layer()
        for name, branch in layer.branches() if isinstance(branch.body, Attention)
    }  # fmt: skip
    for address in look.records:
        attention = look.attention(address)
        if address not in layers:
            found.refused[address] = "it is in no layer of a Transformer, whose output would be compared"
        elif layers[address][1] in layers[address][0].lenders:
            found.refused[address] = "its values are those of an earlier layer, which would lose them too"
        elif attention.shared or isinstance(attention, (LatentAttention, Running)):
            found.refused[address] = "its values are no part of their own: keys or latents would be zeroed too"
        else:
            _add(found, look, "value_zeroing", address, _zeroed(look, attention, layers[address][0]).unsqueeze(0))
    return found


def _zeroed(look: Look, attention: Attention, layer: Layer) -> Tensor:
    """(q k): how far each place of the layer's output turns without the value of each key."""
    keys = len(look.axes[attention.address].keys) - attention.ahead
    plain = _output(look.model, look.batch, layer)
    rows = {name: stream.select(torch.zeros(keys, dtype=torch.long)) for name, stream in look.batch.items()}
    keep = (1 - torch.eye(keys))[:, None, :, None]
    hook = attention.value_norm.register_forward_hook(lambda module, given, value: value * keep.to(value))
    try:
        without = _output(look.model, rows, layer)
    finally:
        hook.remove()
    turned = 1 - torch.cosine_similarity(without.double(), plain.double(), dim=2).T
    turned = turned.clamp(min=0)
    return turned / turned.sum(1, keepdim=True).clamp(min=1e-300)


def _output(model: Model, batch: Batch, layer: Layer) -> Tensor:
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, given, states: kept.append(states))
    try:
        model(batch, unseen)
    finally:
        hook.remove()
    return kept[-1]


def _own(look: Look) -> dict[str, list[str]]:
    """The addresses of self-attentions by stack, in the order of the forward pass."""
    found: dict[str, list[str]] = {}
    for address in look.records:
        if look.ends[address].kind == "self" and not address.endswith(".second"):
            found.setdefault(look.ends[address].stack, []).append(address)
    return found


def _map(look: Look, address: str) -> Matrix:
    """(h q k) without learned keys."""
    made: Matrix = look.weights(address)[..., look.ends[address].ahead :].numpy()
    return made


def _rollout(look: Look) -> Explained:
    found, last = Explained(), dict[str, Matrix]()
    for stack, addresses in _own(look).items():
        for address, one in zip(addresses, rollout([_map(look, each) for each in addresses]), strict=True):
            _add(found, look, "rollout", address, one[None])
            last[stack] = one
    for address, end in look.ends.items():
        if end.kind != "cross" or address not in look.records:
            continue
        mean = np.abs(_map(look, address)).mean(0)
        earlier = list(look.records)[: list(look.records).index(address)]
        before = rollout([_map(look, each) for each in _own(look).get(end.stack, []) if each in earlier])
        reading = before[-1] @ mean if before else mean
        fields = {name: stack.field for name, stack in look.model.stacks.items()}
        read = next((one for name, one in last.items() if fields[name] == end.keys and name != end.stack), None)
        _add(found, look, "rollout", address, (reading if read is None else reading @ read)[None])
    return found


def _flow(look: Look) -> Explained:
    found = Explained()
    for addresses in _own(look).values():
        *before, address = addresses
        maps = [_map(look, each) for each in addresses]
        _add(found, look, "flow", address, flow(maps, place=address)[None])
        found.refused |= dict.fromkeys(before, "flow is given for the last layer of a stack")
    for address, end in look.ends.items():
        if end.kind != "self" and address in look.records:
            found.refused[address] = "flow goes through layers whose places are the same tokens"
    return found


METHODS: dict[str, Callable[[Look], Explained]] = {
    "rollout": _rollout, "flow": _flow, "norm": _norm, "gradient": _gradient, "value_zeroing": _value_zeroing,
}  # fmt: skip
__all__ = ["METHODS", "Explained", "Explanation", "explain", "half_residual"]
