"""Biases of the distance between query and key. Mirrors attncli/spec/positions/biases.py."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.positions.base import Distances, Relative, wide


class Alibi(Relative):
    """-m_h |q - k|. Press et al. 2022, arXiv:2108.12409, section 3; two-sided where a mask lets a query look ahead."""

    of_distance = True

    def __init__(self, *, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def bias(self, query_positions: Tensor, key_positions: Tensor, distances: Callable[[], Distances]) -> Tensor:
        distance = (query_positions.unsqueeze(-1) - key_positions.unsqueeze(-2)).abs().unsqueeze(1)
        return -self.slopes_on(distance).view(-1, 1, 1) * distance

    def slopes_on(self, like: Tensor) -> Tensor:
        """(h), on the device of another tensor."""
        return torch.tensor(alibi_slopes(self.heads), device=like.device)


class LearnedAlibi(Alibi):
    """Alibi with slopes that start as the fixed ones and are learned."""

    learned = True

    def __init__(self, *, heads: int) -> None:
        super().__init__(heads=heads)
        self.slopes = nn.Parameter(torch.tensor(alibi_slopes(heads)))

    def slopes_on(self, like: Tensor) -> Tensor:
        return self.slopes


def alibi_slopes(heads: int) -> list[float]:
    """2^(-8 i / heads) for a power of two; else those of the power below, and every other of the power above."""
    below = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    return slopes + [2 ** (-8 * (i + 1) / (2 * below)) for i in range(0, 2 * (heads - below), 2)]


class T5(Relative):
    """table[bucket(k - q)] for each head. Raffel et al. 2020, arXiv:1910.10683, section 2.1."""

    learned = True
    of_distance = True

    def __init__(self, *, heads: int, buckets: int, max_distance: int, two_sided: bool) -> None:
        super().__init__()
        self.buckets = buckets
        self.max_distance = max_distance
        self.two_sided = two_sided
        self.table = nn.Embedding(buckets, heads)

    def bias(self, query_positions: Tensor, key_positions: Tensor, distances: Callable[[], Distances]) -> Tensor:
        offset = key_positions.unsqueeze(-2) - query_positions.unsqueeze(-1)
        table: Tensor = self.table(self.bucket(offset))
        return table.permute(0, 3, 1, 2)

    def bucket(self, offset: Tensor) -> Tensor:
        """The bucket of each offset key - query: one for each small distance, then logarithmic ones to max_distance."""
        if self.two_sided:
            buckets = self.buckets // 2
            side = torch.where(offset > 0, buckets, 0)
            distance = offset.abs()
        else:
            buckets = self.buckets
            side = torch.zeros_like(offset)
            distance = (-offset).clamp(min=0)
        exact = buckets // 2
        # float32 as the authors compute it: a wider type would put some distances on the border into another bucket
        far = (distance.clamp(min=1).float() / exact).log() / math.log(self.max_distance / exact) * (buckets - exact)
        return side + torch.where(distance < exact, distance, (exact + far.long()).clamp(max=buckets - 1))


class OfDistance(Relative):
    """A bias that is computed once for each distance that occurs."""

    of_distance = True

    def bias(self, query_positions: Tensor, key_positions: Tensor, distances: Callable[[], Distances]) -> Tensor:
        found = distances()
        return found.spread(self.at(found.values).view(1, -1, 1, len(found.values)))

    def at(self, distance: Tensor) -> Tensor:
        """The bias (h r) of distances q - k (r)."""
        raise NotImplementedError("a kernel of the distance gives its own")


class Kerple(OfDistance):
    """-a ln(1 + p |q - k|) or -a |q - k|^p. Chi et al. 2022, arXiv:2205.09921.

    a and p stay positive (and the power below 2) through softplus and sigmoid; they start at 1, the power at 1.
    """

    learned = True

    def __init__(self, *, heads: int, form: str) -> None:
        super().__init__()
        self.form = form
        one = math.log(math.e - 1)  # softplus gives 1
        self.size = nn.Parameter(torch.full((heads,), one))
        self.shape = nn.Parameter(torch.full((heads,), one if form == "logarithm" else 0.0))

    def at(self, distance: Tensor) -> Tensor:
        own, shape = wide(self.size), wide(self.shape).unsqueeze(1)
        size, far = F.softplus(own).unsqueeze(1), distance.abs().to(own.dtype)
        if self.form == "logarithm":
            return -size * torch.log1p(F.softplus(shape) * far)
        # 0^p has no slope in p that torch could give: a distance of 0 adds 0, whatever the power
        power = far.clamp(min=1) ** (2 * torch.sigmoid(shape))
        return -size * power * (far > 0)


class Sandwich(OfDistance):
    """(H / 8h) sum_i cos(distance base^(-2i / width)). Chi et al. 2023, arXiv:2212.10356."""

    def __init__(self, *, heads: int, width: int, base: float) -> None:
        super().__init__()
        self.heads = heads
        self.rates = [base ** (-2 * i / width) for i in range(width // 2)]

    def at(self, distance: Tensor) -> Tensor:
        rates = torch.tensor(self.rates, device=distance.device, dtype=torch.float64)
        shared = (distance.double().unsqueeze(-1) * rates).cos().sum(-1)
        heads = torch.arange(1, self.heads + 1, device=distance.device, dtype=torch.float64)
        return self.heads / 8 / heads.unsqueeze(1) * shared


class LogDistance(OfDistance):
    """16 sigmoid(W_2 relu(W_1 x + b)), x = sign(k - q) ln(1 + |k - q|). Liu et al. 2022, arXiv:2111.09883, eq. 3, 4."""

    learned = True
    LARGEST = 16.0

    def __init__(self, *, heads: int, d_hidden: int) -> None:
        super().__init__()
        self.hidden = Linear(1, d_hidden)
        self.out = Linear(d_hidden, heads, bias=False)

    def at(self, distance: Tensor) -> Tensor:
        weights = [wide(each) for each in (self.hidden.weight, self.hidden.bias, self.out.weight)]
        far = -distance.sign() * distance.abs().to(weights[0].dtype).log1p()
        with torch.autocast(distance.device.type, enabled=False):
            hidden = F.relu(F.linear(far.unsqueeze(1), weights[0], weights[1]))
            return self.LARGEST * torch.sigmoid(F.linear(hidden, weights[2]).mT)
