"""The difference of two maps of weights, told as the difference of two attentions. Ye et al. 2024, arXiv:2410.05258."""

from collections.abc import Callable
from math import exp
from typing import NamedTuple

from attncli.reference.attention import (
    Heads,
    Joint,
    Normalizer,
    Projections,
    Related,
    Row,
    Visible,
    leaving,
    multi_head,
)
from attncli.reference.steps import PLAIN, Parts, Steps
from attncli.reference.vectors import Matrix, Vector, dot


class Lambda(NamedTuple):
    """What makes l: vectors a and b of both maps, and l_0."""

    query: Matrix
    key: Matrix
    start: float

    @property
    def value(self) -> float:
        """exp(a_1 . b_1) - exp(a_2 . b_2) + l_0."""
        first, second = (exp(dot(a, b)) for a, b in zip(self.query, self.key, strict=True))
        return first - second + self.start


def start_by_depth(layer: int) -> float:
    """l_0 of a layer, counted from 0: 0.2 in the first, towards 0.8."""
    return 0.8 - 0.6 * exp(-0.3 * layer)


def partners(head: int, heads: int, *, halves: bool) -> tuple[int, int]:
    """The two maps of a pair."""
    return (head, head + heads) if halves else (2 * head, 2 * head + 1)


def differential(
    x: Matrix,
    memory: Matrix,
    maps: Projections,
    *,
    heads: int,
    kv_heads: int,
    share: Lambda,
    halves: bool,
    score: Callable[[int, Vector, Matrix, Matrix], list[float]],
    normalizer: Callable[[int], Normalizer],
    visible: Visible,
    bias: Callable[[int, int, int], float] | None = None,
    turn: Callable[[Vector, int, str, int], list[float]] | None = None,
    related: Related = Related(),  # noqa: B008 (it is a value)
    steps: Steps = PLAIN,
    joint: Joint | None = None,
    values: list[Parts] | None = None,
) -> Heads:
    """Multi-head attention with two heads for each pair, whose mixtures are subtracted: A_1 V - l A_2 V.

    `score`, `normalizer` and `bias` count maps, `visible` counts pairs. Shapes: as of multi_head.
    """
    pair_of = {each: head for head in range(heads) for each in partners(head, heads, halves=halves)}
    value_of = [group % kv_heads if halves else group // 2 for group in range(2 * kv_heads)]

    width = len(maps.value) // kv_heads

    def twice(features: Vector) -> list[float]:
        """Of each value, as often as a map reads it."""
        return [each for value in value_of for each in features[value * width : (value + 1) * width]]

    def normed(parts: Parts) -> Parts:
        own = steps.value([parts[value_of.index(value)] for value in range(kv_heads)])
        return [own[value] for value in value_of]

    doubled = maps._replace(
        value=[row for value in value_of for row in maps.value[value * width : (value + 1) * width]],
        value_bias=None if maps.value_bias is None else twice(maps.value_bias),
        output=[[0.0] * (2 * heads * width)], output_bias=None,
    )  # fmt: skip
    short = {name: list(map(twice, rows)) if name == "value" else rows for name, rows in steps.short.items()}
    rows = multi_head(
        x, memory, doubled, heads=2 * heads, kv_heads=2 * kv_heads, score=score, normalizer=normalizer,
        visible=lambda q, k, each: visible(q, k, pair_of[each]), bias=bias, turn=turn,
        related=related, joint=joint,
        values=None if values is None else [[place[value] for value in value_of] for place in values],
        steps=steps._replace(value=normed, context=None, scales=None, gate=None, short=short, on_attention=False),
    ).rows  # fmt: skip
    taken = [
        [_less(a, b, share.value) for a, b in zip(*(rows[each] for each in partners(head, heads, halves=halves)),
                                                  strict=True)]
        for head in range(heads)
    ]  # fmt: skip
    settled = steps._replace(context=lambda mixed: [(1 - share.start) * each for each in _normed(steps, mixed)])
    joined = [
        [each for part in settled.leave(state, [taken[head][q].context for head in range(heads)]) for each in part]
        for q, state in enumerate(x)
    ]
    return Heads(leaving(joined, x, maps, steps), taken)


def _less(one: Row, other: Row, share: float) -> Row:
    weights, context = (
        [a - share * b for a, b in zip(left, right, strict=True)] for left, right in zip(one, other, strict=True)
    )
    return Row(weights, context)


def _normed(steps: Steps, mixed: Vector) -> list[float]:
    return list(mixed) if steps.context is None else steps.context(mixed)
