"""One attention: scores, mask, weights, mixture, in one head or in several.

What is hidden is taken out of the row before it is normalized, and has weight 0; a row that sees nothing gives zeros.
"""

from collections.abc import Callable, Sequence
from math import fsum
from typing import NamedTuple

from attncli.reference.normalizers import softmax
from attncli.reference.vectors import Matrix, Vector, affine

Normalizer = Callable[[Vector], list[float]]
Visible = Callable[[int, int, int], bool]
"""(query, key, head) to whether it is seen."""


class Row(NamedTuple):
    """One query's weights (k), and the mixture of the values (v) that they make."""

    weights: list[float]
    context: list[float]


def mix(
    scores: Vector, values: Matrix, *, normalizer: Normalizer = softmax, visible: Sequence[bool] | None = None
) -> Row:
    """weights = normalizer(scores of the visible keys); context = sum_k weights_k values_k."""
    seen = [k for k in range(len(scores)) if visible is None or visible[k]]
    weights = [0.0] * len(scores)
    for k, weight in zip(seen, normalizer([scores[k] for k in seen]), strict=True):
        weights[k] = weight
    width = len(values[0]) if values else 0
    return Row(weights, [fsum(weights[k] * values[k][i] for k in range(len(values))) for i in range(width)])


def one_head(
    queries: Matrix,
    values: Matrix,
    *,
    score: Callable[[Vector], list[float]],
    normalizer: Normalizer = softmax,
    visible: Callable[[int, int], bool] | None = None,
    bias: Callable[[int, int], float] | None = None,
) -> list[Row]:
    """One Row for each query. `score` gives a query's scores (k); `bias(q, k)` is added before the mask."""
    rows = []
    for q, query in enumerate(queries):
        scores = score(query)
        if bias is not None:
            scores = [each + bias(q, k) for k, each in enumerate(scores)]
        seen = None if visible is None else [visible(q, k) for k in range(len(scores))]
        rows.append(mix(scores, values, normalizer=normalizer, visible=seen))
    return rows


class Projections(NamedTuple):
    """The linear maps of multi-head attention, as torch.nn.Linear keeps them (outputs inputs), and their biases."""

    query: Matrix
    key: Matrix
    value: Matrix
    output: Matrix
    query_bias: Vector | None = None
    key_bias: Vector | None = None
    value_bias: Vector | None = None
    output_bias: Vector | None = None


class Heads(NamedTuple):
    """The output (q d) of multi-head attention, and each head's rows."""

    output: list[list[float]]
    rows: list[list[Row]]


def multi_head(
    x: Matrix,
    memory: Matrix,
    maps: Projections,
    *,
    heads: int,
    kv_heads: int,
    score: Callable[[int, Vector, Matrix, Matrix], list[float]],
    normalizer: Normalizer = softmax,
    visible: Visible | None = None,
    bias: Callable[[int, int, int], float] | None = None,
    turn: Callable[[Vector, int], list[float]] | None = None,
) -> Heads:
    """Each head attends with its slice of the projected states; the heads' mixtures, side by side, are mapped.

    Query head h reads key and value head h // (heads / kv_heads). What is split is the width of each state: every head
    sees the whole sequence. `score(head, query, keys, values)`; `visible` and `bias` of (query, key, head);
    `turn(vector, position)` for queries and keys.
    Shapes: x (q d_query), memory (k d_memory). Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2; kv heads:
    Ainslie et al. 2023, arXiv:2305.13245.
    """
    queries = [_split(affine(each, maps.query, maps.query_bias), heads) for each in x]
    keys = [_split(affine(each, maps.key, maps.key_bias), kv_heads) for each in memory]
    values = [_split(affine(each, maps.value, maps.value_bias), kv_heads) for each in memory]

    def of_head(head: int) -> list[Row]:
        group = head // (heads // kv_heads)
        asked, read = [query[head] for query in queries], [key[group] for key in keys]
        held = [value[group] for value in values]
        if turn is not None:
            asked = [turn(query, q) for q, query in enumerate(asked)]
            read = [turn(key, k) for k, key in enumerate(read)]
        return one_head(
            asked,
            held,
            score=lambda query: score(head, query, read, held),
            normalizer=normalizer,
            visible=None if visible is None else lambda q, k: visible(q, k, head),
            bias=None if bias is None else lambda q, k: bias(q, k, head),
        )

    rows = [of_head(head) for head in range(heads)]
    joined = [[number for own in rows for number in own[q].context] for q in range(len(x))]
    return Heads([affine(each, maps.output, maps.output_bias) for each in joined], rows)


def _split(x: list[float], parts: int) -> list[list[float]]:
    width = len(x) // parts
    return [x[part * width : (part + 1) * width] for part in range(parts)]
