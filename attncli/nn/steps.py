"""The small steps inside one attention. Mirrors attncli/spec/steps.py; their order is that of attncli/nn/attention.py
and attncli/nn/weighing.py."""

from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import pad

from attncli.nn.affine import Linear
from attncli.nn.differential import build_settled
from attncli.nn.forgetful import KeyDropout
from attncli.nn.norms import build_norm
from attncli.spec import norms
from attncli.spec import steps as spec
from attncli.spec.attention import AnyAttention, CrossAttention


class OverHeads(nn.Module):
    """A norm of vectors that lie in heads: (b h n e) to the same shape.

    over head: each head's vector, with one gain for all; over projection: the heads of a place are one vector.
    """

    def __init__(self, *, norm: nn.Module, over: str) -> None:
        super().__init__()
        self.norm = norm
        self.over = over

    def forward(self, x: Tensor) -> Tensor:
        if self.over == "head":
            out: Tensor = self.norm(x)
            return out
        whole = self.norm(x.transpose(1, 2).flatten(2))
        parted: Tensor = whole.unflatten(2, (x.shape[1], x.shape[3])).transpose(1, 2)
        return parted


class EachHead(nn.Module):
    """A norm for each head: (b h n e) to the same shape."""

    def __init__(self, *, norms: list[nn.Module]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norms)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([norm(x[:, head]) for head, norm in enumerate(self.norms)], 1)


class ValueResidual(nn.Module):
    """a V + b V_1 for values V of a layer and V_1 of the first one, both (b g n v). Zhou et al. 2024, eq. 5."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, value: Tensor, first: Tensor) -> Tensor:
        mix = self.mix.to(value.dtype)
        return mix[0] * value + mix[1] * first


class Persistent(nn.Module):
    """n learned keys (g n e) and values (g n v), which may be the keys. Sukhbaatar et al. 2019, eq. 9."""

    def __init__(
        self, *, kv_heads: int, key_heads: int, number: int, d_key: int, d_value: int, shared: bool
    ) -> None:  # fmt: skip
        super().__init__()
        self.number = number
        self.key = nn.Parameter(torch.empty(key_heads, number, d_key))
        self.value = None if shared else nn.Parameter(torch.empty(kv_heads, number, d_value))

    @property
    def values(self) -> Tensor:
        """(g n v)."""
        return self.key if self.value is None else self.value


class Temperature(nn.Module):
    """1 + scale ln(1 + floor((p + 1) / floor)) of the positions p of queries (b|1 q), as (b|1 1 q 1)."""

    def __init__(self, *, scale: float, floor: int) -> None:
        super().__init__()
        self.scale = scale
        self.floor = floor

    def forward(self, positions: Tensor) -> Tensor:
        level = (positions + 1).div(self.floor, rounding_mode="floor")
        return (1 + self.scale * level.double().log1p())[:, None, :, None]


class Talking(nn.Module):
    """P X over the heads of X (b h q k), P the identity at the start. Shazeer et al. 2020, arXiv:2003.02436, figure 1.

    Cost: h b h q k.
    """

    def __init__(self, *, heads: int) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.eye(heads))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("hi,biqk->bhqk", self.mix.to(x.dtype), x)


TIED = 64
"""Roundings by which two scores may differ that are taken to tie."""


class Top(nn.Module):
    """Which of the visible keys are among the `keys` best of their row, those that tie with the last one too.

    Zhao et al. 2019, arXiv:1912.11637, eq. 5. `ahead` keys in front are neither counted nor left out.
    """

    def __init__(self, *, keys: int, ahead: int) -> None:
        super().__init__()
        self.keys = keys
        self.ahead = ahead

    def forward(self, logits: Tensor, visible: Tensor | None) -> Tensor:
        """Bool (b h q k) for logits (b h q k)."""
        seen = None if visible is None else visible.expand_as(logits)
        left = best_of(logits[..., self.ahead :], None if seen is None else seen[..., self.ahead :], self.keys)
        left = pad(left, (self.ahead, 0), value=True)
        return left if seen is None else left & seen


def best_of(scores: Tensor, visible: Tensor | None, keys: int) -> Tensor:
    """Which keys of each row are visible and among the `keys` best of those, or tie with the last of them.

    Keys of equal tokens score alike, but for last places that hang on the shape of the batch: those must not decide.
    """
    rivals = scores.detach()
    rivals = rivals if visible is None else torch.where(visible, rivals, -torch.inf)
    best = rivals.topk(min(keys, rivals.shape[-1]), sorted=True).values[..., -1:]
    best = best - TIED * torch.finfo(best.dtype).eps * best.abs()
    return rivals >= best if visible is None else (rivals >= best) & visible


class Sink(nn.Module):
    """A logit (h) for each head that takes its share of a row and stands for no value; 0 at the start, or for good."""

    def __init__(self, *, heads: int, learned: bool) -> None:
        super().__init__()
        self.heads = heads
        self.logit = nn.Parameter(torch.zeros(heads)) if learned else None

    def forward(self, like: Tensor) -> Tensor:
        return like.new_zeros(self.heads) if self.logit is None else self.logit.to(like.dtype)


class HeadScale(nn.Module):
    """A factor for each head: (b h q v) to the same shape. Shleifer et al. 2021, arXiv:2110.09456, section 2."""

    def __init__(self, *, heads: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(heads))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor.view(-1, 1, 1).to(x.dtype)


class Gate(nn.Module):
    """sigmoid(x W) of states (b q d), as (b h q v), or (b h q 1) where `width` is 1. Qiu et al. 2025."""

    def __init__(self, *, d_query: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.map = Linear(d_query, heads * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gates: Tensor = self.map(x).sigmoid().unflatten(2, (self.heads, -1))
        return gates.transpose(1, 2)


class OnAttention(Linear):
    """(W [c, x] + b) * sigmoid(W' [c, x] + b') of mixtures c and the states x that asked: (b q ·) to (b q d_output).

    Huang et al. 2019, arXiv:1908.06954, eq. 3 to 6.
    """

    def __init__(self, *, d_mixed: int, d_query: int, d_output: int, bias: bool) -> None:
        super().__init__(d_mixed + d_query, 2 * d_output, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(super().forward(input))


class Ending(nn.Module):
    """context norm, head scale, gate: from the mixtures of the heads (b h q v) to what the output map reads."""

    def __init__(self, *, norm: nn.Module, scale: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.scale = scale

    def forward(self, mixed: Tensor, gate: Tensor | None) -> Tensor:
        context: Tensor = self.scale(self.norm(mixed))
        return context if gate is None else context * gate.to(context.dtype)


def build_qk_norm(norm: spec.QkNorm, *, heads: int, width: int) -> nn.Module:
    """The norm of the queries, or of the keys, of `heads` heads."""
    if isinstance(norm, norms.NoNorm):
        return nn.Identity()
    made = build_norm(norm, width=width if norm.over == "head" else heads * width)
    return OverHeads(norm=made, over=norm.over)


def build_v_norm(norm: norms.Norm, *, kv_heads: int, width: int) -> nn.Module:
    """The norms of the values, one for each kv head."""
    if isinstance(norm, norms.NoNorm):
        return nn.Identity()
    return EachHead(norms=[build_norm(norm, width=width) for _ in range(kv_heads)])


def build_ending(attention: AnyAttention, *, width: int, depth: int) -> Ending:
    """What follows the mixtures of an attention in layer `depth`."""
    learned = attention.head_scale == "learned"
    scale = HeadScale(heads=attention.heads) if learned else nn.Identity()
    norm = build_settled(attention, build_norm(attention.context_norm, width=width), depth=depth)
    return Ending(norm=norm, scale=scale)


def build_gate(attention: AnyAttention, *, d_query: int, width: int) -> Gate | None:
    """The gate of an attention; None where there is none."""
    if attention.gate == "none":
        return None
    return Gate(d_query=d_query, heads=attention.heads, width=width if attention.gate == "sigmoid" else 1)


def build_temperature(temperature: spec.LengthTemperature) -> Temperature | None:
    """The factor on the scores; None where there is none."""
    match temperature:
        case spec.NoTemperature():
            return None
        case spec.Llama4Temperature():
            return Temperature(scale=temperature.scale, floor=temperature.floor)
        case _:
            assert_never(temperature)


def build_select(select: spec.Select, *, ahead: int) -> Top | None:
    """What chooses among the keys that are seen; None where all are."""
    match select:
        case spec.All() | spec.Indexer():
            return None
        case spec.Top():
            return Top(keys=select.keys, ahead=ahead)
        case _:
            assert_never(select)


def build_key_dropout(attention: AnyAttention) -> KeyDropout | None:
    """What hides keys while training; None where nothing does."""
    if not attention.key_dropout:
        return None
    return KeyDropout(most=attention.key_dropout, own=not isinstance(attention, CrossAttention))


def build_persistent(attention: AnyAttention, *, d_key: int, d_value: int) -> Persistent | None:
    """The learned keys and values; None where there are none."""
    number, kv_heads = attention.persistent, attention.kv_heads
    if not number:
        return None
    key_heads = kv_heads * attention.maps_a_head
    return Persistent(
        kv_heads=kv_heads, key_heads=key_heads, number=number, d_key=d_key, d_value=d_value,
        shared=attention.values == "keys",
    )  # fmt: skip
