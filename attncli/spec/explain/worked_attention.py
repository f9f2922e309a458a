"""Worked examples of kinds of attention: one head each, over three tokens."""

from collections.abc import Callable, Iterator
from functools import partial
from math import exp, sqrt
from random import Random

from attncli.reference import delta as rule
from attncli.reference import linear as features
from attncli.reference.attention import Heads, Projections, multi_head
from attncli.reference.differential import Lambda, differential, start_by_depth
from attncli.reference.latent import Latents, latent
from attncli.reference.normalizers import softmax
from attncli.reference.norms import rms_norm
from attncli.reference.positions import rotary
from attncli.reference.retention import decay_of
from attncli.reference.retention import recurrent as retained
from attncli.reference.scores import scaled_dot
from attncli.reference.vectors import Matrix, Vector, affine, dot, product, row_times, transposed
from attncli.spec.attention import Differential, Latent
from attncli.spec.base import Spec
from attncli.spec.delta import Delta, GatedDelta
from attncli.spec.explain.entries import Step
from attncli.spec.linear import Linear, Performer
from attncli.spec.retention import Retention

TOKENS = [[1.0, 0.0, 0.5, 2.0], [0.0, 1.0, -1.0, 0.5], [1.0, 1.0, 2.0, -0.5]]
QUERIES = [[1.0, 0.0], [0.5, -1.0], [1.0, 1.0]]
KEYS = [[1.0, 0.5], [-0.5, 1.0], [0.0, -1.0]]
VALUES = [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]
EACH_ALONE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""Values that name their token: the outputs are then the weights."""


def _sees(query: int, key: int, head: int) -> bool:
    return key <= query


def _asked() -> Iterator[Step]:
    yield Step("three queries", QUERIES)
    yield Step("their keys", KEYS)
    yield Step("their values", VALUES)


def _weights(of: Heads, head: int = 0) -> list[list[float]]:
    return [row.weights for row in of.rows[head]]


def _differential() -> Iterator[Step]:
    own = [[1.0 if i == j else 0.0 for j in range(4)] for i in range(4)]
    maps = Projections(own, own, own, own)

    def score(head: int, query: Vector, keys: Matrix, values: Matrix) -> list[float]:
        return scaled_dot(query, keys)

    yield Step("three tokens of width 4, here query, key and value alike", TOKENS)
    two = multi_head(TOKENS, TOKENS, maps, heads=2, kv_heads=2, score=score, visible=_sees)
    for head in range(2):
        yield Step(f"softmax of map {head}, which reads features {2 * head} and {2 * head + 1}", _weights(two, head))
    share = Lambda([[0.3, 0.1], [0.1, -0.2]], [[0.2, 0.4], [0.3, 0.1]], start_by_depth(0))
    yield Step("l_0 of the first layer and of the twelfth", [start_by_depth(0), start_by_depth(11)])
    yield Step("l = exp(a_1.b_1) - exp(a_2.b_2) + l_0 of the first", share.value)
    taken = differential(
        TOKENS, TOKENS, maps, heads=1, kv_heads=1, share=share, halves=False, score=score,
        normalizer=lambda head: softmax, visible=_sees,
    )  # fmt: skip
    yield Step("weights: the first map less l times the second", _weights(taken))
    yield Step("their sums, 1 - l", [sum(row) for row in _weights(taken)])
    yield Step("contexts, before the norm and the factor 1 - l_0", [row.context for row in taken.rows[0]])


def _latent() -> Iterator[Step]:
    down = [[0.5, 0.0, 0.0, 0.5], [0.0, 0.5, 0.5, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    up = [[1.0, 0.5], [0.0, 1.0], [1.0, 0.0], [-1.0, 1.0]]
    asks = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    norm = partial(rms_norm, gain=[1.0, 1.0])

    def turn(x: Vector, position: int, side: str, head: int) -> list[float]:
        return rotary(x, position)

    read = [affine(each, down) for each in TOKENS]
    latents = [norm(each[:2]) for each in read]
    turned = [turn(each[2:], place, "key", 0) for place, each in enumerate(read)]
    yield Step("three tokens", TOKENS)
    yield Step("c = norm(W x), kept in the cache", latents)
    yield Step("r = turn(W_r x), kept in the cache, one for all heads", turned)
    keys = [[*affine(c, up[:2]), *r] for c, r in zip(latents, turned, strict=True)]
    yield Step("keys of one head, [U_k c, r]", keys)
    query = affine(TOKENS[2], asks)
    query = [*query[:2], *turn(query[2:], 2, "query", 0)]
    yield Step("the third token's query", query)
    yield Step("scores = q.k / sqrt(2 + 2)", [dot(query, key) / 2 for key in keys])
    absorbed = [*row_times(query[:2], up[:2]), *query[2:]]
    yield Step("the query with U_k absorbed, [U_k' q, turned]", absorbed)
    yield Step("its products with [c, r] over sqrt(2 + 2), the same",
               [dot(absorbed, [*c, *r]) / 2 for c, r in zip(latents, turned, strict=True)])  # fmt: skip
    maps = Latents(None, asks, down, up, [[1.0, 0.0], [0.0, 1.0]], norm, norm)
    found = latent(TOKENS, TOKENS, maps, heads=1, d_head=2, d_rotary=2, visible=_sees, turn=turn)
    yield Step("weights, mask causal", _weights(found))
    yield Step("contexts = U_v (sum of weights times c)", [row.context for row in found.rows[0]])


def _linear() -> Iterator[Step]:
    yield from _asked()
    feature = partial(features.feature, kind="elu")
    asked, read = [feature(each) for each in QUERIES], [feature(each) for each in KEYS]
    yield Step("f(q) = elu(q) + 1", asked)
    yield Step("f(k)", read)
    mixed = features.recurrent(QUERIES, KEYS, VALUES, feature=feature)
    total = [sum(of) for of in zip(*read, strict=True)]
    yield Step("z, the sum of f(k), after the third", total)
    yield Step("S, the sum of f(k) v', after the third", product(transposed(read), VALUES))
    yield Step("outputs S'f(q) / z.f(q), mask causal", mixed)
    yield Step("weights f(q).f(k) / sum, never held", features.recurrent(QUERIES, KEYS, EACH_ALONE, feature=feature))


def _performer() -> Iterator[Step]:
    yield from _asked()
    exact = [[exp(dot(query, key) / sqrt(2)) for key in KEYS] for query in QUERIES]
    yield Step("exp(q.k / sqrt(2)), what is estimated", exact)
    draw = Random(0)
    blocks = [features.orthogonal([[draw.gauss(0, 1) for _ in range(2)] for _ in range(2)]) for _ in range(512)]
    yield Step("two directions, at right angles", blocks[0])
    for count in (1, 16, 512):
        directions = [row for block in blocks[:count] for row in block]
        feature = partial(features.favor, directions=directions)
        if count == 1:
            yield Step("f(q) of these, exp(w.y - |y|^2 / 2) / sqrt(2), y = q / 2^(1/4)", [feature(q) for q in QUERIES])
        found = [[dot(feature(query), feature(key)) for key in KEYS] for query in QUERIES]
        yield Step(f"f(q).f(k) with {2 * count} directions", found)
    yield Step("weights, mask causal", features.recurrent(QUERIES, KEYS, EACH_ALONE, feature=feature))
    yield Step("those of softmax", [
        [*softmax([dot(query, key) / sqrt(2) for key in KEYS[: place + 1]]), *[0.0] * (2 - place)]
        for place, query in enumerate(QUERIES)
    ])  # fmt: skip


def _retention() -> Iterator[Step]:
    yield from _asked()
    yield Step("g = 1 - 2^(-5 - h) of heads 0, 1 and 7", [decay_of(head) for head in (0, 1, 7)])
    for name, decay in (("head 0", decay_of(0)), ("a head of g = 0.5", 0.5)):
        yield Step(f"weights of {name}, (q.k / sqrt(2)) g^(q - k)", retained(QUERIES, KEYS, EACH_ALONE, decay=decay))
    yield Step("outputs of g = 0.5, before norm and gate", retained(QUERIES, KEYS, VALUES, decay=0.5))


def _delta(fades: list[float] | None) -> Iterator[Step]:
    keys, strengths = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [1.0, 0.5, 0.75]
    yield Step("three keys of length 1, the third that of the first", keys)
    yield Step("their values", VALUES)
    yield Step("b, how strongly each writes", strengths)
    if fades is not None:
        yield Step("a, what each leaves of the past", fades)
    states: list[list[list[float]]] = []
    mixed = rule.recurrent(keys, keys, VALUES, strengths=strengths, fades=fades, told=states.append)
    before = states[1] if fades is None else [[fades[2] * each for each in row] for row in states[1]]
    for token, state in enumerate(states):
        if token == 2:
            yield Step("what the third key recalls, S'k", row_times(keys[2], before))
        yield Step(f"S after token {token}", state)
    yield Step("outputs S'q / sqrt(2), each asking with its own key", mixed)
    yield Step("weights of the values in them",
               rule.recurrent(keys, keys, EACH_ALONE, strengths=strengths, fades=fades))  # fmt: skip


ATTENTIONS: dict[type[Spec], Callable[[], Iterator[Step]]] = {
    Differential: _differential,
    Latent: _latent,
    Linear: _linear,
    Performer: _performer,
    Retention: _retention,
    Delta: partial(_delta, None),
    GatedDelta: partial(_delta, [1.0, 0.9, 0.5]),
}
