"""How well a query fits each key. A query (e) and keys (k e) give one score a key (k), in nats.

Weights of a score are laid out as one head of attncli.nn keeps them: an input a row.
"""

from math import fsum, sqrt, tanh

from attncli.reference.vectors import Matrix, Vector, dot, length, plus, row_times, times


def scaled_dot(query: Vector, keys: Matrix, *, scale: float | None = None) -> list[float]:
    """scale q.k, by default with scale 1/sqrt(e). Vaswani et al. 2017, arXiv:1706.03762, eq. 1."""
    factor = 1 / sqrt(len(query)) if scale is None else scale
    return [factor * dot(query, key) for key in keys]


def dot_product(query: Vector, keys: Matrix) -> list[float]:
    """q.k. Luong et al. 2015, arXiv:1508.04025, eq. 8."""
    return [dot(query, key) for key in keys]


def cosine(query: Vector, keys: Matrix, *, temperature: float = 1.0) -> list[float]:
    """temperature q.k / (|q| |k|), 0 where a length is 0. Henry et al. 2020, arXiv:2010.04245, eq. 4."""
    lengths = [length(query) * length(key) for key in keys]
    return [temperature * dot(query, key) / size if size else 0.0 for key, size in zip(keys, lengths, strict=True)]


def general(query: Vector, keys: Matrix, *, weight: Matrix) -> list[float]:
    """q W k with W (e_q e_k). Luong et al. 2015, arXiv:1508.04025, eq. 8."""
    asked = row_times(query, weight)
    return [dot(asked, key) for key in keys]


def biased_dot(query: Vector, keys: Matrix, values: Matrix, *, of_query: Vector, of_value: Vector) -> list[float]:
    """(q.k + w_q.q + w_v.v) / sqrt(e): the founding article's "additive" attention (4.1.2).

    w_q.q is one number for the whole row, so a softmax does not see it.
    """
    constant = dot(of_query, query)
    return [
        (dot(query, key) + constant + dot(of_value, value)) / sqrt(len(query))
        for key, value in zip(keys, values, strict=True)
    ]


def trilinear(query: Vector, keys: Matrix, *, of_query: Vector, of_key: Vector, of_product: Vector) -> list[float]:
    """w.[q; k; q * k], with w = [of_query; of_key; of_product]. Seo et al. 2017, arXiv:1611.01603, eq. 1."""
    weight = [*of_query, *of_key, *of_product]
    return [dot(weight, [*query, *key, *times(query, key)]) for key in keys]


def distance(query: Vector, keys: Matrix) -> list[float]:
    """-|q - k|^2 / sqrt(e). Kim et al. 2021, arXiv:2006.04710, section 3.2."""
    return [-fsum((a - b) ** 2 for a, b in zip(query, key, strict=True)) / sqrt(len(query)) for key in keys]


def additive(query: Vector, keys: Matrix, *, of_query: Matrix, of_key: Matrix, weight: Vector) -> list[float]:
    """w.tanh(q Q + k K) with Q (e_q a), K (e_k a), w (a). Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2."""
    asked = row_times(query, of_query)
    return [dot(weight, [tanh(x) for x in plus(asked, row_times(key, of_key))]) for key in keys]


def location(query: Vector, keys: int, *, weight: Matrix) -> list[float]:
    """q W, one score for each of the first `keys` positions, with W (e max_length): the keys are not looked at.

    Luong et al. 2015, arXiv:1508.04025, eq. 9.
    """
    return row_times(query, weight)[:keys]


def synthesizer(query: Vector, keys: int, *, weight: Matrix, bias: Vector) -> list[float]:
    """relu(q) W + b, one score for each of the first `keys` positions, with W (e max_length).

    Tay et al. 2020, arXiv:2005.00743, eq. 4; the first map of its two is the one that made q.
    """
    return plus(row_times([max(x, 0.0) for x in query], weight), bias)[:keys]
