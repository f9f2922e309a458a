"""Worked examples of positions and of what stretches rotary ones."""

from collections.abc import Callable, Iterator

from attncli.reference import positions
from attncli.reference.scores import scaled_dot
from attncli.reference.vectors import dot
from attncli.spec.base import Spec
from attncli.spec.explain.entries import Step
from attncli.spec.positions import (
    T5,
    Alibi,
    Bank,
    Cope,
    Disentangled,
    DynamicNtk,
    Forgetting,
    Kerple,
    Linear,
    Llama3,
    LogDistance,
    Longrope,
    Ntk,
    Pope,
    Rotary,
    Sandwich,
    Shaw,
    Sinusoidal,
    TransformerXl,
    Xpos,
    Yarn,
)

QUERY, KEY = [1.0, 0.5], [0.5, 2.0]
KEYS = [[1.0, 0.0], [0.0, 1.0], KEY]


def _rotary() -> Iterator[Step]:
    yield from _pair()
    for place in (0, 1, 2):
        yield Step(f"query at position {place}", positions.rotary(QUERY, place))
    for q, k in ((2, 0), (3, 1), (9, 7), (3, 0)):
        score = dot(positions.rotary(QUERY, q), positions.rotary(KEY, k))
        yield Step(f"score of query {q} and key {k}, distance {q - k}", score)


def _alibi() -> Iterator[Step]:
    for heads in (4, 6):
        yield Step(f"slopes of {heads} heads", positions.alibi_slopes(heads))
    slope = positions.alibi_slopes(4)[0]
    yield Step("bias of query 3 and keys 0 to 5, first of 4 heads", [positions.alibi(slope, 3, k) for k in range(6)])


def _t5() -> Iterator[Step]:
    offsets = [0, -1, -7, -8, -12, -16, -64, -128, -500]
    yield Step("k - q", [float(each) for each in offsets])
    yield Step("bucket, mask causal", [float(positions.t5_bucket(each, two_sided=False)) for each in offsets])
    yield Step("bucket, two-sided", [float(positions.t5_bucket(each)) for each in offsets])
    yield Step("bucket of k - q = 1, 7, 8, two-sided", [float(positions.t5_bucket(each)) for each in (1, 7, 8)])


def _sinusoidal() -> Iterator[Step]:
    for layout in ("interleaved", "concatenated"):
        table = [positions.sinusoidal(place, d_model=4, layout=layout) for place in range(3)]
        yield Step(f"positions 0, 1, 2, width 4, {layout}", table)


def _pair() -> Iterator[Step]:
    yield Step("query", QUERY)
    yield Step("key", KEY)


def _xpos() -> Iterator[Step]:
    yield from _pair()
    yield Step("z of the one pair", positions.xpos_size(1, 0, d_rotary=2, scale_base=1))
    for q, k in ((2, 0), (9, 7), (6, 0)):
        score = dot(
            positions.xpos(QUERY, q, side="query", d_rotary=2, scale_base=4, layout="half"),
            positions.xpos(KEY, k, side="key", d_rotary=2, scale_base=4, layout="half"),
        )
        plain = dot(positions.rotary(QUERY, q), positions.rotary(KEY, k))
        yield Step(f"score of query {q} and key {k}, scale_base 4", score)
        yield Step("  by rotary alone", plain)


def _pope() -> Iterator[Step]:
    yield from _pair()
    for name, x in (("query", QUERY), ("key", KEY)):
        yield Step(f"softplus of the {name}", [abs(each) for each in positions.pope(x, 0)])
    for offset in ([0.0, 0.0], [-0.5, 0.0]):
        for q, k in ((2, 0), (9, 7), (3, 0)):
            score = positions.pope_score(positions.pope(QUERY, q), positions.pope(KEY, k), offset)
            yield Step(f"score of query {q} and key {k}, t = {offset}", score)


def _bank() -> Iterator[Step]:
    profiles = [[2.0, 0.0], [1.0, 0.5], [0.0, 1.0]]
    yield Step("two profiles of the distances 0, 1, 2", profiles)
    for state in ([1.0, 0.0], [0.0, 1.0], [0.5, -1.0]):
        found = positions.bank(state, 3, 5, map=[[1.0, 0.0], [0.0, 1.0]], profiles=profiles)
        yield Step(f"x R = {state} at position 3: added to the scores of the keys at 0 to 4", found)


def _kerple() -> Iterator[Step]:
    far = [0, 1, 2, 10, 100]
    yield Step("|q - k|", [float(each) for each in far])
    for form in ("logarithm", "power"):
        found = [positions.kerple(each, size=1, shape=0.5, form=form) for each in far]
        yield Step(f"bias, a = 1, p = 0.5, {form}", found)


def _sandwich() -> Iterator[Step]:
    far = [0, 1, 2, 10, 100]
    yield Step("|q - k|", [float(each) for each in far])
    for head in (0, 3):
        yield Step(f"bias of head {head} of 4", [positions.sandwich(each, head, heads=4) for each in far])


def _log_distance() -> Iterator[Step]:
    offsets = [-8, -1, 0, 1, 8]
    yield Step("k - q", [float(each) for each in offsets])
    hidden, zeros, out = [[1.0], [-1.0]], [0.0, 0.0], [-1.0, -0.5]
    found = [positions.log_distance(each, hidden=hidden, hidden_bias=zeros, out=out) for each in offsets]
    yield Step("bias: 16 sigmoid(-relu(x) - relu(-x) / 2) of x = sign ln(1 + |k - q|)", found)


def _shaw() -> Iterator[Step]:
    table = [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    yield Step("query at position 1", QUERY)
    yield Step("vectors a of k - q = -1, 0, 1", table)
    own = scaled_dot(QUERY, KEYS)
    yield Step("q . k / sqrt(2) of the keys at 0, 1, 2", own)
    yield Step("q . a / sqrt(2), added", positions.shaw(QUERY, 1, 3, table=table, scale=2**-0.5))
    yield Step("weights", [0.5, 0.25, 0.25])
    yield Step(
        "sum of w b, with b = a, added to the mixture", positions.shaw_carried([0.5, 0.25, 0.25], 1, table=table)
    )


def _transformer_xl() -> Iterator[Step]:
    for distance in (-1, 0, 1, 2):
        yield Step(f"r of q - k = {distance}, width 4", positions.wave(distance, width=4))
    u, w, map = [0.5, 0.0], [0.0, 0.5], [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    yield Step("q . k / sqrt(2) of the keys at 0, 1, 2", scaled_dot(QUERY, KEYS))
    added = positions.transformer_xl(QUERY, 1, KEYS, of_content=u, of_position=w, map=map, width=4, scale=2**-0.5)
    yield Step("(u . k + (q + w) . W r) / sqrt(2), added, query at 1", added)


def _disentangled() -> Iterator[Step]:
    table = [[1.0, 0.0], [0.0, 1.0]]
    yield Step("P: rows of q - k <= -1 and q - k >= 0, max_distance 1", table)
    yield Step("q . k / sqrt(2) of the keys at 0, 1, 2", scaled_dot(QUERY, KEYS))
    unit = [[1.0, 0.0], [0.0, 1.0]]
    for word in ("paper", "released"):
        added = positions.disentangled(
            QUERY, 1, KEYS, table=table, of_key=unit, of_query=unit, released=word == "released", scale=2**-0.5
        )
        total = [one + other for one, other in zip(scaled_dot(QUERY, KEYS), added, strict=True)]
        yield Step(f"(q . k + q . K + k . Q) / sqrt(6), query at 1, {word}", total)


def _cope() -> Iterator[Step]:
    scores, seen = [2.0, -2.0, 0.0], [True, True, True]
    yield Step("scores of query 2", scores)
    places = positions.cope_places(scores, 2, seen)
    yield Step("place of each key: sum of sigmoid from it to the query", places)
    table = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]
    yield Step("vectors e of places 0, 1, 2", table)
    yield Step("q . e between them, q = [1, 0.5], added", positions.cope(QUERY, 2, scores, seen, table=table))


def _forgetting() -> Iterator[Step]:
    gates = [0.9, 0.5, 0.9, 0.1]
    yield Step("f of tokens 0 to 3: what share of its past each keeps", gates)
    for q in (2, 3):
        found = [positions.forgetting(gates, q, k) for k in range(q + 1)]
        yield Step(f"added to the scores of query {q} and keys 0 to {q}", found)


def _rates(name: str, found: list[float]) -> Iterator[Step]:
    yield Step("rates of four pairs, base 10000", positions.plain(4))
    yield Step(name, found)


def _linear() -> Iterator[Step]:
    yield from _rates("factor 4", positions.linear(positions.plain(4), factor=4))


def _ntk() -> Iterator[Step]:
    yield from _rates("factor 4: the first as it was, the last a quarter", positions.ntk(4, factor=4))


def _dynamic_ntk() -> Iterator[Step]:
    yield Step("rates of four pairs, base 10000", positions.plain(4))
    for length in (2048, 4096, 8192):
        found = positions.dynamic_ntk(4, length=length, factor=1, original_length=2048)
        yield Step(f"a text of {length}, factor 1, original_length 2048", found)


def _llama3() -> Iterator[Step]:
    found = positions.llama3(positions.plain(4), factor=8, original_length=1024)
    yield from _rates("factor 8, original_length 1024", found)


def _yarn() -> Iterator[Step]:
    for ramp in ("rounded", "exact"):
        found = positions.yarn(4, factor=8, original_length=1024, ramp=ramp)
        yield from _rates(f"factor 8, original_length 1024, {ramp}", found)
    yield Step("t, by which turned features grow", positions.yarn_temperature(8))


def _longrope() -> Iterator[Step]:
    yield from _rates("divided by [1, 1.5, 4, 8]", positions.longrope(positions.plain(4), by=[1, 1.5, 4, 8]))
    grown = positions.longrope_temperature(factor=8, original_length=4096)
    yield Step("by which turned features grow, factor 8, original_length 4096", grown)


POSITIONS: dict[type[Spec], Callable[[], Iterator[Step]]] = {
    Rotary: _rotary,
    Xpos: _xpos,
    Pope: _pope,
    Bank: _bank,
    Alibi: _alibi,
    T5: _t5,
    Kerple: _kerple,
    Sandwich: _sandwich,
    LogDistance: _log_distance,
    Shaw: _shaw,
    TransformerXl: _transformer_xl,
    Disentangled: _disentangled,
    Cope: _cope,
    Forgetting: _forgetting,
    Sinusoidal: _sinusoidal,
    Linear: _linear,
    Ntk: _ntk,
    DynamicNtk: _dynamic_ntk,
    Llama3: _llama3,
    Yarn: _yarn,
    Longrope: _longrope,
}
