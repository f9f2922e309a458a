"""How well a query fits a key. Mirrors attncli/spec/scores.py.

A score takes one record and returns logits (b h q k). What it needs of the keys is made once, by `read`, and kept in
caches; what it needs of the queries is made when they ask.
"""

import math
from typing import ClassVar, NamedTuple, Protocol, assert_never, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.kernels import additive
from attncli.spec import scores as spec


class Pair(NamedTuple):
    """All that a score may look at."""

    query: Tensor  # (b h q e), turned by its position
    key: Tensor  # (b h k ·), what `read` made of the keys (b h k e)
    value: Tensor  # (b h k v)
    query_positions: Tensor  # (b|1 q)
    key_positions: Tensor  # (b|1 k)
    lengths: Tensor | None = None  # (b) real keys; None where every key is real
    previous: Tensor | None = None  # (b h k) the trail of a sequential score


class Score(nn.Module):
    """Base of the scores. `reads` names the fields of Pair that a kind uses; a sequential one must go step by step."""

    reads: ClassVar[frozenset[str]] = frozenset({"query", "key"})
    sequential: ClassVar[bool] = False

    def read(self, key: Tensor) -> Tensor:
        """Keys (b h k e) in the form that this score compares; done once for all queries."""
        return key

    def forward(self, pair: Pair) -> Tensor:
        """Logits (b h q k) in nats."""
        raise NotImplementedError("a kind of score gives its own logits")


@runtime_checkable
class Sequential(Protocol):
    """A score or a normalizer that reads the weights of earlier steps, by one number a head and key: its trail."""

    def first(self, real: Tensor, heads: int) -> Tensor:
        """The trail before the first step, where `real` (b k) is 1 at a key and 0 at padding."""

    def next(self, trail: Tensor, weights: Tensor) -> Tensor:
        """The trail after a step that gave these weights (b h k)."""


class Product(Score):
    """scale (ask(q) . read(k)): the scores that are a dot product, and so may run in a fused kernel.

    `extra`: features by which ask(q) and read(k) are wider than a query and a key.
    """

    extra: ClassVar[int] = 0

    def __init__(self, *, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def ask(self, query: Tensor) -> Tensor:
        """Queries (b h q e) in the form whose dot product with `read` keys is the score over `scale`."""
        return query

    def forward(self, pair: Pair) -> Tensor:
        return torch.einsum("bhqe,bhke->bhqk", self.ask(pair.query), pair.key) * self.scale


class ScaledDot(Product):
    """scale q.k with one learned scale a head. Vaswani et al. 2017, arXiv:1706.03762, eq. 1, where it is 1/sqrt(e)."""

    def __init__(self, *, heads: int, start: float) -> None:
        super().__init__(scale=1.0)
        self.start = start
        self.factor = nn.Parameter(torch.full((heads,), start))

    def ask(self, query: Tensor) -> Tensor:
        return query * self.factor.view(-1, 1, 1).to(query.dtype)


class Cosine(Product):
    """temperature cos(q, k). Henry et al. 2020, arXiv:2010.04245, eq. 4.

    A learned temperature is exp(theta) for each head, at most 100 and 10 at the start: Liu et al. 2022,
    arXiv:2111.09883, section 3.2 (who bound it so); Henry et al. start it at log2(L^2 - L) for a length L.
    """

    LARGEST = 100.0

    def __init__(self, *, heads: int, temperature: float | None) -> None:
        super().__init__(scale=1.0 if temperature is None else temperature)
        self.log_temperature = nn.Parameter(torch.full((heads,), math.log(10.0))) if temperature is None else None

    def read(self, key: Tensor) -> Tensor:
        return F.normalize(key, dim=-1)

    def ask(self, query: Tensor) -> Tensor:
        direction = F.normalize(query, dim=-1)
        if self.log_temperature is None:
            return direction
        factor: Tensor = self.log_temperature.clamp(max=math.log(self.LARGEST)).exp()
        return direction * factor.view(-1, 1, 1).to(direction.dtype)


class General(Product):
    """q W k with W (h e_q e_k) for each head. Luong et al. 2015, arXiv:1508.04025, eq. 8 "general"."""

    def __init__(self, *, heads: int, d_query: int, d_key: int) -> None:
        super().__init__(scale=1.0)
        self.weight = nn.Parameter(torch.empty(heads, d_query, d_key))

    def ask(self, query: Tensor) -> Tensor:
        return torch.einsum("bhqe,hek->bhqk", query, self.weight.to(query.dtype))


class BiasedDot(Score):
    """(q.k + w_q.q + w_v.v) / sqrt(e): the founding article's "additive" attention (4.1.2)."""

    reads = frozenset({"query", "key", "value"})

    def __init__(self, *, heads: int, d_head: int, d_value: int) -> None:
        super().__init__()
        self.scale = d_head**-0.5
        self.query = nn.Parameter(torch.empty(heads, d_head))
        self.value = nn.Parameter(torch.empty(heads, d_value))

    def forward(self, pair: Pair) -> Tensor:
        product = torch.einsum("bhqe,bhke->bhqk", pair.query, pair.key)
        from_query = torch.einsum("bhqe,he->bhq", pair.query, self.query.to(pair.query.dtype))
        from_value = torch.einsum("bhkv,hv->bhk", pair.value, self.value.to(pair.value.dtype))
        logits: Tensor = (product + from_query.unsqueeze(3) + from_value.unsqueeze(2)) * self.scale
        return logits


class Trilinear(Product):
    """w_q.q + w_k.k + w.(q * k), as the product of [w * q + w_k, w_q.q] and [k, 1].

    Shapes: query and key of one width e. Source: Seo et al. 2017, arXiv:1611.01603, eq. 1.
    """

    extra = 1

    def __init__(self, *, heads: int, d_head: int) -> None:
        super().__init__(scale=1.0)
        self.query = nn.Parameter(torch.empty(heads, d_head))
        self.key = nn.Parameter(torch.empty(heads, d_head))
        self.product = nn.Parameter(torch.empty(heads, d_head))

    def read(self, key: Tensor) -> Tensor:
        return F.pad(key, (0, 1), value=1.0)

    def ask(self, query: Tensor) -> Tensor:
        own, key, product = (x.to(query.dtype) for x in (self.query, self.key, self.product))
        turned = query * product.unsqueeze(1) + key.unsqueeze(1)
        return torch.cat((turned, torch.einsum("bhqe,he->bhq", query, own).unsqueeze(3)), -1)


class Distance(Product):
    """-|q - k|^2 / sqrt(e), as the product of [2 q, -|q|^2, -1] and [k, 1, |k|^2], over sqrt(e).

    Errors: the squares are taken apart, so a small distance between long vectors has the last places of their squares.
    Source: Kim et al. 2021, arXiv:2006.04710, section 3.2.
    """

    extra = 2

    def __init__(self, *, d_head: int) -> None:
        super().__init__(scale=d_head**-0.5)

    def read(self, key: Tensor) -> Tensor:
        square = key.square().sum(-1, keepdim=True)
        return torch.cat((key, torch.ones_like(square), square), -1)

    def ask(self, query: Tensor) -> Tensor:
        square = query.square().sum(-1, keepdim=True)
        return torch.cat((2 * query, -square, -torch.ones_like(square)), -1)


class Additive(Score):
    """w . tanh(Q q + K k), with a Q, K and w for each head.

    Shapes: query (b h q e), key (b h k e') to logits (b h q k), in nats, each at most |w|_1.
    Cost: b h q k a floats, since the tanh layer exists for every pair.
    Source: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.
    """

    def __init__(self, *, heads: int, d_query: int, d_key: int, d_hidden: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(heads, d_query, d_hidden))
        self.key = nn.Parameter(torch.empty(heads, d_key, d_hidden))
        self.weight = nn.Parameter(torch.empty(heads, d_hidden))

    def read(self, key: Tensor) -> Tensor:
        return torch.einsum("bhke,hea->bhka", key, self.key.to(key.dtype))

    def without_layer(self, pair: Pair) -> Tensor:
        """The same logits, where the tanh layer is made a tile at a time and again backward."""
        query = torch.einsum("bhqe,hea->bhqa", pair.query, self.query.to(pair.query.dtype))
        return additive.scores(query, pair.key.to(query.dtype), self.weight.to(query.dtype))

    def forward(self, pair: Pair) -> Tensor:
        query = torch.einsum("bhqe,hea->bhqa", pair.query, self.query.to(pair.query.dtype))
        hidden = torch.tanh(query.unsqueeze(3) + pair.key.unsqueeze(2))
        return torch.einsum("bhqka,ha->bhqk", hidden, self.weight.to(hidden.dtype))


class Location(Score):
    """(W q)[position of the key]: never looks at the key. Luong et al. 2015, arXiv:1508.04025, eq. 9.

    Errors: RuntimeError for a key position from max_length on; the validator and the data refuse it first.
    """

    reads = frozenset({"query", "key_positions"})

    def __init__(self, *, heads: int, d_query: int, max_length: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, d_query, max_length))

    def table(self, query: Tensor) -> Tensor:
        """Queries (b h q e) to the scores of all positions (b h q l)."""
        return torch.einsum("bhqe,hel->bhql", query, self.weight.to(query.dtype))

    def forward(self, pair: Pair) -> Tensor:
        table = self.table(pair.query)
        place = pair.key_positions[:, None, None, :].expand(*table.shape[:3], -1)
        return table.gather(3, place)


class Synthesizer(Location):
    """(W relu(q) + b)[position of the key]: never looks at the key. Tay et al. 2020, arXiv:2005.00743, eq. 4, dense.

    Errors: as of Location.
    """

    def __init__(self, *, heads: int, d_query: int, max_length: int) -> None:
        super().__init__(heads=heads, d_query=d_query, max_length=max_length)
        self.bias = nn.Parameter(torch.empty(heads, max_length))

    def table(self, query: Tensor) -> Tensor:
        return super().table(query.relu()) + self.bias.to(query.dtype).unsqueeze(1)


def build_score(score: spec.Score, *, heads: int, d_query: int, d_key: int, d_value: int) -> Score:
    """The module of a score; d_query, d_key and d_value are widths of one head."""
    from attncli.nn import trailed  # which builds on this module

    match score:
        case spec.ScaledDot(scale="learned"):
            return ScaledDot(heads=heads, start=d_query**-0.5)
        case spec.ScaledDot(scale=scale):
            assert not isinstance(scale, str)
            return Product(scale=scale)
        case spec.Dot():
            return Product(scale=1.0)
        case spec.Cosine(temperature=temperature):
            return Cosine(heads=heads, temperature=None if isinstance(temperature, str) else temperature)
        case spec.General():
            return General(heads=heads, d_query=d_query, d_key=d_key)
        case spec.BiasedDot():
            return BiasedDot(heads=heads, d_head=d_query, d_value=d_value)
        case spec.Trilinear():
            return Trilinear(heads=heads, d_head=d_query)
        case spec.Distance():
            return Distance(d_head=d_query)
        case spec.Additive():
            return Additive(heads=heads, d_query=d_query, d_key=d_key, d_hidden=score.d_hidden)
        case spec.Location():
            return Location(heads=heads, d_query=d_query, max_length=score.max_length)
        case spec.Synthesizer():
            return Synthesizer(heads=heads, d_query=d_query, max_length=score.max_length)
        case spec.Coverage(d_hidden=hidden, loss=loss):
            return trailed.Coverage(heads=heads, d_query=d_query, d_key=d_key, d_hidden=hidden, loss=loss)
        case spec.LocationAware(d_hidden=hidden):
            return trailed.LocationAware(
                heads=heads, d_query=d_query, d_key=d_key, d_hidden=hidden, channels=score.channels,
                kernel_size=score.kernel_size,
            )  # fmt: skip
        case _:
            assert_never(score)
