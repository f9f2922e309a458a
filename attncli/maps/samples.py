"""Texts in, samples with maps out: what `attncli inspect` does for each task.

    seq2seq                  forced: source and target, read at once; or the target is searched for
    language_model           forced: the text, read at once; or the text is a prompt that is continued
    all others               the text, read at once, and what the model says of it

Every text is a batch of its own, so that no other text's padding is near it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from attncli.data.codec import Codec
from attncli.data.examples import ADDED
from attncli.data.rows import Row
from attncli.errors import InputError
from attncli.maps.capture import Pieces, capture_forced
from attncli.maps.generation import Hypothesis, capture_generated, replay_error
from attncli.maps.record import Sample
from attncli.maps.taking import Plan
from attncli.nn.model import Model
from attncli.nn.records import Tap
from attncli.spec.run import Run
from attncli.spec.tasks import Classification, Denoising, LanguageModel, SentencePair, Seq2seq, Tagging
from attncli.streams import IGNORE, Batch, stream

ROWS = 256
"""Places whose probabilities are made at a time: all of a long text would take more than its logits."""

Search = Callable[[Batch, Tap], Sequence[Sequence[Hypothesis]]]
"""Runs a search on a batch with a tap: attncli.decoding.decode with all else bound."""


@dataclass(frozen=True)
class Inspector:
    """A run whose attentions are looked at; `only` is a pattern of addresses (`decoder.*.cross_attention`), and `plan`
    says which rows are kept."""

    run: Run
    codec: Codec
    model: Model
    only: str = "*"
    plan: Plan = field(default_factory=Plan)

    @property
    def written(self) -> str | None:
        """The field that the model writes."""
        return _written(self.run)

    def check(self) -> None:
        """Raise InputError where there is nothing to look at."""
        addresses = list(self.model.attentions())
        if not addresses:
            raise InputError(f"{self.run.name}: this model has no attention", help="there is nothing to look at")
        if not any(fnmatchcase(address, self.only) for address in addresses):
            raise InputError(
                f"--only {self.only}: no attention has such an address", help=f"there are {', '.join(addresses)}"
            )

    def forced(self, row: Row, *, place: str, written: Sequence[int] | None = None) -> Sample:
        """The maps of a row that is read at once. Errors: InputError or DataError where it cannot be read."""
        batch = self.batch(row, place, written)
        field = self.written
        logits, (maps,) = capture_forced(
            self.model, batch, self.pieces(row), only=self.only, labels=field if "labels" in batch else None,
            plan=self.plan,
        )  # fmt: skip
        texts = {**row, **self._answer(row, logits)}
        probability = _log_probability(logits, batch) if field is not None else None
        self.plan.sample += 1
        return Sample(texts, maps, "forced", log_probability=probability)

    def generated(self, row: Row, search: Search, *, name: str, place: str) -> list[Sample]:
        """The maps of each hypothesis of a search, best first, each with the error of its replay."""
        batch = self.batch(row, place)
        batch.pop("labels", None)
        written = _written(self.run)
        assert written is not None
        vocabulary = self.codec.vocabularies[written]
        (found,) = capture_generated(
            self.model, batch, self.pieces(row), lambda tap: search(batch, tap), bos=vocabulary.bos,
            eos=vocabulary.eos, only=self.only, plan=self.plan,
        )  # fmt: skip
        samples, best = [], sum(not one.text.hypothesis.pruned for one in found)
        for rank, hypothesis in enumerate(found, 1):
            which = f", {rank} of {best}" if best > 1 else ""
            if rank > best:
                which = f", branch {rank - best} of {len(found) - best} that it gave up"
            text = self.codec.decode(written, hypothesis.text.hypothesis.tokens, row.get("source"))
            samples.append(Sample(
                {**row, "prediction": text},
                hypothesis.maps,
                name + which,
                log_probability=hypothesis.text.hypothesis.log_probability,
                replay_error=replay_error(self.model, batch, 0, hypothesis, block=self.plan.budget.block),
                written=tuple(hypothesis.text.written),
            ))  # fmt: skip
        return samples

    def as_written(self, row: Row, written: Sequence[int] | None, by: Codec, *, place: str) -> Sequence[int] | None:
        """What another codec's model wrote, whose text is in the row: its ids, or where they are others here, the ids
        of its text."""
        field = self.written
        if written is None or field is None or self.codec.same_ids(by):
            return written
        ends = [self.codec.vocabularies[field].eos] if written[-1] == by.vocabularies[field].eos else []
        both = {"source": row.get("source", row.get("text", ""))}  # a denoiser reads what it is given to rewrite
        both |= {name: text for name, text in row.items() if name != "text"}
        return [*self.codec.encode(both, place=place).fields[field], *ends]

    def pieces(self, row: Row) -> Pieces:
        """What ids stand for in this row, words that were copied from its source among them."""
        return lambda field, ids: self.codec.pieces(field, ids, row.get("source"))

    def batch(self, row: Row, place: str, written: Sequence[int] | None = None) -> Batch:
        """A row alone, on the model's device. Errors: InputError or DataError where it cannot be read.

        `written` is what a search wrote of the row, as its ids: read again, its text may be other tokens, and a text
        that was cut at the limit has no EOS.
        """
        if written is not None:
            row = {field: text for field, text in row.items() if field != self.written}
        example = self.codec.encode(row, place=place)
        counts = {name: len(ids) + ADDED[self.run.task.kind][name] for name, ids in example.fields.items()}
        if written is not None and self.written is not None:
            counts[self.written] = len(written)
        for name, count in counts.items():
            if count > self.codec.limits[name]:
                raise InputError(
                    f"{place}: '{name}' has {count} tokens, and the model has {self.codec.limits[name]} positions",
                    help="shorten the text",
                )
            if not count:
                raise InputError(f"{place}: '{name}' is empty, so there is nothing to look at", help="write a text")
        device = next(self.model.parameters()).device
        batch = {field: each.to(device) for field, each in self.codec.collate([example]).items()}
        return batch if written is None else batch | self._read_again(batch, written)

    def _read_again(self, batch: Batch, written: Sequence[int]) -> Batch:
        """The streams of what was written, as the search read and wrote it."""
        assert self.written is not None
        source = batch["source"]
        read = stream([[self.codec.vocabularies[self.written].bos, *written[:-1]]], pad=0).with_rows(source.of_rows())
        labels = stream([written], pad=IGNORE)
        return {name: each.to(source.values.device) for name, each in ((self.written, read), ("labels", labels))}

    def _answer(self, row: Row, logits: Tensor) -> dict[str, str]:
        match self.run.task:
            case Classification() | SentencePair():
                return {"prediction": self.codec.labels[int(logits[0].argmax())]}
            case Tagging():
                words = self.codec.vocabularies["text"].encode_words([row["text"].split()])[0]
                assert not isinstance(words, str), "a word without a piece is refused when the row is read"
                tags = logits[0].argmax(-1).tolist()
                return {"prediction": " ".join(self.codec.labels[tags[start]] for start in words[1])}
            case _:
                return {}


def _written(run: Run) -> str | None:
    """The field that the model writes."""
    return {Seq2seq: "target", Denoising: "target", LanguageModel: "text"}.get(type(run.task))


def _log_probability(logits: Tensor, batch: Batch) -> float | None:
    if "labels" not in batch:
        return None
    labels, total = batch["labels"].values, 0.0
    for first in range(0, labels.shape[1], ROWS):
        some, wanted = (each[:, first : first + ROWS] for each in (logits, labels))
        chosen = some.double().log_softmax(-1).gather(-1, wanted.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        total += float(torch.where(wanted == IGNORE, 0.0, chosen).sum())
    return total
