"""Latent attention in its absorbed form: heads compare and mix the latents themselves, and no key or value is made.

q . (U c) = (U' q) . c, and sum_k w_k (U c_k) = U (sum_k w_k c_k). DeepSeek-AI 2024, arXiv:2405.04434, section 2.1.2.
"""

from collections.abc import Callable
from typing import NamedTuple

from attncli.reference.attention import Heads, Row, Visible, one_head, split
from attncli.reference.vectors import Matrix, Vector, affine, dot, row_times

Norm = Callable[[Vector], list[float]]


class Latents(NamedTuple):
    """The maps, as torch.nn.Linear keeps them (outputs inputs), with the biases that they have, and the norms."""

    query_down: Matrix | None
    query_up: Matrix
    kv_down: Matrix
    kv_up: Matrix
    output: Matrix
    query_norm: Norm
    kv_norm: Norm
    query_bias: Vector | None = None
    kv_bias: Vector | None = None
    output_bias: Vector | None = None


def latent(
    x: Matrix,
    memory: Matrix,
    maps: Latents,
    *,
    heads: int,
    d_head: int,
    d_rotary: int,
    visible: Visible,
    turn: Callable[[Vector, int, str, int], list[float]],
    bias: Callable[[int, int, int], float] | None = None,
    heat: float = 1.0,
) -> Heads:
    """Outputs (q d) and each head's rows; `heat` is a factor on the scores.

    kv_up has a row for each feature of a head's key, then of its value.
    """
    rank = len(maps.kv_up[0])
    read = [affine(each, maps.kv_down, maps.kv_bias) for each in memory]
    latents = [maps.kv_norm(each[:rank]) for each in read]
    shared = [turn(each[rank:], place, "key", 0) for place, each in enumerate(read)]
    asked = [each if maps.query_down is None else maps.query_norm(affine(each, maps.query_down, maps.query_bias))
             for each in x]  # fmt: skip
    queries = [split(affine(each, maps.query_up), heads) for each in asked]
    per_head = len(maps.kv_up) // heads
    rows: list[list[Row]] = []
    for head in range(heads):
        own = maps.kv_up[head * per_head : (head + 1) * per_head]
        absorbed = [
            [*row_times(query[head][:d_head], own[:d_head]), *turn(query[head][d_head:], place, "query", head)]
            for place, query in enumerate(queries)
        ]
        keys = [[*c, *r] for c, r in zip(latents, shared, strict=True)]

        def scored(query: Vector, keys: Matrix = keys) -> list[float]:
            return [heat * dot(query, key) / (d_head + d_rotary) ** 0.5 for key in keys]

        def sees(q: int, k: int, head: int = head) -> bool:
            return visible(q, k, head)

        def added(q: int, k: int, head: int = head) -> float:
            return 0.0 if bias is None else bias(q, k, head)

        mixed = one_head(absorbed, latents, score=scored, visible=sees, bias=added)
        rows.append([Row(row.weights, affine(row.context, own[d_head:])) for row in mixed])
    joined = [[each for head in range(heads) for each in rows[head][q].context] for q in range(len(x))]
    return Heads([affine(each, maps.output, maps.output_bias) for each in joined], rows)
