"""Positions that are added to an embedding."""

from math import cos, sin


def sinusoidal(position: float, *, d_model: int, base: float = 10000.0, layout: str = "interleaved") -> list[float]:
    """Waves sin(position base^(-2i / d)) and cos of the same, to be added to an embedding.

    `interleaved` is sin, cos, sin, cos, … as in the paper; `concatenated` all sines, then all cosines, as in its
    authors' code. Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    angles = [position * base ** (-2 * i / d_model) for i in range(d_model // 2)]
    if layout == "concatenated":
        return [sin(angle) for angle in angles] + [cos(angle) for angle in angles]
    return [wave(angle) for angle in angles for wave in (sin, cos)]
