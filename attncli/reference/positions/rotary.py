"""Positions that turn queries and keys, and the rates that stretch them to longer texts."""

from cmath import rect
from collections.abc import Sequence
from math import ceil, cos, exp, floor, fsum, log, log1p, pi, sin, sqrt

from attncli.reference.vectors import Vector


def rotary(
    x: Vector,
    position: float,
    *,
    base: float = 10000.0,
    d_rotary: int | None = None,
    layout: str = "half",
    rates: Sequence[float] | None = None,
) -> list[float]:
    """Pairs of features (a, b) turned by position base^(-2i / d_rotary): (a cos - b sin, b cos + a sin).

    `half` pairs feature i with i + d_rotary/2, `interleaved` 2i with 2i + 1; features from d_rotary on stay.
    `rates` stand for base^(-2i / d_rotary) where a scaling changed them. Su et al. 2021, arXiv:2104.09864, eq. 34.
    """
    width = len(x) if d_rotary is None else d_rotary
    turned = list(x)
    for i in range(width // 2):
        one, other = (i, i + width // 2) if layout == "half" else (2 * i, 2 * i + 1)
        angle = position * (base ** (-2 * i / width) if rates is None else rates[i])
        turned[one] = x[one] * cos(angle) - x[other] * sin(angle)
        turned[other] = x[other] * cos(angle) + x[one] * sin(angle)
    return turned


def plain(pairs: int, base: float = 10000.0) -> list[float]:
    """Radians that each pair of features turns by from one position to the next: base^(-2i / d)."""
    return [base ** (-i / pairs) for i in range(pairs)]


def linear(rates: Vector, *, factor: float) -> list[float]:
    """Positions divided by factor. Chen et al. 2023, arXiv:2306.15595, eq. 4."""
    return [rate / factor for rate in rates]


def ntk(pairs: int, *, factor: float, base: float = 10000.0) -> list[float]:
    """The base grown so that the last pair turns factor times slower. Peng et al. 2023, arXiv:2309.00071, def. 1."""
    grown = base * factor ** (2 * pairs / (2 * pairs - 2))
    return plain(pairs, grown)


def dynamic_ntk(pairs: int, *, length: int, factor: float, original_length: int, base: float = 10000.0) -> list[float]:
    """ntk in a text of `length` tokens, by factor length / original_length - factor + 1 where that is above 1."""
    return ntk(pairs, factor=max(1.0, factor * length / original_length - (factor - 1)), base=base)


def llama3(rates: Vector, *, factor: float, original_length: int, low: float = 1.0, high: float = 4.0) -> list[float]:
    """By wavelength: above original_length / low divided by factor, below original_length / high kept, else between.

    As the code of Llama 3.1 has it.
    """
    found = []
    for rate in rates:
        wavelength = 2 * pi / rate
        if wavelength > original_length / low:
            found.append(rate / factor)
        elif wavelength < original_length / high:
            found.append(rate)
        else:
            smooth = (original_length / wavelength - low) / (high - low)
            found.append((1 - smooth) * rate / factor + smooth * rate)
    return found


def yarn(
    pairs: int,
    *,
    factor: float,
    original_length: int,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    ramp: str = "rounded",
    base: float = 10000.0,
) -> list[float]:
    """Pairs that turn more than beta_fast times in original_length kept, fewer than beta_slow divided by factor.

    Pair i turns r times where i = pairs ln(original_length / 2 pi r) / ln(base): between the two the share is linear
    in i. Peng et al. 2023, arXiv:2309.00071, section 3.2, with the ramp of its code.
    """
    first, last = (pairs * log(original_length / (2 * pi * turns)) / log(base) for turns in (beta_fast, beta_slow))
    if ramp == "rounded":
        first, last = floor(first), ceil(last)
    first, last = max(first, 0), min(last, 2 * pairs - 1)
    found = []
    for i, rate in enumerate(plain(pairs, base)):
        share = 0.0 if i <= first else 1.0 if i >= last else (i - first) / (last - first)
        found.append((1 - share) * rate + share * rate / factor)
    return found


def yarn_temperature(factor: float) -> float:
    """By which turned features grow; scores grow by its square. Peng et al. 2023, arXiv:2309.00071, section 3.4."""
    return 1 + log(factor) / 10


def longrope(rates: Vector, *, by: Vector) -> list[float]:
    """Each rate divided by a number of its own. Ding et al. 2024, arXiv:2402.13753."""
    return [rate / each for rate, each in zip(rates, by, strict=True)]


def longrope_temperature(*, factor: float, original_length: int) -> float:
    """By which turned features grow."""
    return sqrt(1 + log(factor) / log(original_length))


def xpos_size(position: float, pair: int, *, d_rotary: int, scale_base: float = 512.0) -> float:
    """By which a pair of a query grows; that of a key shrinks by it. Sun et al. 2022, arXiv:2212.10554, algorithm 1."""
    gamma = 0.4
    base = (pair / (d_rotary / 2) + gamma) / (1 + gamma)
    return exp(log(base) * position / scale_base)


def xpos(
    x: Vector, position: float, *, side: str, d_rotary: int, scale_base: float, layout: str, base: float = 10000.0
) -> list[float]:
    """A turned query or key, each pair times its size or divided by it."""
    found = rotary(x, position, base=base, d_rotary=d_rotary, layout=layout)
    for pair in range(d_rotary // 2):
        size = xpos_size(position, pair, d_rotary=d_rotary, scale_base=scale_base)
        for i in (pair, pair + d_rotary // 2) if layout == "half" else (2 * pair, 2 * pair + 1):
            found[i] = found[i] * size if side == "query" else found[i] / size
    return found


def pope(x: Vector, position: float, *, base: float = 10000.0) -> list[complex]:
    """softplus(x_c) at the angle position base^(-c / d). Gopalakrishnan et al. 2025, arXiv:2509.10534, section 3."""
    return [rect(log1p(exp(each)), position * base ** (-c / len(x))) for c, each in enumerate(x)]


def pope_score(query: Sequence[complex], key: Sequence[complex], offset: Vector) -> float:
    """The real part of sum conj(q_c) k_c e^(i t_c)."""
    return fsum((q.conjugate() * k * rect(1.0, t)).real for q, k, t in zip(query, key, offset, strict=True))
