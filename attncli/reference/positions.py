"""How a model knows the order of its tokens. Positions are whole numbers from 0."""

from math import cos, floor, log2, sin

from attncli.reference.vectors import Vector


def rotary(
    x: Vector, position: float, *, base: float = 10000.0, d_rotary: int | None = None, layout: str = "half"
) -> list[float]:
    """Pairs of features (a, b) turned by position base^(-2i / d_rotary): (a cos - b sin, b cos + a sin).

    `half` pairs feature i with i + d_rotary/2, `interleaved` 2i with 2i + 1; features from d_rotary on stay.
    Su et al. 2021, arXiv:2104.09864, eq. 34.
    """
    width = len(x) if d_rotary is None else d_rotary
    turned = list(x)
    for i in range(width // 2):
        one, other = (i, i + width // 2) if layout == "half" else (2 * i, 2 * i + 1)
        angle = position * base ** (-2 * i / width)
        turned[one] = x[one] * cos(angle) - x[other] * sin(angle)
        turned[other] = x[other] * cos(angle) + x[one] * sin(angle)
    return turned


def alibi_slopes(heads: int) -> list[float]:
    """The slope of each head: 2^(-8/n), 2^(-16/n), … for a power of two n.

    Any other number takes those of the power below, then the first, third, fifth, … of the power above: the recipe of
    the authors' code. Press et al. 2022, arXiv:2108.12409, section 3.
    """
    below = 2 ** floor(log2(heads))
    slopes = [2.0 ** (-8 * head / below) for head in range(1, below + 1)]
    return slopes if below == heads else slopes + alibi_slopes(2 * below)[0::2][: heads - below]


def alibi(slope: float, q: int, k: int) -> float:
    """What is added to the score of query q and key k: -slope |q - k|."""
    return -slope * abs(q - k)


def t5_bucket(offset: int, *, buckets: int = 32, max_distance: int = 128, two_sided: bool = True) -> int:
    """The bucket of a key at query + offset, by exact powers. Raffel et al. 2020, arXiv:1910.10683, section 2.1.

    Two sides share the buckets by halves, the second for keys after the query; one side sees every later key at
    distance 0. Half of a side's buckets are exact distances; of the other m, number j begins at the distance
    exact (max_distance / exact)^(j / m), and the last holds all that is farther.
    """
    side = 0
    if two_sided:
        buckets //= 2
        side = buckets if offset > 0 else 0
    distance = abs(offset) if two_sided else max(-offset, 0)
    exact = buckets // 2
    if distance < exact:
        return side + distance
    rest = buckets - exact
    far = 0
    while far < rest - 1 and max_distance ** (far + 1) * exact ** (rest - far - 1) <= distance**rest:
        far += 1
    return side + exact + far


def sinusoidal(position: float, *, d_model: int, base: float = 10000.0, layout: str = "interleaved") -> list[float]:
    """Waves sin(position base^(-2i / d)) and cos of the same, to be added to an embedding.

    `interleaved` is sin, cos, sin, cos, … as in the paper; `concatenated` all sines, then all cosines, as in its
    authors' code. Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    angles = [position * base ** (-2 * i / d_model) for i in range(d_model // 2)]
    if layout == "concatenated":
        return [sin(angle) for angle in angles] + [cos(angle) for angle in angles]
    return [wave(angle) for angle in angles for wave in (sin, cos)]
