"""F1 of whole spans under the BIO scheme, as the CoNLL-2000 shared task scores them (its script conlleval).

A span starts at B-x, and also at an I-x that does not continue a span of the same x; it ends before the next B, O, or
tag of another type. A predicted span is right where start, end and type all agree.
    precision = right / predicted    recall = right / reference    F1 = 2 right / (predicted + reference)
Source: Tjong Kim Sang & Buchholz 2000, arXiv:cs/0009008, section 4.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Words start … end - 1 are one `type`."""

    type: str
    start: int
    end: int


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence. A tag that is neither O nor B-x nor I-x stands for its own type, as I-x would."""
    found: list[Span] = []
    start, inside = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, kind = _parts(tag)
        if inside and (prefix != "I" or kind != inside):
            found.append(Span(inside, start, place))
            inside = ""
        if prefix != "O" and not inside:
            start, inside = place, kind
    return found


def _parts(tag: str) -> tuple[str, str]:
    """("B", "x") of B-x; ("O", "") of O."""
    if tag == "O":
        return "O", ""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash and prefix in ("B", "I") and kind else ("I", tag)


def span_scores(references: Iterable[Sequence[str]], predictions: Iterable[Sequence[str]]) -> dict[str, float]:
    """precision, recall and f1 over all sentences (micro); 0 where their denominator is 0, as conlleval has it."""
    right = predicted = given = 0
    for reference, prediction in zip(references, predictions, strict=True):
        wanted, found = set(spans(reference)), set(spans(prediction))
        right += len(wanted & found)
        predicted += len(found)
        given += len(wanted)
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / given if given else 0.0,
        "f1": 2 * right / (predicted + given) if predicted + given else 0.0,
    }
