"""Texts in two parts, of which the second may be another: what a sentence_pair reads.

Devlin et al. 2019, arXiv:1810.04805, section 3.1 (the part of another text); Lan et al. 2020, arXiv:1909.11942, section
3.1 (the two parts swapped). The second part of another text is cut where both would not fit.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from attncli.data.ragged import Ragged
from attncli.spec.tasks import SentencePair

NEXT, OTHER = 0, 1


@dataclass(frozen=True)
class Pairs:
    """Framed texts BOS ids EOS ids EOS, the number of each token's part, and whether the second part is another."""

    text: Ragged
    segments: Ragged
    labels: Ragged


def paired(
    texts: Ragged, task: SentencePair, *, bos: int, eos: int, ends: Collection[int], room: int,
    random: np.random.Generator,
) -> Pairs:  # fmt: skip
    """Pairs of framed texts BOS ids EOS, at most `room` places each. `ends` are ids that end a sentence."""
    halves = [_halves(texts.row(row)[1:-1], ends, random) for row in range(len(texts))]
    able = [row for row, (_, second) in enumerate(halves) if second]
    rows, segments, labels = [], [], []
    for row, (first, second) in enumerate(halves):
        label = NEXT
        if random.random() < 0.5 and first and second:
            if task.negatives == "swapped":
                first, second, label = second, first, OTHER
            elif len(able) > 1:
                turn = able.index(row) + 1 + int(random.integers(len(able) - 1))
                second, label = halves[able[turn % len(able)]][1][: max(1, room - 3 - len(first))], OTHER
        rows.append([bos, *first, eos, *second, eos])
        segments.append([0] * (len(first) + 2) + [1] * (len(second) + 1))
        labels.append([label])
    return Pairs(Ragged.of(rows), Ragged.of(segments), Ragged.of(labels))


def _halves(ids: Sequence[int], ends: Collection[int], random: np.random.Generator) -> tuple[list[int], list[int]]:
    """Both parts of a text, cut behind a sentence if one ends within it, else anywhere."""
    stops = [place + 1 for place, token in enumerate(ids[:-1]) if token in ends] or list(range(1, len(ids)))
    if not stops:
        return list(ids), []
    stop = stops[int(random.integers(len(stops)))]
    return list(ids[:stop]), list(ids[stop:])
