"""One attention, for Transformers, recurrent decoders and pooling alike. Mirrors attncli/spec/attention.py.

    q, k, v = x W_q, m W_k, m W_v;  weights = normalizer(score(turn(q), turn(k)) + bias | visible);  (weights v) W_o

What else a position may add, and where, is listed in attncli/nn/positions/base.py.

Vaswani et al. 2017, arXiv:1706.03762, section 3.2; kv heads as in Ainslie et al. 2023, arXiv:2305.13245. The order of
the steps is fixed, and said in attncli/spec/attention.py. `ask` and `read` hold those up to the score, weighing.py
those from the score to the weights, `attend` the rest; steps.py has the small ones.
"""

from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from attncli.nn.affine import Linear
from attncli.nn.banding import span_of, unbanded, unchunked
from attncli.nn.cache import KeyValue
from attncli.nn.forgetful import KeyDropout
from attncli.nn.indexer import Asking, Indexer, build_indexer
from attncli.nn.kernels import reference
from attncli.nn.kernels.plan import Traits, Wanted
from attncli.nn.normalizers import Softmax
from attncli.nn.placing import angles_of, bias_trait, build_position, turned
from attncli.nn.positions import Relative, Rotary, Side
from attncli.nn.scores import Product, Score, build_score
from attncli.nn.selective import Marks, recalled
from attncli.nn.serving import Ready, Served, Trail
from attncli.nn.short import Short, build_short
from attncli.nn.spans import Predicted, build_predicted
from attncli.nn.steps import (
    Ending,
    Gate,
    OnAttention,
    Persistent,
    ValueResidual,
    build_ending,
    build_gate,
    build_key_dropout,
    build_persistent,
    build_qk_norm,
    build_v_norm,
)  # fmt: skip
from attncli.nn.view import View
from attncli.nn.watching import Watch
from attncli.nn.weighing import Weighing, build_weighing
from attncli.spec import attention as spec
from attncli.spec.fixed import Projection
from attncli.spec.masks import Mask

Projected = tuple[Tensor, ...]
"""Keys as the score reads them (b g k ·), values (b g k v), and what the position keeps beside them (b · k ·)."""


class Asked(NamedTuple):
    """What an attention makes of the states that ask."""

    query: Tensor  # (b m q e), turned
    gate: Tensor | None  # (b h q v|1), between 0 and 1
    back: tuple[Tensor, ...] | None = None  # the angles by which mixtures of turned keys are turned back
    states: Tensor | None = None  # (b q d_query), where the output map reads them
    demand: Tensor | None = None  # (b h q ·), what the position makes of the states
    indexed: Asking | None = None
    second: Any = None  # what second projections ask


class Attention(Served):
    """Heads that score, mask, normalize and mix; d_key is the width of a key as it is compared.

    A head has `maps_a_head` maps of weights (b m q k), each with a query and a key of its own, and one value for all.

    `read` makes keys and values, once; `ask` makes queries; `attend` joins them. A recurrent decoder calls them apart,
    `forward` calls all three. A query that sees no key receives zeros from every head.
    """

    def __init__(
        self, *, d_query: int, d_memory: int, d_output: int, heads: int, kv_heads: int, maps_a_head: int,
        d_head: int, d_key: int, d_value: int, projections: tuple[str, ...], bias: tuple[str, ...],
        query_norm: nn.Module, key_norm: nn.Module, value_norm: nn.Module, value_residual: ValueResidual | None,
        persistent: Persistent | None, score: Score, position: Relative, mask: Mask, weighing: Weighing,
        span: Predicted | None, key_dropout: KeyDropout | None, indexer: Indexer | None, ending: Ending,
        gate: Gate | None, dropout: float, steps: tuple[str, ...], kernel: Wanted, shared: bool, on_attention: bool,
        short: Short | None, watch: Watch | None,
    ) -> None:  # fmt: skip
        super().__init__()
        if "key" not in score.reads:
            # a map of keys that no one compares would be weights without a use
            projections = tuple(name for name in projections if name != "key")
        self.heads, self.kv_heads = heads, kv_heads
        self.maps, self.key_heads = heads * maps_a_head, kv_heads * maps_a_head
        self.query = _projection("query", d_query, self.maps * d_head, projections, bias)
        self.key = _projection("key", d_memory, self.key_heads * d_head, projections, bias)
        self.value = _projection("value", d_memory, kv_heads * d_value, projections, bias)
        self.output = _projection("output", heads * d_value, d_output, projections, bias)
        if on_attention:
            self.output = OnAttention(
                d_mixed=heads * d_value, d_query=d_query, d_output=d_output, bias="output" in bias
            )
        self.query_norm = query_norm
        self.key_norm = key_norm if "key" in score.reads else nn.Identity()
        self.value_norm = value_norm
        self.value_residual = value_residual
        self.persistent = persistent
        self.ahead = 0 if persistent is None else persistent.number
        self.shared = shared  # the keys are the values too
        self.short = short
        self.watch = watch
        self.score = score
        self.position = position
        self.mask = mask
        self.weighing = weighing
        self.span = span
        self.key_dropout = key_dropout
        self.indexer = indexer
        self.ending = ending
        self.gate = gate
        self.dropout = dropout
        self.address = ""
        self.traits = Traits(
            product=isinstance(score, Product), softmax=isinstance(weighing.normalizer, Softmax),
            bias=bias_trait(position), dropout=dropout, heads=heads, kv_heads=kv_heads, d_head=d_key,
            d_value=d_key if shared else d_value, mask=mask.text, steps=steps, span=span_of(mask, heads),
            far=mask.far(heads),
            unbanded=unbanded(
                score, position, weighing, span=span, persistent=persistent, key_dropout=key_dropout, indexer=indexer
            ),
            maps=self.maps, unchunked=unchunked(score, weighing, mask, indexer=indexer), wanted=kernel,
            triton=find_spec("triton") is not None,
        )  # fmt: skip

    @property
    def branches(self) -> bool:
        """Whether a row of keys may hold a tree of texts: a weight hangs on its own pair and on what is visible."""
        joins = self.score.sequential or self.weighing.joins_queries or self.span is not None
        keeps_tokens = type(self).cache is Attention.cache
        keeps_tokens &= self.short is None
        return keeps_tokens and self.position.pairs and not joins and self.mask.names <= {"q", "k", "h"}

    def stand(self, address: str, mask: Mask) -> None:
        """Take the place in a model from which it is known, and the mask as it is there."""
        self.address, self.mask = address, mask

    def cache(self, capacity: int) -> KeyValue:
        """Room for what `read` gives of `capacity` tokens."""
        return KeyValue(capacity) if self.weighing.selective is None else Marks(capacity)

    def forward(self, x: Tensor, memory: Tensor, view: View) -> Tensor:
        """Mix `memory` (b k d_memory) for each place of `x` (b q d_query); returns (b q d_output)."""
        return self.attend(self.ask(x, view), self.read(memory, view), view)

    def ask(self, x: Tensor, view: View) -> Asked:
        """Queries, normed and turned, and the gate of what they will be given."""
        query = self.query_norm(_split(self._near("query", self.query(x), view), self.maps))
        x = x[:, -query.shape[2] :]  # without what short convolution reads besides
        return Asked(
            turned(self.position, query, view, "query"),
            None if self.gate is None else self.gate(x),
            back=angles_of(self.position, view, "query") if self.shared else None,
            states=x if isinstance(self.output, OnAttention) else None,
            demand=self.position.demand(x),
            indexed=self._asks_index(x, view),
        )

    def read(self, memory: Tensor, view: View, first: Tensor | None = None) -> Projected:
        """Keys, turned and as the score reads them, and values. A score that reads no key gets keys of width 0.

        `first` are the values that the first layer's attention read at the same places. Keys that are the values too
        are kept once, as turned, beside values of width 0.
        """
        now = memory if self.short is None else memory[:, -view.key_positions.shape[1] :]
        kept = self.position.keep(now)
        if self.indexer is not None:
            kept = (*kept, self._turned_index(self.indexer.read(now), view, "key"))
        if self.weighing.selective is not None:
            kept = (*kept, reference.wide(now.new_empty(*now.shape[:2], 0).unsqueeze(1)))
        if self.shared:
            key = self._turned_key(memory, view)
            return key, key[..., :0], *kept
        value = self.value_norm(_split(self._near("value", self.value(memory), view), self.kv_heads))
        if self.value_residual is not None and first is not None:
            value = self.value_residual(value, first)
        if "key" not in self.score.reads:
            return value[..., :0], value, *kept
        return self._readable(self._turned_key(memory, view)), value, *kept

    def _turned_key(self, memory: Tensor, view: View) -> Tensor:
        key = self.key_norm(_split(self._near("key", self.key(memory), view), self.key_heads))
        return turned(self.position, key, view, "key")

    def _near(self, name: Projection, made: Tensor, view: View) -> Tensor:
        return made if self.short is None else self.short(name, made, view)

    def attend(self, asked: Asked, projected: Projected, view: View) -> Tensor:
        """Outputs (b q d_output) of queries that asked, over keys and values that were read."""
        return self.end(self.serve(self.ready(asked, projected, view)), asked)

    def end(self, mixed: Tensor, asked: Asked) -> Tensor:
        """Mixtures (b h q v) to outputs (b q d_output)."""
        if asked.back is not None:
            mixed = self.position.back(mixed, asked.back)
        joined = self.ending(mixed, asked.gate).transpose(1, 2).flatten(2)
        out: Tensor = self.output(joined if asked.states is None else torch.cat((joined, asked.states), -1))
        return out

    def ready(self, asked: Asked, projected: Projected, view: View) -> Ready:
        """What a kernel reads, with the persistent keys in front of the others."""
        key, value, *kept = projected
        if self.watch is not None and self.training:
            self._look(self.watch, asked.query, key, view)
        if self.shared:
            key, value = self._readable(key), key
        trail: Trail = ()
        marks = None
        if self.weighing.selective is not None:
            trail, marks = recalled(kept.pop(), queries=asked.query.shape[2], ahead=self.ahead)
        index = None
        if self.indexer is not None and asked.indexed is not None:
            index = self.indexer.scores(asked.indexed, kept.pop())
        query = self.position.ask(asked.query)
        ready = Ready(query, key, value, tuple(kept), view, asked.query, trail, marks, index, demand=asked.demand)
        if self.persistent is None:
            return ready
        own = (self._readable(self.persistent.key.unsqueeze(0)), self.persistent.values.unsqueeze(0))
        key, value = (
            torch.cat((mine.to(read.dtype).expand(len(read), -1, -1, -1), read), 2)
            for mine, read in zip(own, (key, value), strict=True)
        )
        return ready._replace(key=key, value=value)

    def _asks_index(self, x: Tensor, view: View) -> Asking | None:
        if self.indexer is None:
            return None
        asking = self.indexer.ask(x)
        return asking._replace(query=self._turned_index(asking.query, view, "query"))

    def _turned_index(self, x: Tensor, view: View, side: Side) -> Tensor:
        """What a rotation does to queries and keys; other positions know the heads and widths of their attention."""
        return turned(self.position, x, view, side) if isinstance(self.position, Rotary) else x

    def _look(self, watch: Watch, query: Tensor, key: Tensor, view: View) -> None:
        assert isinstance(self.score, Product)
        visible = view.visible(self.mask, self.heads)
        watch.look(
            self.score.ask(query) * self.score.scale, reference.repeat_heads(key, self.maps),
            None if visible is None else self.weighing.spread(visible), view.query_real,
        )  # fmt: skip

    def _readable(self, key: Tensor) -> Tensor:
        """A score has weights for each query head, so what it makes of a key is made for each head that reads it."""
        makes = self.key_heads != self.maps and any(True for _ in self.score.parameters()) and not self.traits.product
        return self.score.read(reference.repeat_heads(key, self.maps) if makes else key)


def _projection(name: str, inputs: int, outputs: int, projections: tuple[str, ...], bias: tuple[str, ...]) -> nn.Module:
    return Linear(inputs, outputs, bias=name in bias) if name in projections else nn.Identity()


def _split(x: Tensor, heads: int) -> Tensor:
    """(b n heads*e) to (b heads n e)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def build_watch(attention: spec.MultiHead) -> Watch | None:
    """What looks for large scores; None where nothing is clipped. A key of a head alone is scaled with its query."""
    if attention.qk_clip is None:
        return None
    own = attention.kv_heads == attention.heads and attention.values == "own" and attention.kv_from is None
    return Watch(tau=attention.qk_clip, own_key=own and "key" in attention.projections)


def build_attention(
    attention: spec.MultiHead, *, d_query: int, d_memory: int, d_output: int, position: Relative | None = None,
    depth: int = 0,
) -> Attention:  # fmt: skip
    """The module of an attention that asks from d_query, reads d_memory and gives d_output features.

    `position` is given where a stack shares one table among its layers; `depth` counts the layers before it.
    """
    widths = {"d_query": d_query, "d_memory": d_memory, "d_output": d_output}
    return Attention(mask=attention.mask, **parts_of(attention, **widths, position=position, depth=depth))


def parts_of(
    attention: spec.MultiHead, *, d_query: int, d_memory: int, d_output: int, position: Relative | None, depth: int
) -> dict[str, Any]:
    """What an attention is made of, but for its mask."""
    heads, kv_heads, projections = attention.heads, attention.kv_heads, attention.projections
    maps, key_heads = heads * attention.maps_a_head, kv_heads * attention.maps_a_head
    ask = attention.d_head if attention.maps("query") else d_query // maps
    read = attention.d_head if attention.maps("key") else d_memory // key_heads
    value = attention.d_value if attention.maps("value") else d_memory // kv_heads
    position = position or build_position(attention, d_model=d_query)
    return dict(  # noqa: C408 (the keys of a call)
        d_query=d_query, d_memory=d_memory, d_output=d_output, heads=heads, kv_heads=kv_heads,
        maps_a_head=attention.maps_a_head, d_head=attention.d_head, d_key=read * position.widens, d_value=value,
        projections=projections, bias=attention.bias,
        query_norm=build_qk_norm(attention.qk_norm, heads=maps, width=ask),
        key_norm=nn.Identity() if attention.kv_from else build_qk_norm(attention.qk_norm, heads=key_heads, width=read),
        value_norm=build_v_norm(attention.v_norm, kv_heads=kv_heads, width=value),
        value_residual=ValueResidual() if attention.value_residual == "first" else None,
        persistent=build_persistent(attention, d_key=read, d_value=value),
        score=build_score(attention.score, heads=maps, d_query=ask, d_key=read, d_value=value),
        position=position,
        weighing=build_weighing(attention, depth=depth),
        span=build_predicted(attention.span, heads=heads, width=ask),
        key_dropout=build_key_dropout(attention),
        indexer=build_indexer(attention.select, d_query=d_query, d_memory=d_memory),
        ending=build_ending(attention, width=value, depth=depth),
        gate=build_gate(attention, d_query=d_query, width=value),
        dropout=attention.dropout, steps=attention.without_kernel, kernel=attention.kernel,
        shared=attention.values == "keys", on_attention=attention.output == "attention_on_attention",
        watch=build_watch(attention),
        short=build_short(attention, query=maps * ask, key=key_heads * read, value=kv_heads * value),
    )  # fmt: skip
