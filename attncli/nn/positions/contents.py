"""Positions that what the tokens hold takes part in. Mirrors attncli/spec/positions/contents.py."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.positions.base import Distances, Met, Relative


class Shaw(Relative):
    """q . a scale on the scores and sum_k w b on the mixtures, a and b of k - q. Shaw et al. 2018, arXiv:1803.02155.

    Cost: h q (2 max_distance + 1) e at most, since queries meet rows of the table and not pairs.
    """

    learned = True

    def __init__(self, *, max_distance: int, d_key: int, d_value: int | None) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.key = nn.Embedding(2 * max_distance + 1, d_key)
        self.value = None if d_value is None else nn.Embedding(2 * max_distance + 1, d_value)

    def term(self, met: Met) -> Tensor:
        found = met.distances().within(-self.max_distance, self.max_distance)
        rows: Tensor = self.key(self.max_distance - found.values)  # row 0 is of keys farthest back
        return found.spread(met.product(met.query, rows.to(met.query.dtype).view(1, 1, *rows.shape)))

    def carry(self, weights: Tensor, distances: Callable[[], Distances]) -> Tensor | None:
        if self.value is None:
            return None
        found = distances().within(-self.max_distance, self.max_distance)
        rows = F.embedding(self.max_distance - found.values, self.value.weight.to(weights))
        gathered = weights.new_zeros(*weights.shape[:3], len(rows))
        return gathered.scatter_add(3, found.row.expand_as(weights), weights) @ rows


class Directions(nn.Module):
    """u and w of Transformer-XL: what a head asks of every key, and of every distance."""

    def __init__(self, *, heads: int, d_head: int) -> None:
        super().__init__()
        self.content = nn.Parameter(torch.empty(heads, d_head))
        self.position = nn.Parameter(torch.empty(heads, d_head))


class TransformerXl(Relative):
    """((q + u) . k + (q + w) . W r) scale, r sinusoidal of q - k. Dai et al. 2019, arXiv:1901.02860, section 3.3.

    Each distance that occurs has one row, on both sides; there is no shift by place, which holds for i >= j alone.
    """

    learned = True

    def __init__(self, *, heads: int, kv_heads: int, d_head: int, d_model: int, directions: Directions) -> None:
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads
        self.rates = [10000.0 ** (-2 * i / d_model) for i in range((d_model + 1) // 2)]
        self.d_model = d_model
        self.directions = directions
        self.map = Linear(d_model, kv_heads * d_head, bias=False)

    def ask(self, query: Tensor) -> Tensor:
        return query + self.directions.content.unsqueeze(1).to(query.dtype)

    def term(self, met: Met) -> Tensor:
        found = met.distances()
        rows = _rows(self.map, self.waves(found.values), kv_heads=self.kv_heads, heads=self.heads)
        asked = met.query + self.directions.position.unsqueeze(1).to(met.query.dtype)
        return found.spread(met.product(asked, rows.to(met.query.dtype)))

    def waves(self, distance: Tensor) -> Tensor:
        """(r d_model): sines, then cosines."""
        rates = torch.tensor(self.rates, device=distance.device, dtype=torch.float64)
        angle = distance.double().unsqueeze(-1) * rates
        return torch.cat((angle.sin(), angle.cos()), -1)[:, : self.d_model].to(self.map.weight.dtype)


class Disentangled(Relative):
    """(q . k + q . K_d + k . Q_d') scale / sqrt(3). He et al. 2021, arXiv:2006.03654, eq. 4.

    Of a persistent key, which stands nowhere, q . k scale / sqrt(3) is left.
    """

    learned = True

    def __init__(
        self, *, heads: int, kv_heads: int, d_head: int, d_model: int, table: nn.Embedding, released: bool
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads
        self.table = table
        self.key = Linear(d_model, kv_heads * d_head, bias=False)
        self.query = Linear(d_model, heads * d_head, bias=False)
        self.released = released

    def ask(self, query: Tensor) -> Tensor:
        return query * 3**-0.5

    def term(self, met: Met) -> Tensor:
        most = self.table.num_embeddings // 2
        ahead = met.distances().within(-most, most - 1)
        keys = _rows(self.key, self.table(ahead.values + most), kv_heads=self.kv_heads, heads=self.heads)
        to_position = ahead.spread(met.product(met.query, keys.to(met.query.dtype)))
        back = ahead if self.released else met.distances().within(1 - most, most)
        place = back.values if self.released else -back.values
        queries = _rows(self.query, self.table(place + most), kv_heads=self.heads, heads=self.heads)
        # (b h r k): each distance asks each key
        of_position = met.product(queries.to(met.query.dtype), met.key.to(met.query.dtype))
        of_position = of_position.gather(2, back.row.expand(len(met.query), self.heads, -1, -1))
        return (to_position + of_position) * 3**-0.5


def _rows(map: nn.Linear, rows: Tensor, *, kv_heads: int, heads: int) -> Tensor:
    """A table (r d) mapped and split: (1 h r e)."""
    split = map(rows).view(len(rows), kv_heads, -1).transpose(0, 1).unsqueeze(0)
    out: Tensor = split if kv_heads == heads else split.repeat_interleave(heads // kv_heads, 1)
    return out


class Bank(Relative):
    """(x R) . p_d for the distance d = q - k from 0 to extent - 1, and nothing elsewhere. Inkling 2026.

    R (d_model, h d_bank) is of each head; the d_bank profiles p over the distances are of all. Cost: h q extent d_bank
    at most, since queries meet distances and not pairs.
    """

    learned = True

    def __init__(self, *, heads: int, d_model: int, d_bank: int, extent: int) -> None:
        super().__init__()
        self.heads = heads
        self.extent = extent
        self.map = Linear(d_model, heads * d_bank, bias=False)
        self.profiles = nn.Embedding(extent, d_bank)

    def demand(self, states: Tensor) -> Tensor:
        made: Tensor = self.map(states).unflatten(2, (self.heads, -1))
        return made.transpose(1, 2)

    def term(self, met: Met) -> Tensor:
        assert met.demand is not None
        found = met.distances().within(0, self.extent - 1)
        rows: Tensor = self.profiles(found.values)
        away = met.distances().between
        near = (away >= 0) & (away < self.extent)
        return found.spread(met.demand @ rows.to(met.demand.dtype).mT).masked_fill(~near, 0.0)


class Cope(Relative):
    """q . e_p, p = sum of sigmoid(score) over the visible keys from k to the query. Golovneva et al. 2024.

    arXiv:2405.18719, eq. 3 to 5. Keys stand in the order of their positions, whatever lies between them.
    """

    learned = True

    def __init__(self, *, maximum: int, d_head: int) -> None:
        super().__init__()
        self.maximum = maximum
        self.table = nn.Embedding(maximum + 1, d_head)

    def term(self, met: Met) -> Tensor:
        scores, visible = met.scores, met.visible
        assert scores is not None
        gates = torch.sigmoid(scores)
        if visible is not None:
            gates = gates.masked_fill(~visible, 0.0)
        place = gates.flip(-1).cumsum(-1).flip(-1).clamp(max=self.maximum)
        below = place.detach().floor().long()
        asked = met.query.to(scores.dtype) @ self.table.weight.to(scores.dtype).mT
        low, high = asked.gather(3, below), asked.gather(3, (below + 1).clamp(max=self.maximum))
        return low + (high - low) * (place - below)


class Forgetting(Relative):
    """sum of ln f over k + 1 … q, f = sigmoid(x W + b). Lin et al. 2025, arXiv:2503.02130, section 3.

    A cache keeps ln f of every token in float32 or wider and sums anew, so it may be cut and moved like the keys.
    """

    learned = True
    pairs = False

    def __init__(self, *, heads: int, d_model: int) -> None:
        super().__init__()
        self.gate = Linear(d_model, heads)

    def keep(self, memory: Tensor) -> tuple[Tensor, ...]:
        gate: Tensor = self.gate(memory)
        wide = gate if gate.dtype == torch.float64 else gate.float()
        return (F.logsigmoid(wide).transpose(1, 2).unsqueeze(3),)  # b h k 1

    def fade(self, kept: tuple[Tensor, ...], *, queries: int) -> Tensor:
        total = kept[0].squeeze(3).cumsum(-1)
        return total[:, :, -queries:].unsqueeze(3) - total.unsqueeze(2)
