"""Worked examples of scores and normalizers: one query, three tokens, numbers that can be followed by hand."""

from collections.abc import Callable, Iterator
from math import exp, log, tanh

from attncli.reference import normalizers, scores
from attncli.reference.attention import mix
from attncli.reference.vectors import dot, length, plus, row_times, times
from attncli.spec.base import Spec
from attncli.spec.explain import worked_sequential
from attncli.spec.explain.entries import Step
from attncli.spec.masks import parse
from attncli.spec.normalizers import (
    Budget,
    Entmax,
    ForwardAttention,
    Gumbel,
    Hard,
    Monotonic,
    MovingWindow,
    Normmax,
    Pointwise,
    Queries,
    Sigmoid,
    Signed,
    Softmax,
    Sparsemax,
    Sum,
)  # fmt: skip
from attncli.spec.scores import (
    Additive,
    BiasedDot,
    Cosine,
    Coverage,
    Distance,
    Dot,
    General,
    Location,
    LocationAware,
    ScaledDot,
    Synthesizer,
    Trilinear,
)

QUERY = [1.0, 0.5]
KEYS = [[1.0, 0.0], [0.5, 2.0], [1.0, 1.0]]
VALUES = [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]
MASK, PLACE = parse("causal"), 1
SQUARE = [[1.0, 0.0], [0.5, 1.0]]
TABLE = [[0.5, 1.0, -1.0, 0.0], [1.0, 0.0, 2.0, -1.0]]
ROW = [1.2, 0.4, -0.6, 1.0]

Parts = Iterator[Step | list[float]]
"""The steps to the scores, the last of which is the scores themselves."""


def _scaled_dot() -> Parts:
    yield Step("q.k", scores.dot_product(QUERY, KEYS))
    found = scores.scaled_dot(QUERY, KEYS)
    yield Step("scores = q.k / sqrt(2)", found)
    yield found


def _dot() -> Parts:
    scaled, found = scores.scaled_dot(QUERY, KEYS), scores.dot_product(QUERY, KEYS)
    yield Step("q.k / sqrt(2), as scaled_dot", scaled)
    yield Step("  its weights over all keys", normalizers.softmax(scaled))
    yield Step("scores = q.k", found)
    yield Step("  weights over all keys", normalizers.softmax(found))
    yield found


def _cosine() -> Parts:
    yield Step("q.k", scores.dot_product(QUERY, KEYS))
    yield Step("|q| |k|", [length(QUERY) * length(key) for key in KEYS])
    found = scores.cosine(QUERY, KEYS)
    yield Step("scores = q.k / (|q| |k|), temperature 1", found)
    yield found


def _general() -> Parts:
    yield Step("W", SQUARE)
    yield Step("q W", row_times(QUERY, SQUARE))
    found = scores.general(QUERY, KEYS, weight=SQUARE)
    yield Step("scores = q W k", found)
    yield found


def _biased_dot() -> Parts:
    of_query, of_value = [2.0, 1.0], [0.0, 0.5]
    yield Step("w_q", of_query)
    yield Step("w_v", of_value)
    yield Step("q.k", scores.dot_product(QUERY, KEYS))
    yield Step("w_q.q, the same for every key", dot(of_query, QUERY))
    yield Step("w_v.v", [dot(of_value, value) for value in VALUES])
    without = scores.biased_dot(QUERY, KEYS, VALUES, of_query=[0.0, 0.0], of_value=of_value)
    yield Step("scores if w_q were 0", without)
    yield Step("  weights over all keys", normalizers.softmax(without))
    found = scores.biased_dot(QUERY, KEYS, VALUES, of_query=of_query, of_value=of_value)
    yield Step("scores = (q.k + w_q.q + w_v.v) / sqrt(2)", found)
    yield Step("  weights over all keys, the same", normalizers.softmax(found))
    yield found


def _additive() -> Parts:
    of_key, weight = [[1.0, -1.0], [0.5, 0.5]], [1.0, -0.5]
    yield Step("Q", SQUARE)
    yield Step("K", of_key)
    yield Step("w", weight)
    asked = row_times(QUERY, SQUARE)
    yield Step("q Q", asked)
    yield Step("k K", [row_times(key, of_key) for key in KEYS])
    yield Step("tanh(q Q + k K)", [[tanh(x) for x in plus(asked, row_times(key, of_key))] for key in KEYS])
    found = scores.additive(QUERY, KEYS, of_query=SQUARE, of_key=of_key, weight=weight)
    yield Step("scores = w.tanh(q Q + k K)", found)
    yield found


def _location() -> Parts:
    yield Step("W, a column for each of max_length = 4 positions", TABLE)
    yield Step("q W", row_times(QUERY, TABLE))
    found = scores.location(QUERY, len(KEYS), weight=TABLE)
    yield Step("scores = q W at positions 0, 1, 2", found)
    yield found


def _trilinear() -> Parts:
    of_query, of_key, of_product = [2.0, 1.0], [0.0, 0.5], [1.0, -1.0]
    yield Step("w_q", of_query)
    yield Step("w_k", of_key)
    yield Step("w", of_product)
    yield Step("w_q.q, the same for every key", dot(of_query, QUERY))
    yield Step("w_k.k", [dot(of_key, key) for key in KEYS])
    yield Step("q * k", [times(QUERY, key) for key in KEYS])
    yield Step("w.(q * k)", [dot(of_product, times(QUERY, key)) for key in KEYS])
    found = scores.trilinear(QUERY, KEYS, of_query=of_query, of_key=of_key, of_product=of_product)
    yield Step("scores = w_q.q + w_k.k + w.(q * k)", found)
    yield found


def _distance() -> Parts:
    yield Step("|q - k|^2", [sum((a - b) ** 2 for a, b in zip(QUERY, key, strict=True)) for key in KEYS])
    yield Step("  as |q|^2 - 2 q.k + |k|^2", [dot(QUERY, QUERY) - 2 * dot(QUERY, key) + dot(key, key) for key in KEYS])
    found = scores.distance(QUERY, KEYS)
    yield Step("scores = -|q - k|^2 / sqrt(2)", found)
    yield found


def _synthesizer() -> Parts:
    query, bias = [1.0, -0.5], [0.0, 0.2, 0.1, 0.0]
    yield Step("W, a column for each of max_length = 4 positions", TABLE)
    yield Step("b", bias)
    yield Step("relu(q) for q = [1, -0.5]", [max(x, 0.0) for x in query])
    found = scores.synthesizer(query, len(KEYS), weight=TABLE, bias=bias)
    yield Step("scores = relu(q) W + b at positions 0, 1, 2", found)
    yield found


SCORES: dict[type[Spec], Callable[[], Parts]] = {
    ScaledDot: _scaled_dot,
    Dot: _dot,
    Cosine: _cosine,
    General: _general,
    BiasedDot: _biased_dot,
    Additive: _additive,
    Location: _location,
    Trilinear: _trilinear,
    Distance: _distance,
    Synthesizer: _synthesizer,
    Coverage: lambda: worked_sequential.coverage(QUERY, KEYS),
    LocationAware: lambda: worked_sequential.location_aware(QUERY, KEYS),
}


def steps_of_score(kind: type[Spec]) -> Iterator[Step]:
    """Scores with what they are made of, then mask, weights, context."""
    yield Step("query", QUERY)
    yield Step("keys", KEYS)
    yield Step("values", VALUES)
    for part in SCORES[kind]():
        if isinstance(part, Step):
            yield part
            continue
        visible = [bool(MASK.allows(PLACE, k)) for k in range(len(KEYS))]
        yield Step(f"mask {MASK}, the query at position {PLACE}", ["seen" if each else "hidden" for each in visible])
        row = mix(part, VALUES, visible=visible)
        yield Step("weights = softmax over what is seen", row.weights)
        yield Step("context = sum of weights times values", row.context)


def _softmax() -> Iterator[Step]:
    yield Step("exp(s)", [exp(score) for score in ROW])
    yield Step("sum of exp(s)", sum(exp(score) for score in ROW))
    yield Step("weights", normalizers.softmax(ROW))
    yield Step("weights of scores one higher, the same", normalizers.softmax([score + 1 for score in ROW]))


def _sum() -> Iterator[Step]:
    for activation in ("relu", "absolute", "square", "softplus"):
        yield Step(f"f(s), {activation}", normalizers.activated(ROW, activation))
        yield Step("  weights", normalizers.plain_sum(ROW, activation=activation))
    yield Step("without f: s / sum of s, no weights at all", [score / sum(ROW) for score in ROW])
    yield Step("relu of scores -1 and -0.5, a row of zeros", normalizers.plain_sum([-1.0, -0.5]))
    yield Step("softmax, for comparison", normalizers.softmax(ROW))


def _sparsemax() -> Iterator[Step]:
    weights = normalizers.sparsemax(ROW)
    threshold = max(score - weight for score, weight in zip(ROW, weights, strict=True))
    yield Step("threshold, such that what lies above it sums to 1", threshold)
    yield Step("weights = what lies above it", weights)
    yield Step("softmax, for comparison", normalizers.softmax(ROW))


def _entmax() -> Iterator[Step]:
    yield Step("softmax, alpha to 1", normalizers.softmax(ROW))
    for alpha in (1.25, 1.5, 2.0, 4.0):
        name = f"weights, alpha {alpha:g}{' (sparsemax)' if alpha == 2 else ''}"
        yield Step(name, normalizers.entmax(ROW, alpha=alpha))


def _normmax() -> Iterator[Step]:
    for alpha in (1.5, 2.0, 5.0):
        weights = normalizers.normmax(ROW, alpha=alpha)
        yield Step(f"weights, alpha {alpha:g}", weights)
        yield Step("  their norm |p|_alpha", sum(weight**alpha for weight in weights) ** (1 / alpha))
    yield Step("sparsemax, for comparison", normalizers.sparsemax(ROW))


def _budget() -> Iterator[Step]:
    for keys in (1, 2, 3):
        yield Step(f"weights of a budget of {keys}", normalizers.budget(ROW, keys=keys))
    yield Step("sparsemax, for comparison", normalizers.sparsemax(ROW))


def _hard() -> Iterator[Step]:
    yield Step("weights: 1 at the largest score", normalizers.hard(ROW))
    yield Step("weights of equal scores: the first takes all", normalizers.hard([1.0, 1.0, 0.0, 1.0]))
    yield Step("softmax, whose gradient it has", normalizers.softmax(ROW))


def _gumbel() -> Iterator[Step]:
    uniform = [0.3, 0.9, 0.5, 0.2]
    noise = [-log(-log(u)) for u in uniform]
    yield Step("u, drawn anew in every step of training", uniform)
    yield Step("g = -ln(-ln u)", noise)
    yield Step("s + g", plus(ROW, noise))
    for temperature in (1.0, 0.2):
        name = f"weights = softmax((s + g) / {temperature:g})"
        yield Step(name, normalizers.gumbel(ROW, temperature=temperature, uniform=uniform))
    yield Step("in evaluation, temperature 1: the softmax of s", normalizers.gumbel(ROW, temperature=1.0))


def _sigmoid() -> Iterator[Step]:
    yield Step("keys that the row sees", len(ROW))
    yield Step("offset = ln 4", log(len(ROW)))
    weights = normalizers.sigmoid(ROW)
    yield Step("weights = 1 / (1 + exp(offset - s))", weights)
    yield Step("  their sum", sum(weights))
    plain = normalizers.sigmoid(ROW, offset=0.0)
    yield Step("with offset: 0", plain)
    yield Step("  their sum, which grows with the number of keys", sum(plain))
    yield Step("softmax, for comparison", normalizers.softmax(ROW))


def _pointwise() -> Iterator[Step]:
    for activation in ("relu", "relu_squared", "softplus"):
        yield Step(f"f(s), {activation}; the weights with divide_by: one", normalizers.activated(ROW, activation))
        yield Step(
            "  weights = f(s) / 4, the keys that the row sees", normalizers.pointwise(ROW, activation=activation)
        )
    yield Step("softmax, for comparison", normalizers.softmax(ROW))


def _signed() -> Iterator[Step]:
    yield Step("|s|", [abs(score) for score in ROW])
    yield Step("sizes = softmax of |s|", normalizers.softmax([abs(score) for score in ROW]))
    weights = normalizers.signed(ROW)
    yield Step("weights = sign(s) times the sizes", weights)
    yield Step("  their sum", sum(weights))
    yield Step("softmax, for comparison", normalizers.softmax(ROW))


def _queries() -> Iterator[Step]:
    scores, seen = [ROW, [0.2, 1.4, -0.6, 0.0]], [[True] * len(ROW)] * 2
    yield Step("scores of another query", scores[1])
    columns = [normalizers.softmax(column) for column in zip(*scores, strict=True)]
    shares = [list(row) for row in zip(*columns, strict=True)]
    yield Step("each key shared out among the queries by softmax", shares)
    yield Step("  what each query got", [sum(row) for row in shares])
    yield Step("weights = share / what the query got", normalizers.over_queries(scores, seen))
    yield Step("softmax over the keys, for comparison", normalizers.softmax(ROW))


NORMALIZERS: dict[type[Spec], Callable[[], Iterator[Step]]] = {
    Softmax: _softmax,
    Sum: _sum,
    Sparsemax: _sparsemax,
    Entmax: _entmax,
    Normmax: _normmax,
    Budget: _budget,
    Hard: _hard,
    Gumbel: _gumbel,
    Sigmoid: _sigmoid,
    Pointwise: _pointwise,
    Signed: _signed,
    Queries: _queries,
    ForwardAttention: worked_sequential.forward,
    MovingWindow: worked_sequential.window,
    Monotonic: worked_sequential.monotonic,
}


def steps_of_normalizer(kind: type[Spec]) -> Iterator[Step]:
    """The weights of one row of scores."""
    yield Step("scores", ROW)
    yield from NORMALIZERS[kind]()
