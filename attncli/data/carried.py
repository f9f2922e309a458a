"""Integers that masks read, as every batch carries them: of the tokens of one text, and of whole samples.

    integers       one a word in the data; each token carries that of its word, BOS and EOS carry -1
    word           the number of the word, from 0; a word is what stands between spaces
    segment        the part of the text, from 0; BOS belongs to the first, and each EOS to what it ends
    integer        one a row, carried by all tokens of all its texts
    prefix_length  tokens of the prompt of a language model, BOS counted

In an encoded split they are fields of their own, `carried.NAME`, beside those of the texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from attncli.data.ragged import Ragged
from attncli.data.records import SKIP
from attncli.data.rows import Row
from attncli.data.vocabulary import Vocabulary
from attncli.spec.fields import numbers_of, prompted, worded
from attncli.spec.run import Run
from attncli.streams import Batch, Stream

FRAME = "carried."
NOWHERE = -1
"""What BOS and EOS carry, which belong to no word."""


class Numbers(NamedTuple):
    """What the tokens of one row carry, and what the row does."""

    of_tokens: dict[str, list[int]]
    of_sample: dict[str, int]


class Wrong(NamedTuple):
    """Why a row has no such numbers."""

    rule: str
    help: str


class Carried:
    """What the masks of a run read of its data."""

    def __init__(self, run: Run) -> None:
        self.field = worded(run.task)
        self.integers = numbers_of(run.data, "integers")
        self.samples = numbers_of(run.data, "integer")
        self.word = "word" in run.read_by_masks
        self.segment = "segment" in run.read_by_masks
        self.prompted = prompted(run.task, run.data)

    @property
    def of_tokens(self) -> tuple[str, ...]:
        """The names of what each token of the text carries."""
        return (*self.integers, *(["word"] if self.word else []), *(["segment"] if self.segment else []))

    @property
    def of_samples(self) -> tuple[str, ...]:
        """The names of what a sample carries."""
        return (*self.samples, *(["prefix_length"] if self.prompted else []))

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that an encoded split has for them."""
        return tuple(FRAME + name for name in (*self.of_tokens, *self.of_samples))

    def of_rows(self, rows: Sequence[Row], texts: Sequence[str], vocabulary: Vocabulary) -> "list[Numbers | Wrong]":
        """For each row what each token of its text carries, and what the row does; or what is wrong with it."""
        if not self.integers and not self.word and not self.samples:
            return [Numbers({}, {}) for _ in rows]
        words: list[list[int]] = vocabulary.words_of(texts) if self.integers or self.word else [[] for _ in rows]
        return [self.of_row(*each) for each in zip(rows, texts, words, strict=True)]

    def of_row(self, row: Row, text: str, words: list[int]) -> "Numbers | Wrong":
        """The same of one row, whose tokens stand in these words."""
        tokens: dict[str, list[int]] = {"word": words} if self.word else {}
        numbers: dict[str, int] = {}
        for name in (*self.integers, *self.samples):
            if name not in row:
                rule = f"the masks of this model read '{name}', which is not given"
                return Wrong(rule, "give rows with a column for it, as to evaluate --data and inspect --file")
            found = [_integer(item) for item in row[name].split()]
            whole = [item for item in found if item is not None]
            if len(whole) < len(found):
                return Wrong(f"'{name}' holds what is no integer: {row[name]:.40}", SKIP)
            due = len(text.split()) if name in self.integers else 1
            if len(whole) != due:
                each = "word" if name in self.integers else "row"
                return Wrong(f"'{name}' has {len(whole)} integers where {due} are due, one a {each}", SKIP)
            if name in self.samples:
                numbers[name] = whole[0]
            else:
                tokens[name] = [whole[word] for word in words]
        return Numbers(tokens, numbers)

    def lay(self, batch: Batch, fields: Mapping[str, Ragged]) -> Batch:
        """The streams of a batch with what they carry. Labels carry nothing."""
        samples = {
            name: fields[FRAME + name].stream(pad=0).values[:, 0] for name in self.of_samples if FRAME + name in fields
        }
        laid = {name: stream.with_rows(samples) if name != "labels" else stream for name, stream in batch.items()}
        if self.field in laid and self.of_tokens:
            tokens = {name: fields[FRAME + name].stream(pad=NOWHERE).values for name in self.of_tokens}
            text: Stream = laid[self.field]
            laid[self.field] = replace(text, carried={**text.carried, **tokens})
        return laid


def _integer(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if abs(number) < 2**31 else None
