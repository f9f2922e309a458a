"""Attention by products of features, as sums that run over the keys. Mirrors Linear of attncli/spec/attention.py.

    weights = f(q) . f(k) / sum_k f(q) . f(k) over the keys that are seen

Katharopoulos et al. 2020, arXiv:2006.16236. The weights exist only where they are shown: kernels/linear.py gives the
outputs without them. In a packed row every text would need sums of its own, so the reference serves it.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.attention import Asked, Attention, Projected
from attncli.nn.cache import KeyValue
from attncli.nn.kernels import linear
from attncli.nn.kernels.plan import Choice
from attncli.nn.norms import build_norm
from attncli.nn.positions import Relative
from attncli.nn.scores import Product
from attncli.nn.steps import Ending
from attncli.nn.view import View
from attncli.nn.weighing import Weighing, build_weighing
from attncli.spec import attention as spec
from attncli.spec.masks import Mask

Feature = Literal["elu", "relu", "exp"]


Absorb = Callable[[Tensor | None, Tensor, Tensor], Tensor]
"""S after some more keys and values."""


class RunningSum(KeyValue):
    """S of all tokens so far, beside their keys and values.

    A step reads S alone. What a text was before it is cut back can only be told from its keys, which also make the maps
    of what is written; they take less room than an S for each token.
    """

    def __init__(self, capacity: int, absorb: Absorb) -> None:
        super().__init__(capacity)
        self._absorb = absorb
        self._sum: Tensor | None = None

    def append(self, *new: Tensor) -> tuple[Tensor, ...]:
        """Keys and values so far, and S before the new ones."""
        key, value = new
        before = self._absorb(None, key[:, :, :0], value[:, :, :0]) if self._sum is None else self._sum
        self._sum = self._absorb(before, key, value)
        return *super().append(*new), before

    def reorder(self, index: Tensor) -> None:
        super().reorder(index)
        self._sum = None if self._sum is None else self._sum[index]

    def crop(self, length: int) -> None:
        if length < self.length:
            key, value = (room[:, :, :length] for room in self._room)
            self._sum = self._absorb(None, key, value)
        super().crop(length)

    @property
    def bytes(self) -> int:
        own = 0 if self._sum is None else self._sum.numel() * self._sum.element_size()
        return super().bytes + own


class LinearAttention(Attention):
    """An attention whose asked queries and read keys are features, which are positive or 0."""

    def __init__(
        self, *, d_query: int, d_memory: int, d_output: int, heads: int, d_head: int, d_value: int, bias: bool,
        feature: Feature, mask: Mask, weighing: Weighing, context_norm: nn.Module,
    ) -> None:  # fmt: skip
        maps = ("query", "key", "value", "output")
        super().__init__(
            d_query=d_query, d_memory=d_memory, d_output=d_output, heads=heads, kv_heads=heads, maps_a_head=1,
            d_head=d_head, d_key=d_head, d_value=d_value, projections=maps, bias=maps if bias else (),
            query_norm=nn.Identity(), key_norm=nn.Identity(), value_norm=nn.Identity(), value_residual=None,
            persistent=None, score=Product(scale=1.0), position=Relative(), mask=mask, weighing=weighing,
            span=None, key_dropout=None,
            ending=Ending(norm=context_norm, scale=nn.Identity()), gate=None, dropout=0.0, steps=(), kernel="reference",
            shared=False, on_attention=False,
        )  # fmt: skip
        self.feature = feature

    def plan(self, *, device: str, dtype: str, training: bool) -> Choice:
        return Choice("linear", ("weights are products of features: sums serve every query, and none is held",))

    def cache(self, capacity: int) -> KeyValue:
        return RunningSum(capacity, linear.added)

    def ask(self, x: Tensor, view: View) -> Asked:
        return Asked(self._features(super().ask(x, view).query), None)

    def read(self, memory: Tensor, view: View, first: Tensor | None = None) -> Projected:
        """Features, 0 where there is no token, and values."""
        key, value = super().read(memory, view, first)
        real, key = view.key_real, self._features(key)
        return key if real is None else key.masked_fill(~real[:, None, :, None], 0.0), value

    def attend(self, asked: Asked, projected: Projected, view: View) -> Tensor:
        key, value, *before = projected
        ready = self.ready(asked, (key, value), view)
        if view.packed:
            return self.end(self.by_reference(ready, 0.0)[0], asked)
        state = before[0] if before else None
        if state is not None:
            key, value = (x[:, :, -asked.query.shape[2] :] for x in (key, value))
        causal = self.mask.text == "causal"
        mixed = linear.attend(asked.query, key, value, causal=causal, state=state).to(value.dtype)
        if view.tap is not None:
            self._tell(ready, None, None, None, mixed, "linear")
        return self.end(mixed, asked)

    def _features(self, x: Tensor) -> Tensor:
        match self.feature:
            case "elu":
                return F.elu(x) + 1
            case "relu":
                return x.relu()
            case "exp":
                return x.exp()


def build_linear(attention: spec.Linear, *, d_query: int, d_memory: int, d_output: int) -> LinearAttention:
    """The module of a linear attention."""
    return LinearAttention(
        d_query=d_query, d_memory=d_memory, d_output=d_output, heads=attention.heads, d_head=attention.d_head,
        d_value=attention.d_value, bias=attention.bias, feature=attention.feature, mask=attention.mask,
        weighing=build_weighing(attention, depth=0),
        context_norm=build_norm(attention.context_norm, width=attention.d_value),
    )  # fmt: skip
