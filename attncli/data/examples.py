"""Examples: rows as ids, and the streams that each task makes of them.

What a batch holds (BOS, EOS as ids; IGNORE where nothing is predicted):

    seq2seq                source = ids EOS      target = BOS ids      labels = ids EOS
    language_model         text = BOS ids        labels = ids EOS
    masked_language_model  text = BOS ids EOS, with noise              labels = the ids that noise hit
    sentence_pair          text = BOS ids EOS ids EOS    labels = 1 where the second part is another (b 1)
    denoising              source = what noise left EOS   target = BOS what is written   labels = what is written EOS
    classification         text = BOS ids EOS    labels = the class (b 1)
    tagging                text = ids            labels = a tag on the first piece of each word

A text of a language model that is longer than max_length is cut into chunks. A chunk that does not begin its text
begins with the token before it instead of BOS, so every token of the text is predicted once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as with_default

import numpy as np
import torch

from attncli.data.carried import FRAME, NOWHERE, Carried
from attncli.data.labels import FIELD
from attncli.data.noise import corrupt, taken_away
from attncli.data.pairs import paired
from attncli.data.ragged import Ragged
from attncli.data.tokenizers import span_name
from attncli.data.vocabulary import Vocabulary
from attncli.spec.run import Run
from attncli.spec.sizes import spans_of
from attncli.spec.tasks import (
    FIELDS,
    Denoising,
    Infill,
    LanguageModel,
    MaskedLanguageModel,
    Rewriting,
    SentencePair,
    Sentinels,
    Task,
)
from attncli.streams import IGNORE, Batch, Stream


@dataclass(frozen=True)
class Example:
    """One row as ids, without the BOS and EOS that batches add."""

    fields: dict[str, list[int]]
    labels: tuple[int, ...] = ()
    """The class, or the tag of each piece (IGNORE but on the first of a word)."""
    length: int = 0
    """Places that it fills in the inputs of a batch."""
    before: int | None = None
    """The token before a chunk that does not begin its text."""
    after: int | None = None
    """The token behind a chunk that does not end its text."""
    carried: dict[str, list[int]] = with_default(default_factory=dict)
    """What masks read of each token of the text."""
    numbers: dict[str, int] = with_default(default_factory=dict)
    """What masks read of the row."""


ROLES: dict[str, dict[str, tuple[str, ...]]] = {
    "seq2seq": {"source": ("eos",), "target": ("bos", "eos")},
    "language_model": {"text": ("bos", "eos")},
    "masked_language_model": {"text": ("bos", "eos", "mask")},
    "denoising": {"source": ("eos", "mask"), "target": ("bos", "eos")},
    "sentence_pair": {"text": ("bos", "eos")},
    "classification": {"text": ("bos", "eos")},
    "tagging": {"text": ()},
}
"""The special tokens that each field of each task needs."""

ADDED: dict[str, dict[str, int]] = {
    "seq2seq": {"source": 1, "target": 1},
    "language_model": {"text": 1},
    "masked_language_model": {"text": 2},
    "denoising": {"source": 1, "target": 1},
    "sentence_pair": {"text": 3},
    "classification": {"text": 2},
    "tagging": {"text": 0},
}
"""Places that BOS and EOS take in an input."""


def token_fields(run: Run) -> tuple[str, ...]:
    """The streams of the task that become tokens."""
    if isinstance(run.task, Denoising):
        return ("source", "target")
    return tuple(field for field in FIELDS[run.task.kind] if field != FIELD.get(run.task.kind))


def cut(task: Task, example: Example, limit: int) -> list[Example]:
    """The chunks of at most `limit` places of a text of a language model; any other example is its own only one."""
    if isinstance(task, Denoising):
        whole, room = example.fields["source"], limit - 1
        chunks = [whole[start : start + room] for start in range(0, max(1, len(whole)), room)]
        return [Example({"source": part, "target": part}, length=2 * (len(part) + 1)) for part in chunks]
    if not isinstance(task, LanguageModel | MaskedLanguageModel | SentencePair) or example.length <= limit:
        return [example]
    ids = example.fields["text"]
    if not isinstance(task, LanguageModel):
        added = ADDED[task.kind]["text"]
        parts = [slice(start, start + limit - added) for start in range(0, len(ids), limit - added)]
        return [_part(example, part, added) for part in parts]
    found = []
    for start in range(0, len(ids) + 1, limit):  # the places start to stop of BOS ids, which predict those of ids EOS
        stop = min(start + limit, len(ids) + 1)
        before = ids[start - 1] if start else None
        after = ids[stop - 1] if stop <= len(ids) else None
        part = {"text": ids[start : stop - 1]}
        found.append(Example(part, (), stop - start, before, after, numbers=example.numbers))
    return found


def _part(example: Example, part: slice, added: int) -> Example:
    ids = example.fields["text"][part]
    carried = {name: numbers[part] for name, numbers in example.carried.items()}
    return Example({"text": ids}, length=len(ids) + added, carried=carried, numbers=example.numbers)


def _random(noise: torch.Generator) -> np.random.Generator:
    """NumPy's numbers, drawn once from torch's."""
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=noise)))


STOPS = (".", "!", "?", "。", "！", "？")
"""With what a token ends that ends a sentence."""


def _ends(vocabulary: Vocabulary) -> frozenset[int]:
    pieces = vocabulary.pieces(range(vocabulary.size))
    return frozenset(number for number, piece in enumerate(pieces) if piece.endswith(STOPS))


def _permutes(task: Denoising) -> bool:
    return isinstance(task.corruption, Infill) and task.corruption.permute == "sentences"


class Collator:
    """Lays examples of one task under each other."""

    def __init__(self, run: Run, vocabularies: Mapping[str, Vocabulary]) -> None:
        task = run.task
        self.task, self.vocabularies, self.carried = task, vocabularies, Carried(run)
        self.spans: list[int] = []
        """The ids that stand for spans, of a denoiser that has them."""
        for field, roles in ROLES[task.kind].items():
            vocabularies[field].require(roles, field=field)
        if isinstance(task, Denoising):
            vocabulary = vocabularies["source"]
            names = (span_name(number) for number in range(spans_of(run)))
            self.spans = [token for name in names if (token := vocabulary.tokenizer.token_to_id(name)) is not None]
            self._ends = _ends(vocabulary) if _permutes(task) else frozenset()
        self.pairs = run.pairs
        if self.pairs is not None:
            self._ends = _ends(vocabularies["text"])
            self._room = min(stack.max_length for stack in run.model.stacks.values())
        if isinstance(task, MaskedLanguageModel):
            special, size = vocabularies["text"].specials, vocabularies["text"].size
            self._special = torch.tensor(sorted(special))
            self._ordinary = torch.tensor([token for token in range(size) if token not in special])

    def framed(self, example: Example) -> dict[str, list[int]]:
        """The ids of each field with the tokens on both sides, of which each stream leaves out what it has not."""
        found = {}
        for field, ids in example.fields.items():
            vocabulary, roles = self.vocabularies[field], ROLES[self.task.kind][field]
            before = vocabulary.bos if example.before is None else example.before
            after = vocabulary.eos if example.after is None else example.after
            found[field] = [before] * ("bos" in roles) + ids + [after] * ("eos" in roles)
            if field == self.carried.field:
                for name, numbers in example.carried.items():
                    first, last = (0, ids.count(vocabulary.eos)) if name == "segment" else (NOWHERE, NOWHERE)
                    found[FRAME + name] = [first] * ("bos" in roles) + numbers + [last] * ("eos" in roles)
        return found | {FRAME + name: [number] for name, number in example.numbers.items()}

    def pad(self, name: str) -> int:
        """What stands where a stream of a batch has no token."""
        return IGNORE if name == "labels" else max(self.vocabularies[name].pad, 0)

    def widths(self, example: Example) -> tuple[int, ...]:
        """The places that each field of an example fills in the inputs of a batch; noise may fill fewer."""
        if isinstance(self.task, Denoising) and isinstance(self.task.corruption, Sentinels):
            length = len(example.fields["source"])
            lost, spans = self.task.corruption.spans(length)
            return length - lost + spans + 1, lost + spans + 1
        return tuple(len(ids) + ADDED[self.task.kind][field] for field, ids in example.fields.items())

    def lay(self, fields: Mapping[str, Ragged], labels: Ragged | None, noise: torch.Generator | None) -> Batch:
        """The batch of framed fields. Without `noise` a masked language model reads its text whole, without labels."""
        others: Ragged | None = None
        if self.pairs is not None and noise is not None:
            fields, others = self._paired(fields, self.pairs, noise)
        batch = self.carried.lay(self._laid(fields, labels, noise), fields)
        if others is not None and self.pairs is not None:
            batch["labels" if self.task is self.pairs else self.pairs.kind] = others.stream(pad=IGNORE)
        if "labels" in batch and isinstance(self.task, LanguageModel) and self.task.loss_on == "answer":
            prompt = batch["text"].positions < batch["text"].carried["prefix_length"] - 1
            batch["labels"].values[prompt] = IGNORE
        return batch

    def _laid(self, fields: Mapping[str, Ragged], labels: Ragged | None, noise: torch.Generator | None) -> Batch:
        if isinstance(self.task, Denoising) and noise is not None:
            fields = self._noisy(fields["source"], self.task.corruption, noise)
        streams = {field: self.pad(field) for field in self.vocabularies if field in fields}
        match self.task:
            case Rewriting() | LanguageModel():
                written = "target" if isinstance(self.task, Rewriting) else "text"
                batch = {field: fields[field].stream(pad=pad) for field, pad in streams.items() if field != written}
                if written in fields:
                    batch[written] = fields[written].trimmed(last=1).stream(pad=streams[written])
                    batch["labels"] = fields[written].trimmed(first=1).stream(pad=IGNORE)
                    if isinstance(self.task, LanguageModel):  # where a text begins in a stream, none is predicted
                        begins = batch["labels"].values == self.vocabularies["text"].bos
                        batch["labels"].values[begins] = IGNORE
                return batch
            case MaskedLanguageModel(rate=rate) if noise is not None:
                return self._hidden(fields["text"].stream(pad=streams["text"]), rate, noise)
            case _:
                batch = {"text": fields["text"].stream(pad=streams["text"])}
                return batch if labels is None else batch | {"labels": labels.stream(pad=IGNORE)}

    def _paired(
        self, fields: Mapping[str, Ragged], task: SentencePair, noise: torch.Generator
    ) -> tuple[dict[str, Ragged], Ragged]:
        """The fields with texts in two parts, and whether the second is another."""
        random, vocabulary = _random(noise), self.vocabularies["text"]
        made = paired(
            fields["text"], task, bos=vocabulary.bos, eos=vocabulary.eos, ends=self._ends, room=self._room,
            random=random,
        )  # fmt: skip
        parts = {FRAME + "segment": made.segments} if self.carried.segment else {}
        return {**fields, "text": made.text, **parts}, made.labels

    def _noisy(self, source: Ragged, corruption: Infill | Sentinels, noise: torch.Generator) -> dict[str, Ragged]:
        """Framed fields of texts (ids EOS) with spans taken away."""
        random, vocabulary = _random(noise), self.vocabularies["source"]
        read, written = [], []
        for row in range(len(source)):
            left, target = taken_away(
                source.row(row)[:-1], corruption, mask=vocabulary.mask, spans=self.spans, ends=self._ends, random=random
            )
            read.append([*left, vocabulary.eos])
            written.append([vocabulary.bos, *target, vocabulary.eos])
        return {"source": Ragged.of(read), "target": Ragged.of(written)}

    def _hidden(self, text: Stream, rate: float, noise: torch.Generator) -> Batch:
        mask = self.vocabularies["text"].mask
        hidden, labels = corrupt(
            text, rate=rate, mask=mask, special=self._special, ordinary=self._ordinary, generator=noise
        )
        return {"text": hidden, "labels": labels}
