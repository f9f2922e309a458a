"""Worked examples of the scores and normalizers that read the weights of earlier steps."""

from collections.abc import Iterator
from math import fsum

from attncli.reference import normalizers, sequential
from attncli.spec.explain.entries import Step

EARLIER = [[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]]
"""The weights of two steps that came before, over three keys."""
SQUARE, OF_KEY = [[1.0, 0.0], [0.5, 1.0]], [[1.0, -1.0], [0.5, 0.5]]
WEIGHT, BIAS = [1.0, -0.5], [0.25, 0.0]


def coverage(query: list[float], keys: list[list[float]]) -> Iterator[Step | list[float]]:
    """Steps to the scores of the third step, the last of which is the scores themselves."""
    of_coverage = [-1.0, 0.5]
    covered = [fsum(step[k] for step in EARLIER) for k in range(len(keys))]
    yield Step("weights of the two steps before", EARLIER)
    yield Step("coverage c, their sum", covered)
    yield Step("u", of_coverage)

    def scores(earlier: list[list[float]]) -> list[float]:
        return sequential.coverage(
            query, keys, earlier, of_query=SQUARE, of_key=OF_KEY, of_coverage=of_coverage, bias=BIAS, weight=WEIGHT
        )

    yield Step("scores of the first step, where c is 0", scores([]))
    found = scores(EARLIER)
    yield Step("scores = w.tanh(q Q + k K + c u + b)", found)
    weights = normalizers.softmax(found)
    yield Step("weights a over all keys", weights)
    yield Step("coverage loss = sum of min(a, c)", sequential.coverage_loss(weights, EARLIER))
    yield found


def location_aware(query: list[float], keys: list[list[float]]) -> Iterator[Step | list[float]]:
    """Steps to the scores of the third step."""
    kernel, of_features = [[0.0], [0.0], [1.0]], [[1.0, 0.5]]
    yield Step("weights of the last step", EARLIER[-1])
    yield Step("one kernel of three keys, here one that looks a key ahead", kernel)
    yield Step("f, the last weights convolved", [[*EARLIER[-1][1:], 0.0]])
    found = sequential.location_aware(
        query, keys, EARLIER[-1], of_query=SQUARE, of_key=OF_KEY, kernel=kernel, of_features=of_features, bias=BIAS,
        weight=WEIGHT,
    )  # fmt: skip
    yield Step("scores = w.tanh(q Q + k K + f U + b)", found)
    yield found


SCORES = [1.2, 0.4, -0.6, 1.0]
FIRST = [1.0, 0.0, 0.0, 0.0]


def forward() -> Iterator[Step]:
    """Three steps with the same scores."""
    last = FIRST
    yield Step("softmax of the scores", normalizers.softmax(SCORES))
    yield Step("before the first step", last)
    for step in range(1, 4):
        last = sequential.forward_step(SCORES, last)
        yield Step(f"weights of step {step}, were the scores always these", last)


def window() -> Iterator[Step]:
    """Three steps with the same scores, whose best key lies behind others."""
    scores, last = [1.2, 1.4, -0.6, 2.0], FIRST
    yield Step("scores", scores)
    yield Step("softmax, as in training", normalizers.softmax(scores))
    for step in range(1, 4):
        last = sequential.window_step(scores, last, keys=2)
        yield Step(f"weights of step {step} of writing, keys 2, were the scores always these", last)


def monotonic() -> Iterator[Step]:
    """Two steps with the same scores, and what evaluation takes."""
    last = FIRST
    yield Step("before the first step", last)
    for step in (1, 2):
        last = sequential.monotonic_step(SCORES, last)
        yield Step(f"weights of step {step}, were the scores always these", last)
        yield Step("  their sum", fsum(last))
    tried = [-1.0, 0.5, 2.0, 1.0]
    yield Step("scores of an evaluation", tried)
    yield Step("  hard weights: the first key from the last one on with p >= 1/2",
               sequential.hard_monotonic_step(tried, FIRST))  # fmt: skip
