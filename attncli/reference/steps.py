"""The steps inside one attention that a spec may ask for, each a plain function; `Steps` holds those that are asked."""

from collections.abc import Callable
from math import exp, floor, fsum, log, tanh
from typing import NamedTuple

from attncli.reference.vectors import Matrix, Vector, affine

Parts = list[list[float]]
"""A vector for each head."""
Normalizer = Callable[[Vector], list[float]]


def soft_cap(score: float, *, cap: float) -> float:
    """cap tanh(score / cap): close to the score where it is small, never beyond cap. Gemma 2 (2024)."""
    return cap * tanh(score / cap)


def length_factor(position: int, *, scale: float, every: int) -> float:
    """1 + scale ln(1 + floor((position + 1) / every)): Llama 4's factor on the scores of a query."""
    return 1 + scale * log(1 + floor((position + 1) / every))


def with_sink(normalizer: Normalizer, sink: float) -> Normalizer:
    """The normalizer with one more logit, whose weight is dropped: e^s / (e^sink + sum e^s) of softmax."""
    return lambda scores: normalizer([sink, *scores])[1:]


def within(weights: Vector, distances: Vector, *, span: float, ramp: float) -> list[float]:
    """weights times clamp((ramp + span - x) / ramp, 0, 1), divided by their sum; zeros where nothing is in reach.

    Sukhbaatar et al. 2019, arXiv:1905.07799, eq. 3 and 4. A distance of -inf is always in reach.
    """
    left = [each * min(max((ramp + span - x) / ramp, 0.0), 1.0) for each, x in zip(weights, distances, strict=True)]
    total = fsum(left)
    return [each / total if total else 0.0 for each in left]


def mixed_heads(mix: Matrix | None, rows: Parts) -> Parts:
    """P rows: head h has the sum over heads i of P[h, i] times the row of i. Shazeer et al. 2020, arXiv:2003.02436."""
    if mix is None:
        return rows
    return [[fsum(p * each for p, each in zip(own, column, strict=True)) for column in zip(*rows, strict=True)]
            for own in mix]  # fmt: skip


def gates(x: Vector, weight: Matrix, heads: int) -> Parts:
    """sigmoid(W x), cut into one vector a head. Qiu et al. 2025, arXiv:2505.06708."""
    raised = [1 / (1 + exp(-each)) for each in affine(x, weight)]
    width = len(raised) // heads
    return [raised[head * width : (head + 1) * width] for head in range(heads)]


def gated(gate: Vector, context: Vector) -> list[float]:
    """The context feature by feature times the gate, which may be one number for all."""
    factors = gate if len(gate) == len(context) else [gate[0]] * len(context)
    return [factor * each for factor, each in zip(factors, context, strict=True)]


def on_attention(mixed: Vector, x: Vector, weight: Matrix, bias: Vector | None) -> list[float]:
    """sigmoid(g) i, with i the first and g the second half of W [mixed, x] + b. Huang et al. 2019, eq. 3 to 6."""
    both = affine([*mixed, *x], weight, bias)
    half = len(both) // 2
    return [i / (1 + exp(-g)) for i, g in zip(both[:half], both[half:], strict=True)]


def short_convolution(places: Matrix, weights: Matrix, *, ahead: int) -> list[list[float]]:
    """y_n = sum_j c_j x_(n - j) feature by feature, j from -ahead on; what lies outside of the text is 0.

    `weights` (w c) are those of j = -ahead, -ahead + 1, … So et al. 2021, arXiv:2109.08668.
    """
    found = []
    for n in range(len(places)):
        near = [(own, n - j) for j, own in enumerate(weights, -ahead) if 0 <= n - j < len(places)]
        found.append([fsum(own[c] * places[at][c] for own, at in near) for c in range(len(places[n]))])
    return found


def _same(parts: Parts) -> Parts:
    return parts


TIED = 64 * 2.0**-52
"""Share of a score by which another may lie below it and tie with it: equal keys score alike but for rounding."""


def best(scores: Vector, visible: list[bool], *, keys: int) -> list[bool]:
    """Which visible keys are among the best, those that tie with the last of them, to rounding, too. Zhao et al. 2019,
    eq. 5."""
    ordered = sorted((score for score, seen in zip(scores, visible, strict=True) if seen), reverse=True)
    least = ordered[keys - 1] if len(ordered) > keys else float("-inf")
    least -= TIED * abs(least) if len(ordered) > keys else 0.0
    return [seen and score >= least for score, seen in zip(scores, visible, strict=True)]


def unmarked(scored: list[Parts], seen: list[list[bool]], *, ahead: int) -> list[Parts]:
    """Scores (q h k) less F_qk, the sum of relu(s_pk) of head 0 over the queries p < q that see k, but for k = p, 0.

    Leviathan et al. 2024, arXiv:2410.02703, section 3. `seen` (q k) by head 0; `ahead` keys in front are never marked.
    """

    def marked(q: int, k: int) -> float:
        return fsum(max(scored[p][0][ahead + k], 0.0) for p in range(q) if k not in (0, p) and seen[p][k])

    return [
        [row[:ahead] + [each - marked(q, k) for k, each in enumerate(row[ahead:])] for row in rows]
        for q, rows in enumerate(scored)
    ]


class Learned(NamedTuple):
    """Keys (n e) and values (n v) of one kv head that stand in front of those that are read."""

    keys: Parts
    values: Parts


class Steps(NamedTuple):
    """What is asked of the steps; each field left as it is leaves its step out.

    `query`, `key` and `value` norm the heads of one place; `factor(q)` multiplies the scores of a query; `cap` bounds
    them; `before` and `after` are the mixes of the talking heads; `sinks` has a logit for each head; `context` norms
    one head's mixture, `scales` has a factor for each head, `gate` is the matrix of the gates; `spans` and `ramp` end
    the reach of each head; `selective` takes off what earlier queries marked; `top` keys are left of those that a query
    sees; `gaze(head, query, keys)` multiplies the weights, and hides where it is 0; `persistent` has learned keys and
    values of each kv head.
    """

    query: Callable[[Parts], Parts] = _same
    key: Callable[[Parts], Parts] = _same
    value: Callable[[Parts], Parts] = _same
    factor: Callable[[int], float] | None = None
    cap: float | None = None
    before: Matrix | None = None
    sinks: Vector | None = None
    after: Matrix | None = None
    context: Callable[[Vector], list[float]] | None = None
    scales: Vector | None = None
    gate: Matrix | None = None
    spans: Vector | None = None
    ramp: float = 1.0
    selective: bool = False
    top: int | None = None
    gaze: Callable[[int, Vector, int], list[float]] | None = None
    persistent: tuple[Learned, ...] = ()
    on_attention: bool = False
    short: dict[str, Matrix] = {}  # noqa: RUF012 (never changed)
    ahead: int = 0

    def near(self, name: str, places: list[list[float]]) -> list[list[float]]:
        """What the map `name` made of all places, after the short convolution if there is one."""
        weights = self.short.get(name)
        return places if weights is None else short_convolution(places, weights, ahead=self.ahead)

    def keys(self, group: int) -> Parts:
        """The learned keys of a kv head."""
        return self.persistent[group].keys if self.persistent else []

    def values(self, group: int) -> Parts:
        """The learned values of a kv head."""
        return self.persistent[group].values if self.persistent else []

    def gazes(self, head: int, query: Vector, length: int) -> list[float]:
        """By what the weights of a query are multiplied, key by key; a key with 0 is not seen."""
        return [1.0] * length if self.gaze is None else self.gaze(head, query, length)

    def chosen(self, scores: Vector, visible: list[bool]) -> list[bool]:
        """What is left of the visible keys."""
        return visible if self.top is None else best(scores, visible, keys=self.top)

    def logits(self, q: int, scores: Parts) -> Parts:
        """The scores of query q, a row for each head, up to the position's bias."""
        factor = 1.0 if self.factor is None else self.factor(q)
        scores = [[factor * each for each in row] for row in scores]
        return scores if self.cap is None else [[soft_cap(each, cap=self.cap) for each in row] for row in scores]

    def weigh(self, head: int, scores: Vector, distances: Vector, normalizer: Normalizer) -> list[float]:
        """Weights of the keys that one query sees, in one head."""
        if self.spans is None:
            return normalizer(scores) if self.sinks is None else with_sink(normalizer, self.sinks[head])(scores)
        span = self.spans[head]
        if self.sinks is None:
            return within(normalizer(scores), distances, span=span, ramp=self.ramp)
        sunk = normalizer([self.sinks[head], *scores])
        return within(sunk, [float("-inf"), *distances], span=span, ramp=self.ramp)[1:]

    def leave(self, x: Vector, contexts: Parts) -> Parts:
        """The heads' mixtures as the output map reads them; x is the state that asked."""
        if self.context is not None:
            contexts = [self.context(each) for each in contexts]
        if self.scales is not None:
            contexts = [[scale * each for each in own] for scale, own in zip(self.scales, contexts, strict=True)]
        if self.gate is None:
            return contexts
        return [gated(*pair) for pair in zip(gates(x, self.gate, len(contexts)), contexts, strict=True)]


PLAIN = Steps()
