"""Biases of the distance between a query and a key."""

from math import cos, exp, floor, fsum, log, log2

from attncli.reference.vectors import Matrix, Vector, affine, dot


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


def kerple(distance: int, *, size: float, shape: float, form: str = "logarithm") -> float:
    """-size ln(1 + shape |d|), or -size |d|^shape. Chi et al. 2022, arXiv:2205.09921."""
    far = abs(distance)
    return -size * log(1 + shape * far) if form == "logarithm" else -size * far**shape


def sandwich(distance: int, head: int, *, heads: int, width: int = 128, base: float = 10000.0) -> float:
    """What two sinusoidal vectors share, sum_i cos(d base^(-2i / width)), over 8 h / H for head h = 1 … H.

    Chi et al. 2023, arXiv:2212.10356, and its listing. `head` counts from 0.
    """
    shared = fsum(cos(distance / base ** (2 * i / width)) for i in range(width // 2))
    return shared / (8 * (head + 1) / heads)


def log_distance(offset: int, *, hidden: Matrix, hidden_bias: Vector, out: Vector) -> float:
    """16 sigmoid(out . relu(hidden x + b)), x = sign(k - q) ln(1 + |k - q|). Liu et al. 2022, arXiv:2111.09883, eq. 4.

    `offset` is k - q; 16 sigmoid is in the authors' code.
    """
    x = log(1 + abs(offset)) * (1 if offset >= 0 else -1)
    units = [max(0.0, each) for each in affine([x], hidden, hidden_bias)]
    return 16 / (1 + exp(-dot(out, units)))
