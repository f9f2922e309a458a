"""Attention that writes over what it remembers. Mirrors attncli/spec/delta.py.

    S = a S + b k (v - a S'k)';  output = (silu(x W) * norm(S'q / sqrt(d_head))) W_o

Yang et al. 2024, arXiv:2406.06484 (a = 1); Yang, Kautz and Hatamizadeh 2024, arXiv:2412.06464, eq. 10. q, k and v are
silu of a short convolution of the mapped states. A cache keeps the mapped states themselves beside S, since the
convolution of the next tokens reads the last ones; kernels/delta.py has the chunks and the weights that they imply.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.attention import Asked, Projected
from attncli.nn.kernels import delta
from attncli.nn.kernels.reference import repeat_heads, wide
from attncli.nn.norms import build_norm
from attncli.nn.positions import Relative
from attncli.nn.running import Running
from attncli.nn.scores import Product
from attncli.nn.serving import Ready
from attncli.nn.view import Record, View
from attncli.nn.weighing import Weighed, Weighing, build_weighing
from attncli.spec import delta as spec
from attncli.spec.masks import Mask

EPSILON = 1e-6
"""Beside the squared length of a query or key, as in the authors' code."""


class ShortConvolution(nn.Module):
    """Each of the last tokens times a weight of its distance, feature by feature: (b n c) to (b n c).

    Weights (c taps), the newest token's last. Before the first token of a text there is nothing.
    """

    def __init__(self, *, channels: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, taps))

    def forward(self, x: Tensor, documents: Tensor | None) -> Tensor:
        weight = self.weight.to(x.dtype)
        mixed = x * weight[:, -1]
        for lag in range(1, min(weight.shape[1], x.shape[1])):
            earlier = x[:, :-lag] * weight[:, -1 - lag]
            if documents is not None:
                earlier = earlier * (documents[:, lag:] == documents[:, :-lag]).unsqueeze(-1)
            mixed = mixed + F.pad(earlier, (0, 0, lag, 0))
        return mixed


class Fade(nn.Module):
    """ln a of each head (b h n), at most 0: -e^r softplus(x W + c), in float32 or wider."""

    def __init__(self, *, d_query: int, heads: int) -> None:
        super().__init__()
        self.map = Linear(d_query, heads, bias=False)
        self.rate = nn.Parameter(torch.empty(heads))
        self.offset = nn.Parameter(torch.empty(heads))

    def forward(self, x: Tensor) -> Tensor:
        step = F.softplus(wide(self.map(x)) + self.offset)
        fade: Tensor = -self.rate.exp() * step
        return fade.mT

    def draw(self) -> None:
        """First values as in Mamba-2: e^r even in 1 to 16; steps, softplus(c), even in the logarithm, 0.001 to 0.1."""
        nn.init.uniform_(self.rate, 1, 16).log_()
        step = nn.init.uniform_(self.offset, -3, -1).mul_(torch.tensor(10.0).log()).exp_()
        step.copy_(step.expm1().log())


class Parts(NamedTuple):
    """What the rule reads: queries and keys of length 1 (b h n e), values (b h n v), b and ln a (b h n)."""

    query: Tensor
    key: Tensor
    value: Tensor
    strength: Tensor
    fade: Tensor


class DeltaRule(Running):
    """An attention by the delta rule; what it reads of a token is its mapped state, b and ln a."""

    REASON = "tokens write into one memory: a triangular system a chunk serves every query, and no weight is held"

    def __init__(
        self, *, d_query: int, d_memory: int, d_output: int, heads: int, qk_heads: int, d_head: int, d_value: int,
        bias: bool, taps: int | None, gates: bool, fades: bool, mask: Mask, weighing: Weighing, context_norm: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__(
            d_query=d_query, d_memory=d_memory, d_output=d_output, heads=heads, d_head=d_head, d_key=d_head,
            d_value=d_value, bias=bias, score=Product(scale=d_head**-0.5), position=Relative(), mask=mask,
            weighing=weighing, context_norm=context_norm,
        )  # fmt: skip
        self.query = Linear(d_query, qk_heads * d_head, bias=bias)
        self.key = Linear(d_memory, qk_heads * d_head, bias=bias)
        self.widths = [qk_heads * d_head, qk_heads * d_head, heads * d_value]
        self.qk_heads = qk_heads
        self.taps = taps or 1
        self.convolution = None if taps is None else ShortConvolution(channels=sum(self.widths), taps=taps)
        self.strength = Linear(d_query, heads, bias=False)
        self.fade = Fade(d_query=d_query, heads=heads) if fades else None
        self.swish = Linear(d_query, heads * d_value, bias=False) if gates else None

    def ask(self, x: Tensor, view: View) -> Asked:
        """The gate. Queries are made where keys are, since the convolution reads earlier tokens of both."""
        gate = None if self.swish is None else F.silu(self._heads(self.swish(x), self.heads))
        return Asked(x.unsqueeze(1)[..., :0], gate)

    def read(self, memory: Tensor, view: View, first: Tensor | None = None) -> Projected:
        """Mapped states (b 1 n c) of query, key and value, 0 where there is no token, and b and ln a (b h n 2)."""
        mapped = torch.cat((self.query(memory), self.key(memory), self.value(memory)), -1).unsqueeze(1)
        strength = wide(self.strength(memory)).sigmoid().mT
        fade = torch.zeros_like(strength) if self.fade is None else self.fade(memory)
        rates, real = torch.stack((strength, fade.to(strength.dtype)), -1), view.key_real
        return mapped if real is None else mapped.masked_fill(~real[:, None, :, None], 0.0), rates

    def parts(self, read: Projected, new: int, documents: Tensor | None) -> Parts:
        """What the rule reads of the last `new` tokens."""
        mapped, rates = read
        near = mapped[:, 0, max(0, mapped.shape[2] - new - self.taps + 1) :]
        mixed = near if self.convolution is None else self.convolution(near, documents)
        parts = torch.split(F.silu(mixed[:, mixed.shape[1] - new :]), self.widths, -1)
        query, key = (repeat_heads(_unit(self._heads(each, self.qk_heads)), self.heads) for each in parts[:2])
        rates = rates[:, :, rates.shape[2] - new :]
        return Parts(query, key, self._heads(parts[2], self.heads), rates[..., 0], rates[..., 1])

    def absorb(self, before: Tensor | None, read: Projected, start: int) -> Tensor:
        parts = self.parts(read, read[0].shape[2] - start, None)
        return delta.attend(*parts._replace(query=parts.key), state=before, documents=None)[1]

    def attend(self, asked: Asked, projected: Projected, view: View) -> Tensor:
        mapped, rates, *before = projected
        documents = view.query_documents if view.packed else None
        parts = self.parts((mapped, rates), asked.query.shape[2], documents)
        scaled = parts._replace(query=parts.query * self._scale)
        mixed, _ = delta.attend(*scaled, state=before[0] if before else None, documents=documents)
        mixed = mixed.to(mapped.dtype)
        if view.tap is not None:
            ready = self.ready(asked, (mapped, rates), view)
            self._tell(ready, None, self._implied(ready), None, mixed, "linear")
        return self.end(mixed, asked)

    def ready(self, asked: Asked, projected: Projected, view: View) -> Ready:
        """Keys and values of all tokens, with b and ln a as what is known of them."""
        mapped, rates, *_ = projected
        parts = self.parts((mapped, rates), mapped.shape[2], view.query_documents if view.packed else None)
        query = parts.query[:, :, mapped.shape[2] - asked.query.shape[2] :]
        return Ready(query, parts.key, parts.value, (), view, query, (parts.strength, parts.fade))

    def by_reference(self, ready: Ready, dropout: float) -> tuple[Tensor, Weighed]:
        """Mixtures (b h q v) by way of the weights that the rule implies."""
        weights = self._implied(ready)
        mixed = torch.matmul(weights.to(ready.value.dtype), ready.value)
        if ready.view.tap is not None:
            self._tell(ready, None, weights, None, mixed, "reference")
        return mixed, Weighed(weights, None)

    def weights(self, record: Record, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Those that the record holds: a row of them hangs on all keys, so none can be made of a part."""
        assert record.weights is not None
        return record.weights.to(dtype)

    def _implied(self, ready: Ready) -> Tensor:
        with torch.autocast(ready.key.device.type, enabled=False):
            query, key, *rates = (wide(x) for x in (ready.query, ready.key, *ready.trail))
            return delta.implied(query * self._scale, key, *rates, visible=self._seen(ready).visible)

    @property
    def _scale(self) -> float:
        assert isinstance(self.score, Product)
        return self.score.scale

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        """(b n heads*e) to (b heads n e), of no token too."""
        return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(1, 2)


def _unit(x: Tensor) -> Tensor:
    """Vectors of length 1, in float32 or wider."""
    with torch.autocast(x.device.type, enabled=False):
        x = wide(x)
        unit: Tensor = x * (x.square().sum(-1, keepdim=True) + EPSILON).rsqrt()
        return unit


def build_delta(attention: spec.Delta | spec.GatedDelta, *, d_query: int, d_memory: int, d_output: int) -> DeltaRule:
    """The module of an attention by the delta rule."""
    return DeltaRule(
        d_query=d_query, d_memory=d_memory, d_output=d_output, heads=attention.heads, qk_heads=attention.qk_heads,
        d_head=attention.d_head, d_value=attention.d_value, bias=attention.bias, taps=attention.short_convolution,
        gates=attention.gate == "silu", fades=isinstance(attention, spec.GatedDelta), mask=attention.mask,
        weighing=build_weighing(attention, depth=0),
        context_norm=build_norm(attention.context_norm, width=attention.d_value),
    )  # fmt: skip
