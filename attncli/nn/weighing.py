"""What lies between the scores of one attention and its weights, in the fixed order. Part of attncli/nn/attention.py.

S = P (cap(t S) + bias) - marks;  weights = span(normalizer([S | select(visible), sink])) without the sink;  applied:
P' weights, or the difference of two maps of them
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from attncli.nn.differential import Difference, build_difference
from attncli.nn.normalizers import Normalizer, build_normalizer
from attncli.nn.selective import Selective
from attncli.nn.sequential import SequentialNormalizer
from attncli.nn.spans import Adaptive, build_adaptive
from attncli.nn.steps import Sink, Talking, Temperature, Top, build_select, build_temperature
from attncli.spec import attention as spec


class Seen(NamedTuple):
    """Where the queries and keys of one call stand, and what they may see of each other."""

    query_positions: Tensor  # (b|1 q)
    key_positions: Tensor  # (b|1 k)
    visible: Tensor | None  # bool, broadcast to (b h q k) of heads; None where all is visible
    bias: Tensor | None  # broadcast to (b h q k)
    trail: Tensor | None = None  # (b h k), where the normalizer looks at earlier steps, or `selective` at its marks
    factor: Tensor | None = None  # (b h q k), by which a span multiplies the weights
    marks: Tensor | None = None  # (b q k), where `selective` writes what is marked after each query


class Weighed(NamedTuple):
    """Weights (b h q k), and what each row of them sums to (b h q); None: 1 wherever the normalizer says so."""

    weights: Tensor
    total: Tensor | None


class Weighing(nn.Module):
    """Logits (b h q k), in float32 or wider, to weights of the same shape."""

    def __init__(
        self,
        *,
        temperature: Temperature | None,
        cap: float | None,
        before: Talking | None,
        selective: Selective | None,
        select: Top | None,
        sink: Sink | None,
        normalizer: Normalizer,
        reach: Adaptive | None,
        after: Talking | None,
        difference: Difference | None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.cap = cap
        self.before = before
        self.selective = selective
        self.select = select
        self.sink = sink
        self.normalizer = normalizer
        self.reach = reach
        self.after = after
        self.difference = difference

    def forward(self, logits: Tensor, seen: Seen) -> Weighed:
        """Weights as dropout meets them: before the heads talk about them."""
        weighed = self._normalized(logits, seen)
        if seen.factor is None:
            return weighed
        weights = weighed.weights * seen.factor.to(weighed.weights.dtype)
        return Weighed(weights, weights.sum(-1))

    def _normalized(self, logits: Tensor, seen: Seen) -> Weighed:
        if self.temperature is not None:
            logits = logits * self.temperature(seen.query_positions).to(logits.dtype)
        if self.cap is not None:
            logits = self.cap * torch.tanh(logits / self.cap)
        if seen.bias is not None:
            logits = logits + seen.bias
        if self.before is not None:
            logits = self.before(logits)
        visible = None if seen.visible is None else self.spread(seen.visible)
        if self.selective is not None:
            sides = (seen.query_positions, seen.key_positions)
            logits = self.selective(logits, visible, sides, seen.trail, seen.marks)
        visible = visible if self.select is None else self.select(logits, visible)
        if isinstance(self.normalizer, SequentialNormalizer):
            assert seen.trail is not None, "a sequential normalizer needs its trail"
            return Weighed(*self.normalizer.step(logits, visible, seen.trail))
        if self.sink is not None:
            column = self.sink(logits).view(-1, 1, 1).expand(*logits.shape[:3], 1)
            logits = torch.cat((logits, column), -1)
            visible = None if visible is None else pad(visible, (0, 1), value=True)
        weights = self.normalizer(logits, visible)
        if self.reach is not None:
            weights = self.reach(weights, seen.query_positions, seen.key_positions)
        if self.sink is not None:
            return Weighed(weights[..., :-1], 1 - weights[..., -1])
        return Weighed(weights, None if self.reach is None else (weights.detach().sum(-1) > 0).to(weights.dtype))

    def sunk(self, mixed: Tensor, lse: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Mixtures (b h q v) and log-sum-exps (b h q 1) of keys alone to those beside a sink, and the share (b h q) of
        the keys; None: all."""
        if self.sink is None:
            return mixed, lse, None
        logit = self.sink(lse).view(-1, 1, 1)
        share = torch.sigmoid(lse - logit)
        return mixed * share, torch.logaddexp(lse, logit), share.detach().squeeze(-1)

    @property
    def joins_queries(self) -> bool:
        """Whether a row depends on other queries, so that those that are no tokens must see nothing."""
        return self.normalizer.joins_queries or self.selective is not None

    def applied(self, weights: Tensor) -> Tensor:
        """The weights (b h q k) by which values are multiplied, of all maps of weights (b m q k)."""
        weights = weights if self.after is None else self.after(weights)
        return weights if self.difference is None else self.difference(weights)

    def spread(self, x: Tensor) -> Tensor:
        """What belongs to a head, given to each of its maps."""
        return x if self.difference is None else self.difference.spread(x)

    def told(self, weighed: Weighed, seen: Seen) -> Weighed:
        """The weights by which values are multiplied where nothing is dropped, with their sums."""
        if self.after is None and self.difference is None:
            return weighed
        total = weighed.total
        if total is None and self.normalizer.row_sum != "one":
            total = weighed.weights.sum(-1)
        if total is None:
            sees = weighed.weights.new_ones(()) if seen.visible is None else self.spread(seen.visible).any(-1)
            total = sees.expand(weighed.weights.shape[:3])
        total = total.unsqueeze(-1).to(weighed.weights)
        return Weighed(self.applied(weighed.weights), self.applied(total).squeeze(-1))


def build_weighing(attention: spec.AnyAttention, *, depth: int) -> Weighing:
    """The steps from scores to weights of an attention."""
    maps, talking = attention.heads * attention.maps_a_head, attention.talking_heads
    return Weighing(
        temperature=build_temperature(attention.length_temperature),
        cap=attention.soft_cap,
        before=Talking(heads=maps) if talking in ("before", "both") else None,
        selective=None if attention.selective == "none" else Selective(ahead=attention.persistent),
        select=build_select(attention.select, ahead=attention.persistent),
        sink=None if attention.sink == "none" else Sink(heads=maps, learned=attention.sink == "learned"),
        normalizer=build_normalizer(attention.normalizer, heads=maps),
        reach=build_adaptive(attention.span, heads=maps, ahead=attention.persistent),
        after=Talking(heads=maps) if talking in ("after", "both") else None,
        difference=build_difference(attention, depth=depth),
    )
