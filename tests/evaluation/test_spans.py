"""Span F1 against conlleval's own procedure, written here from its description token by token."""

import random

import pytest

from attncli.evaluation.spans import Span, span_scores, spans

TAGS = ["O", "B-x", "I-x", "B-y", "I-y"]


def start_of_chunk(before: str, tag: str) -> bool:
    prefix, kind, last_prefix, last_kind = tag[0], tag[2:], before[0], before[2:]
    if prefix == "B":
        return True
    if prefix == "I" and last_prefix == "O":
        return True
    return prefix != "O" and kind != last_kind


def end_of_chunk(before: str, tag: str) -> bool:
    prefix, kind, last_prefix, last_kind = tag[0], tag[2:], before[0], before[2:]
    if last_prefix in "BI" and prefix in "BO":
        return True
    return last_prefix != "O" and kind != last_kind


def conlleval(reference: list[str], predicted: list[str]) -> tuple[int, int, int]:
    """(right, found, given): the loop of the CoNLL-2000 script, which walks both columns at once."""
    right = found = given = 0
    inside = False
    last_reference = last_predicted = "O"
    for tag, guess in [*zip(reference, predicted, strict=True), ("O", "O")]:
        ends = end_of_chunk(last_reference, tag), end_of_chunk(last_predicted, guess)
        starts = start_of_chunk(last_reference, tag), start_of_chunk(last_predicted, guess)
        if inside:
            if all(ends) and last_reference[2:] == last_predicted[2:]:
                inside = False
                right += 1
            elif ends[0] != ends[1] or tag[2:] != guess[2:]:
                inside = False
        if all(starts) and tag[2:] == guess[2:]:
            inside = True
        given += starts[0]
        found += starts[1]
        last_reference, last_predicted = tag, guess
    return right, found, given


def test_scores_are_those_of_conlleval() -> None:
    generator = random.Random(0)
    for _ in range(300):
        reference = [generator.choice(TAGS) for _ in range(generator.randint(1, 9))]
        predicted = [tag if generator.random() < 0.6 else generator.choice(TAGS) for tag in reference]
        right, found, given = conlleval(reference, predicted)
        scores = span_scores([reference], [predicted])
        assert scores["precision"] == pytest.approx(right / found if found else 0)
        assert scores["recall"] == pytest.approx(right / given if given else 0)
        assert scores["f1"] == pytest.approx(2 * right / (found + given) if found + given else 0)


def test_counts_are_summed_over_sentences() -> None:
    scores = span_scores([["B-x"], ["B-x", "B-x"]], [["B-x"], ["O", "B-x"]])
    assert scores == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(4 / 5)}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("B-x I-x O", [("x", 0, 2)]),
        ("B-x B-x", [("x", 0, 1), ("x", 1, 2)]),
        ("I-x I-x", [("x", 0, 2)]),
        ("B-x I-y", [("x", 0, 1), ("y", 1, 2)]),
        ("O O", []),
        ("", []),
        ("noun noun O B-", [("noun", 0, 2), ("B-", 3, 4)]),
    ],
)
def test_spans(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert spans(tags.split()) == [Span(*one) for one in found]
