"""What a masked language model has to restore, and what a denoiser reads and writes.

Of the tokens of a text, each is chosen with probability `rate` (at least one a text); of those chosen 80 % become the
mask, 10 % a token drawn from all that are not special, and 10 % stay. The labels are the chosen tokens as they were.
Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1 and appendix A.1; there, too, a text has at least one.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from attncli.spec.tasks import Infill, Sentinels
from attncli.streams import IGNORE, Stream


def corrupt(
    text: Stream, *, rate: float, mask: int, special: Tensor, ordinary: Tensor, generator: torch.Generator
) -> tuple[Stream, Stream]:
    """The text (b n) with noise, and its labels (b n).

    special: ids that are never chosen. ordinary: ids that may replace one.
    """
    eligible = text.real & ~torch.isin(text.values, special)
    draw = torch.rand(text.values.shape, generator=generator).masked_fill(~eligible, 2.0)
    chosen = eligible & ((draw < rate) | (draw == draw.amin(1, keepdim=True)))
    how = torch.rand(text.values.shape, generator=generator)
    others = ordinary[torch.randint(len(ordinary), text.values.shape, generator=generator)]
    values = text.values.masked_fill(chosen & (how < 0.8), mask)
    values = torch.where(chosen & (how >= 0.8) & (how < 0.9), others, values)
    labels = torch.where(chosen, text.values, IGNORE)
    return replace(text, values=values), replace(text, values=labels)


def taken_away(
    text: list[int], corruption: Infill | Sentinels, *, mask: int, spans: Sequence[int], ends: Collection[int],
    random: np.random.Generator,
) -> tuple[list[int], list[int]]:  # fmt: skip
    """What is read of a text, and what is written.

    mask: what stands for a span of infill; spans: the ids of sentinels; ends: ids that end a sentence.
    """
    match corruption:
        case Infill():
            read = _infilled(text, corruption, mask, random)
            return _permuted(read, ends, random) if corruption.permute == "sentences" else read, text
        case Sentinels():
            return _with_sentinels(text, corruption, spans, random)
        case _:
            assert_never(corruption)


def _infilled(text: list[int], corruption: Infill, mask: int, random: np.random.Generator) -> list[int]:
    """Spans of lengths from a Poisson distribution that lose `rate` of the tokens, in any order with the rest."""
    lost = round(len(text) * corruption.rate)
    lengths: list[int] = []
    while (left := lost - sum(lengths)) > 0:
        lengths.append(min(int(random.poisson(corruption.mean_span)), left))
    while len(lengths) > lost:  # a text does not grow
        lengths.remove(0)
    kept = len(text) - lost
    places = set(random.choice(kept + len(lengths), len(lengths), replace=False).tolist())
    read, at, spans = [], 0, iter(lengths)
    for place in range(kept + len(lengths)):
        if place in places:
            read.append(mask)
            at += next(spans)
        else:
            read.append(text[at])
            at += 1
    return read


def _permuted(text: list[int], ends: Collection[int], random: np.random.Generator) -> list[int]:
    """The sentences in any order."""
    stops = [place + 1 for place, token in enumerate(text) if token in ends and place + 1 < len(text)]
    parts = [text[start:stop] for start, stop in zip([0, *stops], [*stops, len(text)], strict=True)]
    return [token for part in random.permutation(len(parts)) for token in parts[part]]


def _with_sentinels(
    text: list[int], corruption: Sentinels, spans: Sequence[int], random: np.random.Generator
) -> tuple[list[int], list[int]]:
    """What stays and what goes take turns, and what stays begins, in parts drawn uniformly."""
    lost, number = corruption.spans(len(text))
    if len(text) < 2:
        return list(spans[:number]), [token for pair in zip(spans, text, strict=False) for token in pair]
    read, written, at = [], [], 0
    staying, going = _parts(len(text) - lost, number, random), _parts(lost, number, random)
    for stays, goes, sign in zip(staying, going, spans, strict=False):
        read += [*text[at : at + stays], sign]
        written += [sign, *text[at + stays : at + stays + goes]]
        at += stays + goes
    return read, written


def _parts(total: int, number: int, random: np.random.Generator) -> list[int]:
    """`number` lengths of 1 or more that add up to `total`, every way as likely."""
    cuts = np.sort(random.choice(total - 1, number - 1, replace=False)) + 1
    found: list[int] = np.diff([0, *cuts, total]).tolist()
    return found
