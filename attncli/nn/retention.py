"""Retention: products of queries and keys that fall with their distance, and no normalizer. Mirrors
attncli/spec/retention.py.

    weights = (turn(q) . turn(k) / sqrt(d_head)) g^(q - k);  output = (silu(x W) * norm(weights v)) W_o

Sun et al. 2023, arXiv:2307.08621, eq. 5 to 8. The weights exist only where they are shown: kernels/retention.py gives
the outputs without them, but for packed rows, in which every text would need sums of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.attention import Asked, Attention, Projected
from attncli.nn.cache import KeyValue
from attncli.nn.kernels import retention
from attncli.nn.kernels.plan import Choice
from attncli.nn.linear import RunningSum
from attncli.nn.normalizers import Pointwise
from attncli.nn.norms import build_norm
from attncli.nn.placing import build_position
from attncli.nn.positions import Relative
from attncli.nn.scores import Product
from attncli.nn.steps import Ending
from attncli.nn.view import View
from attncli.nn.weighing import Seen, Weighed, Weighing
from attncli.spec.masks import Mask
from attncli.spec.retention import Retention as Spec


def decay_of(heads: int) -> Tensor:
    """g of each head, 1 - 2^(-5 - h), in float64."""
    return 1 - 2.0 ** (-5 - torch.arange(heads, dtype=torch.float64, device="cpu"))


class Decayed(Weighing):
    """Scores times g^(q - k), and 0 where nothing is seen."""

    def __init__(self, *, heads: int) -> None:
        super().__init__(
            temperature=None, cap=None, before=None, selective=None, select=None, sink=None,
            normalizer=Pointwise(activation="relu", divides=False), reach=None, after=None, difference=None,
        )  # fmt: skip
        self.heads = heads

    def forward(self, logits: Tensor, seen: Seen) -> Weighed:
        rates = decay_of(self.heads).to(logits.device, logits.dtype).view(-1, 1, 1)
        away = (seen.query_positions.unsqueeze(-1) - seen.key_positions.unsqueeze(-2)).unsqueeze(1)
        weights = logits * rates ** away.clamp(min=0)
        return Weighed(weights if seen.visible is None else weights.masked_fill(~seen.visible, 0.0), None)


class Retention(Attention):
    """An attention of fixed decay; S is its cache."""

    def __init__(
        self, *, d_query: int, d_memory: int, d_output: int, heads: int, d_head: int, d_value: int, bias: bool,
        position: Relative, mask: Mask, context_norm: nn.Module,
    ) -> None:  # fmt: skip
        maps = ("query", "key", "value", "output")
        super().__init__(
            d_query=d_query, d_memory=d_memory, d_output=d_output, heads=heads, kv_heads=heads, maps_a_head=1,
            d_head=d_head, d_key=d_head * position.widens, d_value=d_value, projections=maps, bias=maps if bias else (),
            query_norm=nn.Identity(), key_norm=nn.Identity(), value_norm=nn.Identity(), value_residual=None,
            persistent=None, score=Product(scale=d_head**-0.5), position=position, mask=mask,
            weighing=Decayed(heads=heads), span=None, key_dropout=None,
            ending=Ending(norm=context_norm, scale=nn.Identity()), gate=None, dropout=0.0, steps=(), kernel="reference",
            shared=False, on_attention=False,
        )  # fmt: skip
        self.swish = nn.Linear(d_query, heads * d_value, bias=False)

    def plan(self, *, device: str, dtype: str, training: bool) -> Choice:
        return Choice("linear", ("weights fall by a fixed factor a place: one sum serves every query",))

    def cache(self, capacity: int) -> KeyValue:
        return RunningSum(capacity, lambda before, key, value: retention.absorbed(before, key, value, self._decay(key)))

    def ask(self, x: Tensor, view: View) -> Asked:
        gate = F.silu(self.swish(x)).reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)
        return Asked(super().ask(x, view).query, gate)

    def read(self, memory: Tensor, view: View, first: Tensor | None = None) -> Projected:
        """Keys, 0 where there is no token, and values."""
        key, value, *_ = super().read(memory, view, first)
        real = view.key_real
        return key if real is None else key.masked_fill(~real[:, None, :, None], 0.0), value

    def attend(self, asked: Asked, projected: Projected, view: View) -> Tensor:
        key, value, *before = projected
        ready = self.ready(asked, (key, value), view)
        if view.packed:
            return self.end(self.by_reference(ready, 0.0)[0], asked)
        if before:
            key, value = (x[:, :, -asked.query.shape[2] :] for x in (key, value))
        mixed = retention.attend(ready.query, key, value, self._decay(key), state=before[0] if before else None)
        mixed = (mixed * self._scale).to(value.dtype)
        if view.tap is not None:
            self._tell(ready, None, None, None, mixed, "linear")
        return self.end(mixed, asked)

    @property
    def _scale(self) -> float:
        assert isinstance(self.score, Product)
        return self.score.scale

    def _decay(self, like: Tensor) -> Tensor:
        return decay_of(self.heads).to(like.device)


def build_retention(attention: Spec, *, d_query: int, d_memory: int, d_output: int) -> Retention:
    """The module of a retention."""
    return Retention(
        d_query=d_query, d_memory=d_memory, d_output=d_output, heads=attention.heads, d_head=attention.d_head,
        d_value=attention.d_value, bias=attention.bias, position=build_position(attention, d_model=d_query),
        mask=attention.mask, context_norm=build_norm(attention.context_norm, width=attention.d_value),
    )  # fmt: skip
