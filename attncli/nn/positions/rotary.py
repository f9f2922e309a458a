"""Positions that turn queries and keys. Mirrors attncli/spec/positions/rotary.py."""

import math
from collections.abc import Callable, Sequence
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.positions.base import Relative, Side, wide
from attncli.spec.positions import rotary as spec


class Rotary(Relative):
    """Pairs of features turned by position * rate. Su et al. 2021, arXiv:2104.09864, eq. 34.

    The product of a turned query and a turned key depends on the distance of their positions alone. `rates` are those
    of the pairs, base^(-2i / d_rotary) unless a scaling changes them; turned features grow by `size`, and then whole
    queries by `heat`.
    """

    def __init__(self, *, rates: Sequence[float], layout: str, size: float, heat: float) -> None:
        super().__init__()
        self.rates = list(rates)
        self.layout = layout
        self.size = size
        self.heat = heat

    def angles(self, positions: Tensor, *, side: Side, lengths: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        return self.waves(positions, _column(self.rates, positions))

    def waves(self, positions: Tensor, rates: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin of positions (b|1 n) times rates (b|1 n|1 r), each (b|1 1 n r)."""
        angle = (positions.double().unsqueeze(-1) * rates).unsqueeze(1)
        return angle.cos() * self.size, angle.sin() * self.size

    def turn(self, x: Tensor, angles: tuple[Tensor, ...]) -> Tensor:
        cos, sin = (angle.to(torch.float32 if x.dtype != torch.float64 else x.dtype) for angle in angles)
        width = 2 * len(self.rates)
        turned, kept = x[..., :width], x[..., width:]
        if self.layout == "half":
            one, other = turned.chunk(2, -1)
            pairs = torch.cat((one * cos - other * sin, other * cos + one * sin), -1)
        else:
            one, other = turned[..., 0::2], turned[..., 1::2]
            pairs = torch.stack((one * cos - other * sin, other * cos + one * sin), -1).flatten(-2)
        pairs = pairs.to(x.dtype)
        return pairs if kept.shape[-1] == 0 else torch.cat((pairs, kept), -1)

    def back(self, x: Tensor, angles: tuple[Tensor, ...]) -> Tensor:
        cos, sin = angles
        return self.turn(x, (cos, -sin))

    def ask(self, query: Tensor) -> Tensor:
        return query if self.heat == 1.0 else query * self.heat


class DynamicNtk(Rotary):
    """Rotary with base times (factor L / L0 - factor + 1)^(d / (d - 2)) in a text of L tokens, where that is above L0.

    emozilla 2023; transformers calls it `dynamic`, and takes L of the longest row of a batch.
    """

    pairs = False

    def __init__(self, *, d_rotary: int, base: float, layout: str, factor: float, original_length: int) -> None:
        super().__init__(rates=plain_rates(base, d_rotary), layout=layout, size=1.0, heat=1.0)
        self.base = base
        self.factor = factor
        self.original_length = original_length

    def angles(self, positions: Tensor, *, side: Side, lengths: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        width = 2 * len(self.rates)
        longer = self.factor * lengths().double() / self.original_length - self.factor + 1
        base = self.base * longer.clamp(min=1.0) ** (width / (width - 2))
        powers = _column([-2 * i / width for i in range(width // 2)], positions)
        return self.waves(positions, base.unsqueeze(-1) ** powers)


class Longrope(Rotary):
    """Rotary with rates for short texts and others for long ones. Ding et al. 2024, arXiv:2402.13753.

    Two-sided, the length of the text decides. Else the position of the query does: keys are turned both ways, side by
    side, and a query has zeros beside the turn that it does not read, so one dot product serves both.
    """

    pairs = False

    def __init__(
        self, *, short: Sequence[float], long: Sequence[float], original_length: int, layout: str, size: float,
        two_sided: bool,
    ) -> None:  # fmt: skip
        super().__init__(rates=short, layout=layout, size=size, heat=1.0)
        self.long = list(long)
        self.original_length = original_length
        self.two_sided = two_sided
        self.widens = 1 if two_sided else 2

    def angles(self, positions: Tensor, *, side: Side, lengths: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        short, long = _column(self.rates, positions), _column(self.long, positions)
        if self.two_sided:
            beyond = (lengths() > self.original_length).unsqueeze(-1)
            return self.waves(positions, torch.where(beyond, long, short))
        both = (*self.waves(positions, short), *self.waves(positions, long))
        return both if side == "key" else (*both, (positions >= self.original_length)[:, None, :, None])

    def turn(self, x: Tensor, angles: tuple[Tensor, ...]) -> Tensor:
        if self.two_sided:
            return super().turn(x, angles)
        short, long = super().turn(x, angles[:2]), super().turn(x, angles[2:4])
        if len(angles) == 5:
            short, long = short.masked_fill(angles[4], 0.0), long.masked_fill(~angles[4], 0.0)
        return torch.cat((short, long), -1)

    def back(self, x: Tensor, angles: tuple[Tensor, ...]) -> Tensor:
        if self.two_sided:
            return super().back(x, angles)
        short, long = x.chunk(2, -1)
        turned = (super(Longrope, self).turn(part, (cos, -sin)) for part, cos, sin in
                  ((short, *angles[:2]), (long, *angles[2:4])))  # fmt: skip
        short, long = turned
        return torch.where(angles[4], long, short)


class Xpos(Rotary):
    """Rotary, queries times z^(position / scale_base) and keys by its inverse. Sun et al. 2022, arXiv:2212.10554.

    Each side alone grows without end, z^-(position / scale_base) up to 3.5^(max_length / scale_base): the validator
    refuses lengths at which float32 would not hold it.
    """

    def __init__(self, *, d_rotary: int, base: float, layout: str, scale_base: float) -> None:
        super().__init__(rates=plain_rates(base, d_rotary), layout=layout, size=1.0, heat=1.0)
        self.decays = [math.log((2 * i / d_rotary + 0.4) / 1.4) / scale_base for i in range(d_rotary // 2)]

    def angles(self, positions: Tensor, *, side: Side, lengths: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        cos, sin = self.waves(positions, _column(self.rates, positions))
        power = positions.double().unsqueeze(-1) * _column(self.decays, positions)
        size = (power if side == "query" else -power).exp().unsqueeze(1)
        return cos * size, sin * size


class Pope(Relative):
    """softplus(x) at an angle of position * rate for each feature, as its cosines and then its sines.

    The product of a query and a key is sum m(q) m(k) cos(distance rate + t). The learned t (h e) turns the queries
    back, so that kv heads may be fewer; `settle` keeps it between -2 pi and 0. Gopalakrishnan et al. 2025,
    arXiv:2509.10534, section 3.
    """

    widens = 2

    def __init__(self, *, heads: int, width: int, base: float) -> None:
        super().__init__()
        self.rates = [base ** (-c / width) for c in range(width)]
        self.offset = nn.Parameter(torch.zeros(heads, width))

    def angles(self, positions: Tensor, *, side: Side, lengths: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        angle = (positions.double().unsqueeze(-1) * _column(self.rates, positions)).unsqueeze(1)
        return angle.cos(), angle.sin()

    def turn(self, x: Tensor, angles: tuple[Tensor, ...]) -> Tensor:
        size = F.softplus(wide(x))
        cos, sin = (angle.to(size.dtype) for angle in angles)
        return torch.cat((size * cos, size * sin), -1).to(x.dtype)

    def ask(self, query: Tensor) -> Tensor:
        """Turned queries, (b h q 2 e) or with features in front that do not turn, less t."""
        width = len(self.rates)
        plain, cos, sin = torch.split(query, [query.shape[-1] - 2 * width, width, width], -1)
        c, s = (part.unsqueeze(1).to(query.dtype) for part in (self.offset.cos(), self.offset.sin()))
        return torch.cat((plain, cos * c + sin * s, sin * c - cos * s), -1)

    @torch.no_grad()
    def settle(self) -> None:
        """Bring t back into its bounds."""
        self.offset.clamp_(-2 * math.pi, 0)


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    """(1 1 r)."""
    return torch.tensor(numbers, device=like.device, dtype=torch.float64).view(1, 1, -1)


def plain_rates(base: float, d_rotary: int) -> list[float]:
    """base^(-2i / d_rotary)."""
    return [base ** (-2 * i / d_rotary) for i in range(d_rotary // 2)]


def _llama3_rates(rates: list[float], scaling: spec.Llama3) -> list[float]:
    found = []
    for rate in rates:
        turns = scaling.original_length * rate / (2 * math.pi)
        kept = min(max((turns - scaling.low) / (scaling.high - scaling.low), 0.0), 1.0)
        found.append((1 - kept) * rate / scaling.factor + kept * rate)
    return found


def _yarn_rates(rates: list[float], base: float, scaling: spec.Yarn) -> list[float]:
    width = 2 * len(rates)

    def pair(turns: float) -> float:
        """The number, not whole, of the pair that turns so often in the original length."""
        return width * math.log(scaling.original_length / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = pair(scaling.beta_fast), pair(scaling.beta_slow)
    if scaling.ramp == "rounded":
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    high = high + 0.001 if low == high else high
    found = []
    for i, rate in enumerate(rates):
        slowed = min(max((i - low) / (high - low), 0.0), 1.0)
        found.append(rate / scaling.factor * slowed + rate * (1 - slowed))
    return found


def build_rotary(position: spec.Rotary, *, two_sided: bool) -> Rotary:
    """The module of a rotary position; two_sided where the mask lets a query look ahead."""
    scaling, base, width, layout = position.scaling, position.base, position.d_rotary, position.layout
    rates, size, heat = plain_rates(base, width), 1.0, 1.0
    match scaling:
        case spec.NoScaling():
            pass
        case spec.Linear():
            rates = [rate / scaling.factor for rate in rates]
        case spec.Ntk():
            rates = plain_rates(base * scaling.factor ** (width / (width - 2)), width)
        case spec.DynamicNtk():
            return DynamicNtk(
                d_rotary=width, base=base, layout=layout, factor=scaling.factor, original_length=scaling.original_length
            )
        case spec.Llama3():
            rates = _llama3_rates(rates, scaling)
        case spec.Yarn():
            rates = _yarn_rates(rates, base, scaling)
            warmth = 0.1 * math.log(scaling.factor) + 1
            size = warmth if scaling.temperature == "rotation" else 1.0
            heat = warmth**2 if scaling.temperature == "logits" else 1.0
        case spec.Longrope():
            return Longrope(
                short=[rate / each for rate, each in zip(rates, scaling.short, strict=True)],
                long=[rate / each for rate, each in zip(rates, scaling.long, strict=True)],
                original_length=scaling.original_length,
                layout=layout,
                size=math.sqrt(1 + math.log(scaling.factor) / math.log(scaling.original_length)),
                two_sided=two_sided,
            )
        case _:
            assert_never(scaling)
    return Rotary(rates=rates, layout=layout, size=size, heat=heat)
