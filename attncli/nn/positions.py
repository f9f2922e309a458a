"""How a model knows the order of its tokens. Mirrors attncli/spec/positions.py.

A relative kind meets an attention twice: `turn` on queries and keys, `bias` on the logits; an absolute one is added to
the embeddings. Each overrides what it needs. Angles and distances are float32 or wider under every autocast.
"""

import math
from typing import assert_never

import torch
from torch import Tensor, nn

from attncli.spec import positions as spec


class Relative(nn.Module):
    """Base of the relative kinds; itself the kind that changes nothing."""

    learned_bias = False

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor] | None:
        """What `turn` needs of positions (b|1 n), made once a forward pass; None where nothing turns."""
        return None

    def turn(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Queries or keys (b h n e) to the same shape."""
        return x

    def bias(self, query_positions: Tensor, key_positions: Tensor) -> Tensor | None:
        """What is added to the logits, (b|1 h q k), for positions (b|1 q) and (b|1 k); None where nothing is."""
        return None


class Rotary(Relative):
    """Pairs of features turned by position * base^(-2i / d_rotary). Su et al. 2021, arXiv:2104.09864, eq. 34.

    The product of a turned query and a turned key depends on the distance of their positions alone.
    """

    def __init__(self, *, d_rotary: int, base: float, layout: str) -> None:
        super().__init__()
        self.d_rotary = d_rotary
        self.layout = layout
        self.rates = [base ** (-2 * i / d_rotary) for i in range(d_rotary // 2)]

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        rates = torch.tensor(self.rates, device=positions.device, dtype=torch.float64)
        angle = (positions.double().unsqueeze(-1) * rates).unsqueeze(1)  # b|1 1 n r
        return angle.cos(), angle.sin()

    def turn(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        cos, sin = (angle.to(torch.float32 if x.dtype != torch.float64 else x.dtype) for angle in angles)
        turned, kept = x[..., : self.d_rotary], x[..., self.d_rotary :]
        if self.layout == "half":
            one, other = turned.chunk(2, -1)
            pairs = torch.cat((one * cos - other * sin, other * cos + one * sin), -1)
        else:
            one, other = turned[..., 0::2], turned[..., 1::2]
            pairs = torch.stack((one * cos - other * sin, other * cos + one * sin), -1).flatten(-2)
        pairs = pairs.to(x.dtype)
        return pairs if kept.shape[-1] == 0 else torch.cat((pairs, kept), -1)


class Alibi(Relative):
    """-m_h |q - k|. Press et al. 2022, arXiv:2108.12409, section 3; two-sided where a mask lets a query look ahead."""

    def __init__(self, *, heads: int, learned: bool) -> None:
        super().__init__()
        self.heads = heads
        self.learned_bias = learned
        slopes = torch.tensor(alibi_slopes(heads))
        self.slopes = nn.Parameter(slopes) if learned else None

    def bias(self, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        distance = (query_positions.unsqueeze(-1) - key_positions.unsqueeze(-2)).abs().unsqueeze(1)
        if self.slopes is None:
            slopes = torch.tensor(alibi_slopes(self.heads), device=distance.device)
        else:
            slopes = self.slopes
        return -slopes.view(-1, 1, 1) * distance


def alibi_slopes(heads: int) -> list[float]:
    """2^(-8 i / heads) for a power of two; else those of the power below, and every other of the power above."""
    below = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    return slopes + [2 ** (-8 * (i + 1) / (2 * below)) for i in range(0, 2 * (heads - below), 2)]


class T5(Relative):
    """table[bucket(k - q)] for each head. Raffel et al. 2020, arXiv:1910.10683, section 2.1."""

    learned_bias = True

    def __init__(self, *, heads: int, buckets: int, max_distance: int, two_sided: bool) -> None:
        super().__init__()
        self.buckets = buckets
        self.max_distance = max_distance
        self.two_sided = two_sided
        self.table = nn.Embedding(buckets, heads)

    def bias(self, query_positions: Tensor, key_positions: Tensor) -> Tensor:
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


def build_relative(position: spec.Relative, *, heads: int, two_sided: bool) -> Relative:
    """The module of a relative position; two_sided where the mask lets a query look ahead."""
    match position:
        case spec.NoPosition():
            return Relative()
        case spec.Rotary():
            return Rotary(d_rotary=position.d_rotary, base=position.base, layout=position.layout)
        case spec.Alibi():
            return Alibi(heads=heads, learned=position.slopes == "learned")
        case spec.T5():
            return T5(heads=heads, buckets=position.buckets, max_distance=position.max_distance, two_sided=two_sided)
        case _:
            assert_never(position)


class Absolute(nn.Module):
    """Base of the absolute kinds; itself the kind that changes nothing."""

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Embeddings (b n d) and positions (b|1 n) to embeddings (b n d)."""
        return x


class Sinusoidal(Absolute):
    """sin and cos of position * base^(-2i / d). Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    `interleaved` is the paper's table (sin, cos, sin, cos, …); `concatenated` that of its authors' code.
    """

    def __init__(self, *, d_model: int, base: float, layout: str) -> None:
        super().__init__()
        self.layout = layout
        self.rates = [base ** (-2 * i / d_model) for i in range(d_model // 2)]

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        rates = torch.tensor(self.rates, device=x.device, dtype=torch.float64)
        angle = positions.double().unsqueeze(-1) * rates
        waves = (angle.sin(), angle.cos())
        table = torch.stack(waves, -1).flatten(-2) if self.layout == "interleaved" else torch.cat(waves, -1)
        return x + table.to(x.dtype)


class Learned(Absolute):
    """A learned vector for each position below max_length. Gehring et al. 2017, arXiv:1705.03122, section 3.1."""

    def __init__(self, *, d_model: int, max_length: int) -> None:
        super().__init__()
        self.table = nn.Embedding(max_length, d_model)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        added: Tensor = self.table(positions)
        return x + added


def build_absolute(position: spec.Absolute, *, d_model: int, max_length: int) -> Absolute:
    """The module of an absolute position."""
    match position:
        case spec.NoPosition():
            return Absolute()
        case spec.Sinusoidal():
            return Sinusoidal(d_model=d_model, base=position.base, layout=position.layout)
        case spec.Learned():
            return Learned(d_model=d_model, max_length=max_length)
        case _:
            assert_never(position)
