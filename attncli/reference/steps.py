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


def _same(parts: Parts) -> Parts:
    return parts


class Steps(NamedTuple):
    """What is asked of the steps; each field left as it is leaves its step out.

    `query`, `key` and `value` norm the heads of one place; `factor(q)` multiplies the scores of a query; `cap` bounds
    them; `before` and `after` are the mixes of the talking heads; `sinks` has a logit for each head; `context` norms
    one head's mixture, `scales` has a factor for each head, `gate` is the matrix of the gates.
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

    def logits(self, q: int, scores: Parts) -> Parts:
        """The scores of query q, a row for each head, up to the position's bias."""
        factor = 1.0 if self.factor is None else self.factor(q)
        scores = [[factor * each for each in row] for row in scores]
        return scores if self.cap is None else [[soft_cap(each, cap=self.cap) for each in row] for row in scores]

    def sunk(self, head: int, normalizer: Normalizer) -> Normalizer:
        """The normalizer of one head."""
        return normalizer if self.sinks is None else with_sink(normalizer, self.sinks[head])

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
