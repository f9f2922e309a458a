"""The law of caches: a text written piece by piece is the text read at once."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from attncli.checking.measure import Measure, apart
from attncli.checking.subject import Subject
from attncli.streams import Batch

CUTS = {"token by token": (1, 2, 3, 4, 5, 6), "in chunks": (1, 4, 6), "prefill, then tokens": (4, 5, 6)}


def _texts(subject: Subject, count: int, length: int) -> list[list[int]]:
    """Texts of one length, made of the rows' own tokens."""
    pool = [token for row in subject.rows[subject.written] for token in row]
    return [[pool[(7 * row + 3 * at) % len(pool)] for at in range(length)] for row in range(count)]


def _sources(subject: Subject, rows: Sequence[int]) -> Batch:
    return {name: one for name, one in subject.batch(*rows).items() if name not in (subject.written, "labels")}


def _whole(subject: Subject, texts: list[list[int]], rows: Sequence[int]) -> Tensor:
    """The logits of texts beside the sources of the rows named."""
    given = {name: [texts_[row] for row in rows] for name, texts_ in subject.rows.items()}
    given |= {subject.written: texts, "labels": texts}
    out: Tensor = subject.model(subject.batch(rows=given))
    return out


def _room(subject: Subject) -> int:
    return min(6, subject.run.model.stacks[subject.run.task.stack].max_length)


@torch.no_grad()
def cached(subject: Subject) -> Iterator[Measure]:
    length, rows = _room(subject), (0, 1, 2)
    texts = _texts(subject, len(rows), length)
    expected = _whole(subject, texts, rows)
    for how, cuts in CUTS.items():
        cache, start, logits = subject.model.start(_sources(subject, rows), capacity=length), 0, []
        for end in [cut for cut in cuts if cut <= length]:
            logits.append(subject.model.step(subject.chunk(texts, start, end), cache))
            start = end
        yield Measure(apart(torch.cat(logits, 1), expected[:, :start]), f"{how} is not the whole text at once")
    yield from _prompts(subject, rows)
    yield from _reordered(subject, rows)
    yield from _cropped(subject, rows)


def _prompts(subject: Subject, rows: Sequence[int]) -> Iterator[Measure]:
    """Prompts of unlike length, padded on the left, go on together."""
    length = _room(subject)
    texts = [text[: max(2, length - row)] for row, text in enumerate(_texts(subject, len(rows), length))]
    heads = {subject.written: [text[:-1] for text in texts]}
    prompts = subject.batch(rows=heads, left=True)[subject.written]
    cache = subject.model.start(_sources(subject, rows), capacity=length)
    subject.model.step(prompts, cache)
    last = subject.model.step(cache.next(torch.tensor([text[-1:] for text in texts])), cache)
    for row, text in enumerate(texts):
        alone = _whole(subject, [text], [rows[row]])[0, -1]
        yield Measure(apart(last[row, 0], alone), f"row {row}, whose prompt is padded on the left, goes on otherwise")


def _reordered(subject: Subject, rows: Sequence[int]) -> Iterator[Measure]:
    """As beams do: some rows die and others split, and then there are fewer."""
    length = _room(subject)
    if length < 4:
        return
    cache = subject.model.start(_sources(subject, rows), rows=2, capacity=length)
    texts, of = _texts(subject, 2 * len(rows), 2), [row for row in rows for _ in range(2)]
    subject.model.step(subject.chunk(texts, 0, 2), cache)
    for index, fresh in (([1, 0, 3, 3, 4, 4], 7), ([5, 2, 0, 1], 3)):
        cache.reorder(torch.tensor(index))
        added = [[token] for token in _texts(subject, fresh, len(index))[-1]]
        texts = [texts[one] + more for one, more in zip(index, added, strict=True)]
        of = [of[one] for one in index]
        logits = subject.model.step(cache.next(torch.tensor(added)), cache)
        error = apart(logits[:, 0], _whole(subject, texts, of)[:, -1])
        yield Measure(error, "after the rows of a beam were moved about, a row does not go on as its own text")


def _cropped(subject: Subject, rows: Sequence[int]) -> Iterator[Measure]:
    length = _room(subject)
    if length < 4:
        return
    texts = _texts(subject, len(rows), length)
    cache = subject.model.start(_sources(subject, rows), capacity=length)
    subject.model.step(subject.chunk(texts, 0, length), cache)
    cache.crop(2)
    others = [text[:2] + text[1::-1] for text in texts]
    logits = subject.model.step(subject.chunk(others, 2, 4), cache)
    yield Measure(apart(logits, _whole(subject, others, rows)[:, 2:]), "a text that was cut back goes on otherwise")
