"""What serves one attention: queries, keys and values to mixtures, by the kernel that the plan names.

Part of attncli/nn/attention.py, which makes the queries, keys and values and maps the mixtures to outputs. Every kernel
gives what `by_reference` gives to rounding; a tap is told what the kernel read, so that its weights can be made anew.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from attncli.nn.banding import band_of, far_in, folded, hidden_in, rows_apart, tile_of, unfolded
from attncli.nn.flexing import flexed
from attncli.nn.forgetful import KeyDropout
from attncli.nn.indexer import Indexer
from attncli.nn.kernels import banded, chunked, fused, reference
from attncli.nn.kernels.plan import Choice, Size, Traits, plan
from attncli.nn.normalizers import Normalizer
from attncli.nn.placing import bias_of, distances_in, term_of
from attncli.nn.positions import Distances, Relative, distances_of
from attncli.nn.records import Held, Joining, Pairs, Record
from attncli.nn.scores import Additive, Pair, Product, Score
from attncli.nn.spans import Predicted
from attncli.nn.steps import Persistent
from attncli.nn.telling import Remade
from attncli.nn.view import View
from attncli.nn.weighing import Seen, Weighed, Weighing
from attncli.spec.masks import Mask

Trail = tuple[Tensor, ...]
"""What each sequential part of an attention knows of the earlier steps: (b h k) each."""


class Ready(NamedTuple):
    """What a kernel reads."""

    query: Tensor  # (b h q e)
    key: Tensor  # (b g k ·), as the score reads it
    value: Tensor  # (b g k v)
    kept: tuple[Tensor, ...]  # what the position kept beside the keys
    view: View
    turned: Tensor  # (b h q e): the query before its position's `ask`
    trail: Trail = ()
    marks: Tensor | None = None  # (b q k), where `selective` writes what is marked
    indexed: Tensor | None = None  # (b 1 q k) scores of an indexer
    term: Tensor | None = None  # (b h q k)
    demand: Tensor | None = None  # (b h q ·), what the position makes of the states that ask

    def of_queries(self, places: Tensor) -> "Ready":
        """That of some queries and all keys, where nothing but queries, keys and values is read."""
        view = self.view.part(places, slice(None))
        return self._replace(query=self.query[:, :, places], turned=self.turned[:, :, places], view=view)


class Served(nn.Module):
    """The part of an attention between its projections: scores, weights, mixtures. Attention sets the attributes."""

    heads: int
    maps: int
    ahead: int
    persistent: Persistent | None
    score: Score
    position: Relative
    mask: Mask
    weighing: Weighing
    span: Predicted | None
    key_dropout: KeyDropout | None
    indexer: Indexer | None
    dropout: float
    address: str
    traits: Traits

    @property
    def normalizer(self) -> Normalizer:
        """What makes the weights of the scores."""
        return self.weighing.normalizer

    def plan(self, *, device: str, dtype: str, training: bool, size: Size | None) -> Choice:
        """The kernel that serves calls of this size there, and why; without a size, rows as long as they may be."""
        return plan(self.traits, device=device, dtype=dtype, phase="train" if training else "eval", size=size)

    def serve(self, ready: Ready, *, local: bool = True) -> Tensor:
        """Mixtures (b h q v) by the planned kernel; one that reads whole rows where not `local`."""
        dropout = self.dropout if self.training else 0.0
        device, dtype = ready.turned.device.type, str(ready.turned.dtype)[6:]
        near = ready.view.near and local
        size = Size(ready.turned.shape[0], ready.turned.shape[2], ready.key.shape[2], near=near)
        # FlexAttention has no backward pass on the CPU, in whatever phase a gradient is wanted
        training = self.training or (self.traits.wanted == "flex" and torch.is_grad_enabled())
        match self.plan(device=device, dtype=dtype, training=training, size=size).kernel:
            case "banded":
                return self._banded(ready, dropout)
            case "flex":
                return flexed(self, ready)
            case "fused":
                return self._fused(ready, dropout)
            case "chunked":
                return self._chunked(ready, dropout)
            case _:
                return self.by_reference(ready, dropout)[0]

    def by_reference(self, ready: Ready, dropout: float) -> tuple[Tensor, Weighed]:
        """Mixtures (b h q v) by way of all weights, and the weights."""
        seen = self._seen(ready)
        weighed, term = self._weighed(ready, seen, few=False)
        if self.indexer is not None and ready.indexed is not None and seen.visible is not None:
            beside = (weighed.weights[..., self.ahead :], seen.visible[..., self.ahead :], ready.view.query_real)
            ready.view.means[self.address] = self.indexer.cost(ready.indexed, *beside)
        kept = reference.kept(self.weighing, weighed.weights, dropout=dropout)
        mixed = self._mixed(kept, ready.value, distances_in(ready.view))
        if ready.view.tap is not None:
            told = self.weighing.told(weighed, seen)
            self._tell(ready._replace(term=term), None, *told, mixed, "reference", seen)
        return mixed, weighed

    def _chunked(self, ready: Ready, dropout: float) -> Tensor:
        """Mixtures (b h q v), some queries at a time by the reference."""
        view, queries = ready.view, ready.query.shape[2]
        parts = [
            chunked.Rows(rows, self.reach(view, rows))
            for rows in chunked.blocks(queries, ready.key.shape[2] * ready.query.shape[1] * len(ready.query))
        ]
        if ready.kept and any(keys.stop != rows.stop for rows, keys in parts):  # what fades counts from the last key
            return self.by_reference(ready, dropout)[0]
        totals: list[Tensor | None] = []

        def make(rows: chunked.Rows, of_queries: list[Tensor], of_keys: list[Tensor]) -> Tensor:
            query, turned, *demand = of_queries
            key, value, *kept = of_keys
            part = Ready(query, key, value, tuple(kept), view.part(*rows), turned, demand=next(iter(demand), None))
            seen = self._seen(part)
            weighed, _ = self._weighed(part, seen, few=True)
            if view.tap is not None:
                totals.append(self.weighing.told(weighed, seen).total)
            weights = reference.kept(self.weighing, weighed.weights, dropout=dropout)
            return self._mixed(weights, value, distances_in(part.view))

        modules = (self.score, self.position, self.weighing, self.span)
        own = {id(each): each for module in modules if module is not None for each in module.parameters()}
        draws = self.training and (dropout > 0 or self.normalizer.random or self.key_dropout is not None)
        demand = [] if ready.demand is None else [ready.demand]
        of_queries, of_keys = [ready.query, ready.turned, *demand], [ready.key, ready.value, *ready.kept]
        mixed = chunked.attend(make, parts, of_queries, of_keys, list(own.values()), draws=draws)
        if view.tap is not None:
            known = [each for each in totals if each is not None]
            total = torch.cat(known, 2) if known and len(known) == len(totals) else None
            self._tell(ready, None, None, total, mixed, "chunked", joining=Remade(self, ready, False))
        return mixed

    def reach(self, view: View, rows: slice) -> slice:
        """Keys outside of which some queries surely see nothing."""
        keys = view.key_positions.shape[1]
        whole = not view.near or self.ahead or self.span is not None or self.key_dropout is not None
        if whole or keys != view.query_positions.shape[1]:
            return slice(None)
        before, after = self.mask.reach(self.heads)
        return slice(int(max(0, rows.start - before)), int(min(keys, rows.stop + after)))

    def _weighed(self, ready: Ready, seen: Seen, *, few: bool) -> tuple[Weighed, Tensor | None]:
        """Weights, and what the position added to the scores."""
        scores = self._scores(ready, seen, few=few)
        term = self._term(ready, seen.visible, scores)
        return self.weighing(scores if term is None else scores + term, seen), term

    def _scores(self, ready: Ready, seen: Seen, *, few: bool) -> Tensor:
        """Scores (b h q k); `few`: what lies within a pair is not held."""
        sides = (seen.query_positions, seen.key_positions)
        pair = self._pair(ready.query, ready.key, ready.value, *sides, ready.view.lengths)
        if self.score.sequential:
            pair = pair._replace(previous=ready.trail[0])
        if few and isinstance(self.score, Additive):
            return reference.wide(self.score.without_layer(pair))
        return reference.wide(self.score(pair))

    def _term(self, ready: Ready, seen: Tensor | None, scores: Tensor | None) -> Tensor | None:
        """What the position adds to the scores; nothing to those of persistent keys, which stand nowhere."""
        key, ahead = ready.key[:, :, self.ahead :], self.ahead
        visible = None if seen is None else self.weighing.spread(seen)[..., ahead:]
        own = None if scores is None else scores[..., ahead:]
        term = term_of(self.position, self.score, ready.turned, key, ready.view, own, visible, ready.demand)
        return None if term is None else self._behind(term)

    def _mixed(self, weights: Tensor, value: Tensor, distances: Callable[[], Distances]) -> Tensor:
        """Mixtures (b h q v) of values (b g k v), and of what the position adds to them."""
        weights = weights.to(value.dtype)
        mixed = torch.matmul(weights, reference.repeat_heads(value, self.heads))
        carried = self.position.carry(weights[..., self.ahead :], distances)
        return mixed if carried is None else mixed + carried

    def _seen(self, ready: Ready) -> Seen:
        """What the queries may see of the keys, the persistent ones too, and by what a span multiplies the weights."""
        view, ahead = ready.view, (self.ahead, 0)
        visible, factor = view.visible(self.mask, self.heads, joins=self.weighing.joins_queries), None
        if self.key_dropout is not None:
            visible = self.key_dropout(visible, view, rows=len(ready.query))
        if self.span is not None:
            window, factor = self.span(ready.turned, view.key_positions, view.read_lengths)
            visible = window if visible is None else visible & window
        if self.indexer is not None and ready.indexed is not None:
            visible = self.indexer(ready.indexed, visible)
        if self.ahead:
            visible = None if visible is None else pad(visible, ahead, value=True)
            factor = None if factor is None else pad(factor, ahead, value=1.0)
        last = ready.trail[-1] if ready.trail else None
        return Seen(
            view.query_positions, self._behind(view.key_positions), visible, self._bias(ready), last, factor,
            ready.marks,
        )  # fmt: skip

    def _banded(self, ready: Ready, dropout: float) -> Tensor:
        """Mixtures (b h q v), each query with the blocks of keys around it and what its mask shows besides."""
        assert isinstance(self.score, Product)
        view, asked = ready.view, self._asked(ready)
        query, key, value = (reference.wide(x) for x in (asked, ready.key, ready.value))
        band = band_of(self.mask, self.heads, counted=view.aligned)
        call = banded.Call(
            band.blocks, self.score.scale, self.weighing.cap, dropout, -(-key.shape[2] // band.step),
            hidden_in(view, self.mask, self.heads, band), band.local.columns if band.tiled else 0,
        )  # fmt: skip
        with torch.autocast(query.device.type, enabled=False):
            tile = view.once(
                ("tile", id(self.position), self.mask, self.heads),
                lambda: tile_of(self.mask, self.heads, band, self.position, query),
            )
            far = far_in(view, self.mask, self.heads, band, self.position, key)
            query, key, value = (folded(x, band.step) for x in (query, key, value))
            made, lse = banded.attend(query, key, value, tile, call, far)
        made, lse = (unfolded(x, band.step, asked.shape[2]) for x in (made, lse.unsqueeze(-1)))
        made, lse, total = self.weighing.sunk(made, lse)
        mixed, rows = made.to(ready.value.dtype), rows_apart(view, band)
        if rows is not None:
            mixed = mixed.index_copy(2, rows, self.serve(ready.of_queries(rows), local=False))
        if view.tap is not None:
            if total is not None and rows is not None:
                whole = self.by_reference(ready.of_queries(rows), 0.0)[1].total
                total = None if whole is None else total.index_copy(2, rows, whole.detach().to(total.dtype))
            told = lse.squeeze(-1).detach() if self.weighing.cap is None and rows is None else None
            self._tell(ready._replace(key=ready.key.to(asked.dtype)), told, None, total, mixed, "banded",
                       joining=Remade(self, ready, True))  # fmt: skip
        return mixed

    def _fused(self, ready: Ready, dropout: float) -> Tensor:
        """Mixtures (b h q v); the weights are not held."""
        assert isinstance(self.score, Product)
        view, sink, asked = ready.view, self.weighing.sink, self._asked(ready)
        triangle = view.triangle(self.mask) and not (self.training and self.key_dropout is not None)
        seen = None if triangle else self._seen(ready)
        visible = None if seen is None else seen.visible
        bias = self._joined(ready, visible)
        key, value = ready.key.to(asked.dtype), fused.widened(ready.value, self.score.extra)
        call = fused.Call(asked, key, value, self.score.scale, triangle, visible, bias, self.ahead)
        logit = None if sink is None else sink(asked)
        if logit is not None:
            call = fused.with_sink(call, logit)
        if view.tap is None:
            made, lse = fused.attend(call, dropout=dropout), None
        else:
            made, lse = fused.told(call, dropout=dropout)
        mixed = made[..., : ready.value.shape[3]]
        if view.tap is not None:
            total = None if lse is None or logit is None else 1 - (logit.view(-1, 1) - lse).exp()
            self._tell(ready._replace(key=key), lse, None, total, mixed, "fused", seen, bias)
        return mixed

    def _joined(self, ready: Ready, visible: Tensor | None) -> Tensor | None:
        """All that a position adds to the scores of a dot product."""
        temperature, bias = self._temperature(ready.view), self._bias(ready)
        term = self._term(ready, visible, None)
        if term is None:
            return bias
        term = term if temperature is None else term * temperature
        return term if bias is None else term + bias

    def _asked(self, ready: Ready) -> Tensor:
        """Queries as a dot product compares them, warmed by the length."""
        assert isinstance(self.score, Product)
        temperature, asked = self._temperature(ready.view), self.score.ask(ready.query)
        return asked if temperature is None else (asked * temperature).to(asked.dtype)

    def _bias(self, ready: Ready) -> Tensor | None:
        """What joins the logits of all pairs; nothing that of persistent keys."""
        bias = bias_of(self.position, ready.turned, ready.kept, ready.view)
        return None if bias is None else self._behind(bias)

    def _behind(self, x: Tensor) -> Tensor:
        """Numbers of keys with 0 for the persistent ones in front."""
        return pad(x, (self.ahead, 0)) if self.ahead else x

    def _temperature(self, view: View) -> Tensor | None:
        made = self.weighing.temperature
        return None if made is None else made(view.query_positions)

    def _pair(self, query: Tensor, key: Tensor, value: Tensor, q: Tensor, k: Tensor, lengths: Tensor | None) -> Pair:
        key, value = reference.repeat_heads(key, self.maps), reference.repeat_heads(value, self.heads)
        value = self.weighing.spread(value) if "value" in self.score.reads else value
        return Pair(query, key, value, q, k, lengths)

    def _tell(
        self, ready: Ready, lse: Tensor | None, weights: Tensor | None, total: Tensor | None, mixed: Tensor,
        kernel: str, seen: Seen | None = None, bias: Tensor | None = None, joining: Joining | None = None,
    ) -> None:  # fmt: skip
        view, real = ready.view, ready.view.key_real
        assert view.tap is not None
        if seen is not None:
            pairs = Pairs(seen.visible, seen.bias if bias is None else bias, seen.factor, ready.term)
            joining = Held(pairs, ready.key.shape[2])
        record = Record(
            address=self.address, attention=self, query=ready.query, key=ready.key, value=ready.value,
            joining=Remade(self, ready, True) if joining is None else joining,
            lse=lse, weights=weights, output=mixed, query_positions=view.query_positions,
            key_positions=pad(view.key_positions, (self.ahead, 0)), query_real=view.query_real,
            key_real=None if real is None else pad(real, (self.ahead, 0), value=True), kernel=kernel,
            temperature=self._temperature(view), total=total, trail=ready.trail,
        )  # fmt: skip
        view.tap(record)

    def pairs(self, ready: Ready, *, merged: bool) -> Pairs:
        """What joins queries and keys; `merged`: all that the position adds is the bias, as a dot product has it."""
        seen = self._seen(ready)
        if merged:
            return Pairs(seen.visible, self._joined(ready, seen.visible), seen.factor, None)
        adds = type(self.position).term is not Relative.term
        term = self._term(ready, seen.visible, self._scores(ready, seen, few=True)) if adds else None
        return Pairs(seen.visible, seen.bias, seen.factor, term)

    @torch.no_grad()
    def weights(self, record: Record, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weights (b h q k) of a record by the reference, in float32 or wider, before dropout."""
        cast = [x.to(dtype) for x in (record.query, record.key, record.value)]
        pair = self._pair(cast[0], cast[1], cast[2], record.query_positions, record.key_positions, None)
        bias, trail = None if record.bias is None else record.bias.to(dtype), record.trail
        if self.score.sequential:
            pair = pair._replace(previous=trail[0])
        last = trail[-1] if trail else None
        factor = None if record.factor is None else record.factor.to(dtype)
        seen = Seen(record.query_positions, record.key_positions, record.visible, bias, last, factor)
        scores = reference.wide(self.score(pair))
        weighed: Weighed = self.weighing(scores if record.term is None else scores + record.term, seen)
        return self.weighing.applied(weighed.weights)

    @torch.no_grad()
    def mixture(self, record: Record, weights: Tensor) -> Tensor:
        """What weights (b h q k) as applied make of a record's values, in their dtype and on their device."""
        value = record.value.to(weights.device, weights.dtype)
        q, k = (each.to(weights.device) for each in (record.query_positions, record.key_positions[:, self.ahead :]))
        return self._mixed(weights, value, lambda: distances_of(q, k))
