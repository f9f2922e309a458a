"""Attention whose outputs a sum gives that runs over the keys. Mirrors attncli/spec/running.py.

    S = absorb(S, keys, values);  outputs = run(queries, S)

No weight is held; the weights that the outputs imply exist where they are shown, and in packed rows, in which every
text would need sums of its own: the reference serves those.
"""

from collections.abc import Callable

from torch import Tensor, nn

from attncli.nn.attention import Asked, Attention, Projected
from attncli.nn.cache import KeyValue
from attncli.nn.kernels.plan import Choice, Size
from attncli.nn.positions import Relative
from attncli.nn.scores import Product
from attncli.nn.steps import Ending
from attncli.nn.view import View
from attncli.nn.weighing import Weighing
from attncli.spec.masks import Mask

Absorb = Callable[[Tensor | None, Projected, int], Tensor]
"""S after what `read` gave of the tokens from a place on, of all so far; None: nothing was in S before them."""


class RunningSum(KeyValue):
    """S of all tokens so far, beside what was read of them.

    A step reads S alone. What a text was before it is cut back can only be told from its keys, which also make the maps
    of what is written; they take less room than an S for each token.
    """

    def __init__(self, capacity: int, absorb: Absorb) -> None:
        super().__init__(capacity)
        self._absorb = absorb
        self._sum: Tensor | None = None

    def append(self, *new: Tensor) -> tuple[Tensor, ...]:
        """What was read so far, and S before the new tokens."""
        start = self.length
        so_far = super().append(*new)
        before = self._absorb(None, so_far, self.length) if self._sum is None else self._sum
        self._sum = self._absorb(before, so_far, start)
        return *so_far, before

    def reorder(self, index: Tensor) -> None:
        super().reorder(index)
        self._sum = None if self._sum is None else self._sum[index]

    def crop(self, length: int) -> None:
        if length < self.length:
            self._sum = self._absorb(None, tuple(room[:, :, :length] for room in self._room), 0)
        super().crop(length)

    @property
    def bytes(self) -> int:
        own = 0 if self._sum is None else self._sum.numel() * self._sum.element_size()
        return super().bytes + own


class Running(Attention):
    """An attention of which a kind tells `absorb` and `run`; S is its cache."""

    REASON: str
    """Why sums serve it."""

    def __init__(
        self, *, d_query: int, d_memory: int, d_output: int, heads: int, d_head: int, d_key: int, d_value: int,
        bias: bool, score: Product, position: Relative, mask: Mask, weighing: Weighing, context_norm: nn.Module,
    ) -> None:  # fmt: skip
        maps = ("query", "key", "value", "output")
        super().__init__(
            d_query=d_query, d_memory=d_memory, d_output=d_output, heads=heads, kv_heads=heads, maps_a_head=1,
            d_head=d_head, d_key=d_key, d_value=d_value, projections=maps, bias=maps if bias else (),
            query_norm=nn.Identity(), key_norm=nn.Identity(), value_norm=nn.Identity(), value_residual=None,
            persistent=None, score=score, position=position, mask=mask, weighing=weighing, span=None,
            key_dropout=None, indexer=None, shared=False, on_attention=False, short=None, watch=None,
            ending=Ending(norm=context_norm, scale=nn.Identity()), gate=None, dropout=0.0, steps=(), kernel="reference",
        )  # fmt: skip

    def plan(self, *, device: str, dtype: str, training: bool, size: Size | None) -> Choice:
        return Choice("linear", (self.REASON,))

    def cache(self, capacity: int) -> KeyValue:
        return RunningSum(capacity, self.absorb)

    def absorb(self, before: Tensor | None, read: Projected, start: int) -> Tensor:
        """S after the tokens from `start` on of those that were read; `before` is S of the others."""
        raise NotImplementedError("a kind gives its own sum")

    def run(self, query: Tensor, key: Tensor, value: Tensor, state: Tensor | None) -> Tensor:
        """Mixtures (b h q v) of queries and the keys and values of their own places, after `state`."""
        raise NotImplementedError("a kind gives its own mixtures")

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
        mixed = self.run(ready.query, key, value, before[0] if before else None).to(value.dtype)
        if view.tap is not None:
            self._tell(ready, None, None, None, mixed, "linear")
        return self.end(mixed, asked)
