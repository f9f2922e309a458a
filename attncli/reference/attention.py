"""One attention: scores, mask, weights, mixture, in one head or in several.

What is hidden is taken out of the row before it is normalized, and has weight 0; a row that sees nothing gives zeros.
"""

from collections.abc import Callable, Sequence
from math import fsum
from typing import NamedTuple

from attncli.reference.normalizers import softmax
from attncli.reference.steps import PLAIN, Steps, mixed_heads, on_attention, unmarked
from attncli.reference.vectors import Matrix, Vector, affine, plus, times

Normalizer = Callable[[Vector], list[float]]


Joint = Callable[[int, Matrix, Sequence[Sequence[bool]]], list[list[float]]]
"""(head, scores (q k), what is seen) to weights (q k)."""


def _softmax_of(head: int) -> Normalizer:
    return softmax


Visible = Callable[[int, int, int], bool]
"""(query, key, head) to whether it is seen."""


class Related(NamedTuple):
    """What a position makes of the tokens of one head: what joins the scores, and the mixture."""

    term: Callable[[int, int, Vector, Matrix, Vector, Sequence[bool]], list[float]] | None = None
    """(head, q, query, keys, scores, seen) to what joins the scores (k)."""
    carry: Callable[[int, Vector], list[float]] | None = None
    """(q, weights) to what joins the mixture (v)."""
    met: Callable[[Vector, int, int | None], list[float]] | None = None
    """(key, q, k) to the key as the query meets it, where the keys are the values; k is None of one without a place."""
    placeless: Callable[[int, Matrix, Vector], list[float]] | None = None
    """(head, keys, scores) to the scores of learned keys, which stand nowhere: what joins them of other terms."""


class Row(NamedTuple):
    """One query's weights (k), and the mixture of the values (v) that they make."""

    weights: list[float]
    context: list[float]


def weigh(scores: Vector, *, normalizer: Normalizer = softmax, visible: Sequence[bool] | None = None) -> list[float]:
    """Weights (k): normalizer(scores of the visible keys), and 0 for the others."""
    seen = [k for k in range(len(scores)) if visible is None or visible[k]]
    weights = [0.0] * len(scores)
    for k, weight in zip(seen, normalizer([scores[k] for k in seen]), strict=True):
        weights[k] = weight
    return weights


def blend(weights: Vector, values: Matrix) -> list[float]:
    """sum_k weights_k values_k."""
    width = len(values[0]) if values else 0
    return [fsum(weights[k] * values[k][i] for k in range(len(values))) for i in range(width)]


def mix(
    scores: Vector, values: Matrix, *, normalizer: Normalizer = softmax, visible: Sequence[bool] | None = None
) -> Row:
    """weights = normalizer(scores of the visible keys); context = sum_k weights_k values_k."""
    weights = weigh(scores, normalizer=normalizer, visible=visible)
    return Row(weights, blend(weights, values))


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
    """The output (q d) of multi-head attention, each head's rows, and its weights (h q k) before heads are mixed."""

    output: list[list[float]]
    rows: list[list[Row]]
    weighed: list[list[list[float]]] = []  # noqa: RUF012 (it is a value)


def values_of(memory: Matrix, maps: Projections, *, kv_heads: int, steps: Steps = PLAIN) -> list[list[list[float]]]:
    """(k g v): the values of each place."""
    mixed = steps.near("value", [affine(each, maps.value, maps.value_bias) for each in memory])
    return [steps.value(split(each, kv_heads)) for each in mixed]


def multi_head(
    x: Matrix,
    memory: Matrix,
    maps: Projections,
    *,
    heads: int,
    kv_heads: int,
    score: Callable[[int, Vector, Matrix, Matrix], list[float]],
    normalizer: Callable[[int], Normalizer] = _softmax_of,
    visible: Visible | None = None,
    bias: Callable[[int, int, int], float] | None = None,
    turn: Callable[[Vector, int, str, int], list[float]] | None = None,
    related: Related = Related(),  # noqa: B008 (it is a value)
    steps: Steps = PLAIN,
    joint: Joint | None = None,
    values: list[list[list[float]]] | None = None,
) -> Heads:
    """Each head attends with its slice of the projected states; the heads' mixtures, side by side, are mapped.

    Query head h reads key and value head h // (heads / kv_heads). What is split is the width of each state: every head
    sees the whole sequence. `score(head, query, keys, values)`; `normalizer(head)`; `visible` and `bias` of
    (query, key, head); `turn(vector, position, side, head)` for queries and keys; `related` is what a position makes
    of them; `steps` as in steps.py; `joint` makes the weights of all queries of a head at once, in place of
    `normalizer`; `values` (k g v) stand in place of those that the maps make.
    Shapes: x (q d_query), memory (k d_memory). Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2; kv heads:
    Ainslie et al. 2023, arXiv:2305.13245.
    """
    ahead = len(steps.persistent[0].keys) if steps.persistent else 0
    asked = steps.near("query", [affine(each, maps.query, maps.query_bias) for each in x])
    compared = steps.near("key", [affine(each, maps.key, maps.key_bias) for each in memory])
    queries = [steps.query(split(each, heads)) for each in asked]
    keys = [steps.key(split(each, kv_heads)) for each in compared]
    values = values_of(memory, maps, kv_heads=kv_heads, steps=steps) if values is None else values
    plain = keys
    if turn is not None:
        queries = [[turn(part, q, "query", head) for head, part in enumerate(query)] for q, query in enumerate(queries)]
        keys = [[turn(part, k, "key", head) for head, part in enumerate(key)] for k, key in enumerate(keys)]
    groups = [head // (heads // kv_heads) for head in range(heads)]
    held = [steps.values(group) + [value[group] for value in values] for group in groups]
    read = [steps.keys(group) + [key[group] for key in keys] for group in groups]
    scored: list[list[list[float]]] = []  # (q h k)
    gazes: list[list[list[float]]] = []  # (q h k)
    for q, query in enumerate(queries):
        scores = [score(head, query[head], read[head], held[head]) for head in range(heads)]
        seen = [[visible is None or visible(q, k, head) for k in range(len(keys))] for head in range(heads)]
        if related.term is not None:
            added = [
                related.term(head, q, query[head], read[head][ahead:], scores[head][ahead:], seen[head])
                for head in range(heads)
            ]
            learned = [row[:ahead] for row in scores]
            if related.placeless is not None:
                learned = [related.placeless(head, read[head][:ahead], row) for head, row in enumerate(learned)]
            scores = [own + plus(row[ahead:], more) for own, row, more in zip(learned, scores, added, strict=True)]
        scores = steps.logits(q, scores)
        if bias is not None:
            scores = [
                row[:ahead] + [each + bias(q, k, head) for k, each in enumerate(row[ahead:])]
                for head, row in enumerate(scores)
            ]
        scored.append(mixed_heads(steps.before, scores))
        gazes.append([[1.0] * ahead + steps.gazes(head, query[head], len(keys)) for head in range(heads)])
    if steps.selective:
        first = [[visible is None or visible(q, k, 0) for k in range(len(keys))] for q in range(len(queries))]
        scored = unmarked(scored, first, ahead=ahead)
    weighed: list[list[list[float]]] = []  # (h q k)
    for head in range(heads):
        own = [row[head] for row in scored]
        gaze = [row[head] for row in gazes]
        within = [
            [near > 0 and (visible is None or visible(q, k, head)) for k, near in enumerate(row[ahead:])]
            for q, row in enumerate(gaze)
        ]
        seen = [[True] * ahead + steps.chosen(row[ahead:], sees) for row, sees in zip(own, within, strict=True)]
        made = joint(head, own, seen) if joint is not None else [
            _row(steps, head, q, row, sees, normalizer(head), ahead)
            for q, (row, sees) in enumerate(zip(own, seen, strict=True))
        ]  # fmt: skip
        weighed.append([times(row, factors) for row, factors in zip(made, gaze, strict=True)])
    rows: list[list[Row]] = [[] for _ in range(heads)]
    joined = []
    for q in range(len(queries)):
        weights = mixed_heads(steps.after, [own[q] for own in weighed])
        if related.met is not None:
            held = [_as_met(related.met, q, steps.keys(group), [key[group] for key in plain]) for group in groups]
        contexts = [blend(row, values) for row, values in zip(weights, held, strict=True)]
        if related.carry is not None:
            contexts = [plus(each, related.carry(q, row[ahead:])) for each, row in zip(contexts, weights, strict=True)]
        for head, (row, context) in enumerate(zip(weights, contexts, strict=True)):
            rows[head].append(Row(row, context))
        joined.append([number for context in steps.leave(x[q], contexts) for number in context])
    return Heads(leaving(joined, x, maps, steps), rows, weighed)


def leaving(joined: Matrix, x: Matrix, maps: Projections, steps: Steps) -> list[list[float]]:
    """The output of each place: its heads' mixtures, side by side, mapped."""
    if steps.on_attention:
        return [on_attention(each, own, maps.output, maps.output_bias) for each, own in zip(joined, x, strict=True)]
    return [affine(each, maps.output, maps.output_bias) for each in joined]


def _as_met(
    met: Callable[[Vector, int, int | None], list[float]], q: int, learned: Matrix, keys: Matrix
) -> list[list[float]]:
    """The keys of one head as query q meets them, the learned ones in front."""
    return [met(key, q, None) for key in learned] + [met(key, q, k) for k, key in enumerate(keys)]


def _row(
    steps: Steps, head: int, q: int, scores: Vector, seen: list[bool], normalizer: Normalizer, ahead: int
) -> list[float]:
    """The weights of one query in one head."""
    away = [float("-inf")] * ahead + [float(abs(q - k)) for k in range(len(scores) - ahead)]
    near = [x for x, sees in zip(away, seen, strict=True) if sees]
    return weigh(scores, normalizer=lambda row: steps.weigh(head, list(row), near, normalizer), visible=seen)


def split(x: list[float], parts: int) -> list[list[float]]:
    """A vector cut into parts of one width."""
    width = len(x) // parts
    return [x[part * width : (part + 1) * width] for part in range(parts)]
