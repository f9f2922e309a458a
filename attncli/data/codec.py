"""Text to ids and back for one run: its vocabularies and its labels. What a batch holds is in data/examples.py."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from attncli.data.carried import Numbers, Wrong
from attncli.data.copying import decode, extended, named
from attncli.data.examples import ADDED, Collator, Example, cut, token_fields
from attncli.data.labels import FIELD, find_labels, unknown_label
from attncli.data.ragged import Ragged
from attncli.data.rows import Row, Splits
from attncli.data.store import load_labels, load_vocabulary, save_codec
from attncli.data.tokenizers import train_vocabulary
from attncli.data.vocabulary import Vocabulary
from attncli.errors import DataError, InputError
from attncli.spec.fields import PROMPTED, part_name, parts_of, prompted
from attncli.spec.outputs import Adaptive, PointerGenerator
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes, spans_of
from attncli.spec.tasks import (
    FIELDS,
    Classification,
    Denoising,
    LanguageModel,
    MaskedLanguageModel,
    SentencePair,
    Tagging,
)
from attncli.spec.tokenizer import Words
from attncli.streams import IGNORE, Batch

__all__ = ["Codec", "Example", "Fault", "Vocabulary"]


class Fault(NamedTuple):
    """Why a row cannot be used."""

    rule: str
    help: str
    long: bool = False


class Codec:
    """The vocabularies and labels of one run."""

    def __init__(self, run: Run, vocabularies: dict[str, Vocabulary], labels: tuple[str, ...] = ()) -> None:
        self.run, self.vocabularies, self.labels = run, vocabularies, labels
        self.collator = Collator(run, vocabularies)
        self.limits = {field: _limit(run, field)[0] for field in vocabularies}
        """Places that the stacks have for each field."""
        for field, limit in self.limits.items():
            if limit <= ADDED[run.task.kind][field]:
                rule = f"model.{_limit(run, field)[1]}.max_length: {limit} leaves no place beside BOS and EOS"
                raise InputError(rule, help="write a larger max_length")
        output = getattr(run.task, "output", None)
        if isinstance(output, Adaptive):
            size = vocabularies[run.model.stacks[run.task.stack].input.field].size
            if output.cutoffs[-1] >= size:
                rule = f"task.output.cutoffs: the tokenizer has {size} ids, and the last cluster begins at "
                raise InputError(f"{rule}{output.cutoffs[-1]}", help="write smaller cutoffs")
        self.copies = isinstance(output, PointerGenerator) and isinstance(run.tokenizer_of("source"), Words)
        """Whether words that the vocabulary lacks have ids of their own in a row: see data/copying.py."""
        self.parts = parts_of(run.data, "text")
        """Columns that make a text."""
        self._numbers = {label: number for number, label in enumerate(labels)}
        self._truncates = run.data is not None and run.data.on_long == "truncate"

    @staticmethod
    def train(run: Run, splits: Splits) -> "Codec":
        """Train what is not given on the training rows, which are read once for each tokenizer.

        Fields without a tokenizer of their own share one vocabulary.
        """
        rows = splits.train
        if rows is None:
            raise DataError("there are no training rows to train a tokenizer on", help="write data.train")
        own, shared = _fields(run)

        def texts(fields: Sequence[str]) -> Callable[[], Iterable[str]]:
            columns = PROMPTED if prompted(run.task, run.data) else fields  # both are one text
            if isinstance(run.task, Denoising):
                columns = FIELDS[run.task.kind]
            columns = [part_name(each, part) for each in columns for part in range(parts_of(run.data, each))]
            return lambda: (row[field] for row in rows for field in columns)

        found = {
            field: train_vocabulary(run.tokenizer_of(field), texts([field]), where=f"data.fields.{field}.tokenizer")
            for field in own
        }
        if shared:
            found |= dict.fromkeys(shared, train_vocabulary(run.tokenizer, texts(shared), spans=spans_of(run)))
        return Codec(run, {field: found[field] for field in token_fields(run)}, find_labels(run.task, rows))

    @staticmethod
    def load(run: Run, folder: Path) -> "Codec":
        """Read what `save` wrote. Raises RunError where a file is missing or torn."""
        own, shared = _fields(run)
        found = {field: load_vocabulary(folder / f"tokenizer.{field}.json") for field in own}
        if shared:
            found |= dict.fromkeys(shared, load_vocabulary(folder / "tokenizer.json"))
        labels = load_labels(folder / "labels.json") if run.task.kind in FIELD else find_labels(run.task, [])
        return Codec(run, {field: found[field] for field in token_fields(run)}, labels)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json (tokenizer.FIELD.json for a field's own) and labels.json, and wait for the disk."""
        own, shared = _fields(self.run)
        files = {f"tokenizer.{field}.json": self.vocabularies[field] for field in own}
        if shared:
            files["tokenizer.json"] = self.vocabularies[shared[0]]
        save_codec(folder, files, self.labels if self.run.task.kind in FIELD else None)

    @property
    def sizes(self) -> Sizes:
        """The sizes that the model is built with."""
        labels = len(self.labels) or None
        return Sizes({field: vocabulary.size for field, vocabulary in self.vocabularies.items()}, labels)

    @property
    def fingerprint(self) -> str:
        """Changes whenever a row may become other ids."""
        parts = [vocabulary.tokenizer.to_str() for vocabulary in self.vocabularies.values()]
        data = self.run.data
        rules = (data.on_long, data.on_bad_row) if data else ()
        names = self.collator.carried.names
        facts = repr((self.run.task.kind, self.copies, self.labels, self.limits, rules, names, *parts))
        return hashlib.sha256(facts.encode()).hexdigest()

    def same_ids(self, other: "Codec") -> bool:
        """Whether another codec makes the same ids of a text."""
        mine, others = (
            {field: each.tokenizer.to_str() for field, each in one.vocabularies.items()} for one in (self, other)
        )
        return mine == others and self.copies == other.copies

    def encode(self, row: Row, *, place: str = "") -> Example:
        """The ids of the fields that the row has. Raises DataError, which names `place`."""
        found = self.encode_many([row])[0]
        if isinstance(found, Fault):
            raise DataError(f"{place}: {found.rule}" if place else found.rule, help=found.help)
        return found

    def encode_many(self, rows: Sequence[Row]) -> list[Example | Fault]:
        """Each row as ids, or why it cannot be. A long text of a language model is one example; `cut` makes chunks."""
        if not rows:
            return []
        carried = self.collator.carried
        if carried.prompted:
            return self._prompted(rows)
        if isinstance(self.run.task, Tagging):
            texts = [row["text"].split() for row in rows]
            encoded = self.vocabularies["text"].encode_words(texts)
            found = [self._tagged(*each) for each in zip(rows, texts, encoded, strict=True)]
            return self._carrying(rows, [" ".join(words) for words in texts], found)
        known = [field for field in self.vocabularies if field in rows[0]]
        if self.copies:
            both = [extended(self.vocabularies["source"], row["source"], row.get("target")) for row in rows]
            ids = {field: [pair[field == "target"] for pair in both] for field in known}
        else:
            ids = {field: self.vocabularies[field].encode_many([row[field] for row in rows]) for field in known}
        if isinstance(self.run.task, Denoising) and "text" in rows[0]:
            whole = self.vocabularies["source"].encode_many([row["text"] for row in rows])
            known, ids = ["source", "target"], {"source": whole, "target": whole}
        if self.parts > 1 and "text" in known:
            ids["text"] = [self._parted(row) for row in rows]
        found = [
            self._fitted({field: ids[field][number] for field in known}, row.get("label"))
            for number, row in enumerate(rows)
        ]
        return self._carrying(rows, [row.get(carried.field, "") for row in rows], found)

    def _carrying(
        self, rows: Sequence[Row], texts: Sequence[str], found: Sequence[Example | Fault]
    ) -> list[Example | Fault]:
        """The examples with what masks read of them."""
        carried = self.collator.carried
        if not carried.names:
            return list(found)
        pairs = zip(found, carried.of_rows(rows, texts, self.vocabularies[carried.field]), strict=True)
        return [self._joined(example, numbers) for example, numbers in pairs]

    def _joined(self, example: Example | Fault, carried: Numbers | Wrong) -> Example | Fault:
        if isinstance(example, Fault):
            return example
        if isinstance(carried, Wrong):
            return Fault(*carried)
        kept = len(example.fields.get(self.collator.carried.field, ()))  # a long text may have been cut
        tokens = {name: numbers[:kept] for name, numbers in carried.of_tokens.items()}
        return self.segmented(replace(example, carried=tokens, numbers={**carried.of_sample, **example.numbers}))

    def segmented(self, example: Example) -> Example:
        """The example with the number of each token's part, where the model reads it."""
        if not self.collator.carried.segment:
            return example
        ids = example.fields["text"]
        ends = np.cumsum(np.array(ids) == self.vocabularies["text"].eos)
        return replace(example, carried={**example.carried, "segment": [0, *ends.tolist()][: len(ids)]})

    def _parted(self, row: Row) -> list[int]:
        """The ids of a text of several parts, EOS between them; where they are one text, tabs stand there."""
        names = [part_name("text", number) for number in range(self.parts)]
        texts = [row[name] for name in names] if names[1] in row else row["text"].split("\t")
        return self.joined(texts)

    def joined(self, texts: Sequence[str]) -> list[int]:
        """The ids of parts, EOS between them."""
        vocabulary = self.vocabularies["text"]
        first, *rest = vocabulary.encode_many(texts)
        return [*first, *(token for ids in rest for token in (vocabulary.eos, *ids))]

    def _prompted(self, rows: Sequence[Row]) -> list[Example | Fault]:
        """Prompt and answer as one text; where a row has no answer, the prompt alone."""
        encode = self.vocabularies["text"].encode_many
        prompts, answers = encode([row["prompt"] for row in rows]), encode([row.get("answer", "") for row in rows])
        room, found = self.limits["text"] - 1, list[Example | Fault]()
        for row, prompt, answer in zip(rows, prompts, answers, strict=True):
            cut = self._truncates and len(prompt) + ("answer" in row) <= room
            ids = (prompt + answer)[:room] if cut else prompt + answer
            if len(ids) > room:
                found.append(self._too_long("text", len(ids)))
            else:
                numbers = {"prefix_length": len(prompt) + 1}
                found.append(Example({"text": ids}, length=len(ids) + 1, numbers=numbers))
        return self._carrying(rows, [""] * len(rows), found)

    def _fitted(self, fields: dict[str, list[int]], label: str | None) -> Example | Fault:
        """Apply `data.on_long`, and look the label up."""
        task = self.run.task
        if not isinstance(task, LanguageModel | MaskedLanguageModel | Denoising | SentencePair):
            for field, ids in fields.items():
                room = self.limits[field] - ADDED[task.kind][field]
                if len(ids) > room:
                    if not self._truncates:
                        return self._too_long(field, len(ids))
                    fields = fields | {field: ids[:room]}
        labels: tuple[int, ...] = ()
        if isinstance(task, Classification) and label is not None:
            label = label.strip()
            if label not in self._numbers:
                return Fault(*unknown_label(label, self.labels, given=isinstance(task.classes, tuple)))
            labels = (self._numbers[label],)
        length = sum(len(ids) + ADDED[task.kind][field] for field, ids in fields.items())
        return Example(fields, labels, length)

    def _tagged(self, row: Row, words: list[str], encoded: tuple[list[int], list[int]] | str) -> Example | Fault:
        assert isinstance(self.run.task, Tagging)
        tags = row["tags"].split() if "tags" in row else None
        if tags is not None and len(tags) != len(words):
            return Fault(f"{len(words)} words and {len(tags)} tags", "give one tag a word, spaces between")
        for tag in tags or ():
            if tag not in self._numbers:
                return Fault(*unknown_label(tag, self.labels, given=isinstance(self.run.task.tags, tuple)))
        if isinstance(encoded, str):
            return Fault(encoded, "remove the word, or take another tokenizer")
        ids, starts = encoded
        labels = [IGNORE] * len(ids) if tags is not None else []
        for start, tag in zip(starts, tags or (), strict=False):
            labels[start] = self._numbers[tag]
        room = self.limits["text"]
        if len(ids) > room and not self._truncates:
            return self._too_long("text", len(ids))
        return Example({"text": ids[:room]}, tuple(labels[:room]), min(len(ids), room))

    def _too_long(self, field: str, count: int) -> Fault:
        limit, stack = _limit(self.run, field)
        count += ADDED[self.run.task.kind][field]
        rule = f"'{field}' has {count} tokens, BOS and EOS counted, where model.{stack}.max_length is {limit}"
        return Fault(rule, "write a larger max_length, or data.on_long: skip or truncate", long=True)

    def cut(self, example: Example) -> list[Example]:
        """The chunks of a long text of a language model; any other example is its own only one."""
        return cut(self.run.task, example, min(self.limits.values()) - bool(self.run.beside))

    def collate(self, examples: Sequence[Example], *, noise: torch.Generator | None = None) -> Batch:
        """A padded batch of the fields that the examples have, with labels where they have any.

        Without `noise` a masked language model reads its text whole, without labels.
        """
        framed = [self.collator.framed(example) for example in examples]
        fields = {field: Ragged.of([one[field] for one in framed]) for field in framed[0]}
        labels = Ragged.of([example.labels for example in examples]) if examples[0].labels else None
        return self.collator.lay(fields, labels, noise)

    def decode(self, field: str, ids: Iterable[int], source: str | None = None) -> str:
        """The text of ids, without PAD, BOS and EOS; `source` is what was read, where words of it may be copied."""
        if self.copies and source is not None:
            return decode(self.vocabularies[field], list(ids), source)
        return self.vocabularies[field].decode(ids)

    def pieces(self, field: str, ids: Iterable[int], source: str | None = None) -> list[str]:
        """What each id stands for, readable, for the axes of maps; `source` as for `decode`."""
        if self.copies and source is not None:
            return named(self.vocabularies[field], list(ids), source)
        return self.vocabularies[field].pieces(ids)


def _fields(run: Run) -> tuple[list[str], list[str]]:
    """The token fields with a tokenizer of their own, and those that share the one at the top."""
    written = run.data.fields if run.data else {}
    own = [field for field in token_fields(run) if field in written and written[field].tokenizer is not None]
    return own, [field for field in token_fields(run) if field not in own]


def _limit(run: Run, field: str) -> tuple[int, str]:
    """The smallest max_length of the stacks that read a field, and that stack's name."""
    found = [(stack.max_length, name) for name, stack in run.model.stacks.items() if stack.input.field == field]
    return min(found, default=(2**31 - 1, ""))
