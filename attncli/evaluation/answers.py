"""What a trained model answers to texts, for every task: translations, continuations, filled gaps, labels, tags."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, assert_never

import torch

from attncli.data.carried import Wrong
from attncli.data.codec import Codec, Example, Fault
from attncli.errors import InputError
from attncli.evaluation.gaps import fill, gapped
from attncli.evaluation.reading import by_length
from attncli.nn.model import Model
from attncli.nn.packed import packed
from attncli.spec.run import Run
from attncli.spec.tasks import (
    Classification,
    Denoising,
    LanguageModel,
    MaskedLanguageModel,
    Rewriting,
    SentencePair,
    Sentinels,
    Seq2seq,
    Tagging,
)
from attncli.streams import IGNORE, Batch

SHOWN = 10
"""Classes whose probability is printed; JSON has all."""
CUT = "shorten the text, or cut it with --on-long truncate"


class Written(Protocol):
    """A text under its score: attncli.decoding.Hypothesis."""

    @property
    def tokens(self) -> list[int]: ...
    @property
    def score(self) -> float: ...
    @property
    def log_probability(self) -> float: ...
    @property
    def finished(self) -> bool: ...


class Write(Protocol):
    """Writes texts for each row of a batch, best first: attncli.decoding.Decoder."""

    def __call__(self, batch: Batch, *, numbers: Sequence[int]) -> Sequence[Sequence[Written]]: ...


@dataclass(frozen=True)
class Answer:
    """The answer to one text."""

    text: str
    output: str
    """The best text, the label, the words with their tags, the text with its gaps filled."""
    lines: tuple[str, ...]
    """The answer as people read it: one line, or one for each of several texts."""
    details: dict[str, Any]

    def json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {"text": self.text, "output": self.output, **self.details}


@dataclass(frozen=True)
class Answering:
    """A model that answers texts; those of similar length are computed together."""

    model: Model
    codec: Codec
    run: Run
    write: Write
    """Used by the tasks that write."""

    def answer(
        self, texts: Sequence[str], *, first: int = 0, place: Callable[[int], str] = lambda number: f"text {number + 1}"
    ) -> list[Answer]:
        """Answer texts, which have the numbers first, first + 1, … in the whole input, in their order.

        `place` names the text of a number in errors. data.on_long of the codec's spec says whether long texts are cut.

        Raises:
            InputError: a text has more tokens than the model has positions, or no [MASK] where one is to be filled.
        """
        examples = []
        for number, example in enumerate(self._examples(texts), first):
            if isinstance(example, Fault):
                raise InputError(f"{place(number)}: {example.rule}", help=CUT if example.long else example.help)
            examples.append(example)
        answers: dict[int, Answer] = {}
        with packed(self.model, rows=len(texts)):
            for group in by_length([example.length for example in examples]):
                chosen = [examples[index] for index in group]
                found = self._answers([texts[index] for index in group], chosen, [first + index for index in group])
                answers |= dict(zip(group, found, strict=True))
        return [answers[index] for index in range(len(texts))]

    def _examples(self, texts: Sequence[str]) -> list[Example | Fault]:
        match self.run.task:
            case Seq2seq():
                return self.codec.encode_many([{"source": text} for text in texts])
            case Denoising():
                return [self._spanned(text) for text in texts]
            case Classification():
                return self.codec.encode_many([{"text": text} for text in texts])
            case SentencePair():
                return [self._limited(self.codec.joined(text.split("\t")), 2, keep_end=False) for text in texts]
            case Tagging():  # any tag will do: where the labels have one, a word begins
                tag = self.codec.labels[0]
                return self.codec.encode_many([{"text": t, "tags": " ".join(tag for _ in t.split())} for t in texts])
            case LanguageModel() if self.codec.collator.carried.prompted:
                return self.codec.encode_many([{"prompt": text} for text in texts])
            case LanguageModel():
                return [self._limited(self.codec.vocabularies["text"].encode(text), 1, keep_end=True) for text in texts]
            case MaskedLanguageModel():
                return [self._gapped(text) for text in texts]
            case _:
                assert_never(self.run.task)

    def _gapped(self, text: str) -> Example | Fault:
        vocabulary, kind = self.codec.vocabularies["text"], self.run.tokenizer_of("text")
        first, *rest = text.split("\t") if self.codec.parts > 1 or self.run.pairs is not None else [text]
        ids, words = gapped(first, vocabulary, kind)
        ids += [token for part in rest for token in (vocabulary.eos, *gapped(part, vocabulary, kind)[0])]
        found = self._limited(ids, 2, words=words, keep_end=False)  # where a mask reads words, a text has one part
        if isinstance(found, Example) and vocabulary.mask not in found.fields["text"]:
            return Fault("there is no [MASK] in the text", "write [MASK] where a token is missing")
        return found

    def _spanned(self, text: str) -> Example | Fault:
        """A text as a denoiser reads it: each [MASK] is a span that is missing."""
        vocabulary, spans = self.codec.vocabularies["source"], self.codec.collator.spans
        ids, _ = gapped(text, vocabulary, self.run.tokenizer_of("source"))
        if isinstance(self.run.task, Denoising) and isinstance(self.run.task.corruption, Sentinels):
            gaps = [place for place, token in enumerate(ids) if token == vocabulary.mask]
            if len(gaps) > len(spans):
                rule = f"{len(gaps)} spans are missing, and there are tokens for {len(spans)}"
                return Fault(rule, "write fewer [MASK]")
            for place, span in zip(gaps, spans, strict=False):
                ids[place] = span
        found = self._limited(ids, 1, keep_end=False)
        return replace(found, fields={"source": found.fields["text"]}) if isinstance(found, Example) else found

    def _limited(self, ids: list[int], added: int, *, keep_end: bool, words: Sequence[int] = ()) -> Example | Fault:
        """A prompt keeps its end, half a window of it, so that there is room to write; other texts their beginning.

        `words`: the number of the word of each token, where a mask may read it.
        """
        carried = self.codec.collator.carried.of_row({}, "", list(words))
        if isinstance(carried, Wrong):
            return Fault(*carried)
        stack = self.run.task.stack
        limit = self.run.model.stacks[stack].longest
        if len(ids) + added > limit:
            if self.codec.run.data is None or self.codec.run.data.on_long != "truncate":
                rule = f"the text has {len(ids) + added} tokens, where model.{stack}.max_length is {limit}"
                return Fault(rule, "", long=True)
            ids = ids[len(ids) - limit // 2 :] if keep_end else ids[: limit - added]
        tokens = {name: numbers[: len(ids)] for name, numbers in carried.of_tokens.items()}
        return self.codec.segmented(Example({"text": ids}, length=len(ids) + added, carried=tokens))

    @torch.no_grad()
    def _answers(self, texts: list[str], examples: list[Example], numbers: list[int]) -> list[Answer]:
        if not examples[0].length:
            return [Answer(text, "", ("",), {}) for text in texts]  # a tagger of no words
        device = next(self.model.parameters()).device
        batch = {name: stream.to(device) for name, stream in self.codec.collate(examples).items()}
        match self.run.task:
            case Seq2seq() | Denoising():
                found = self.write(batch, numbers=numbers)
                return [self._text(text, written, []) for text, written in zip(texts, found, strict=True)]
            case LanguageModel():
                found = self.write({"text": batch["text"]}, numbers=numbers)
                whole = not self.codec.collator.carried.prompted  # an answer stands for itself
                prompts = [example.fields["text"] if whole else [] for example in examples]
                return [self._text(*each) for each in zip(texts, found, prompts, strict=True)]
            case MaskedLanguageModel():
                shares = self.model(batch).float().softmax(-1).cpu()
                return [self._filled(*each) for each in zip(texts, examples, shares, strict=True)]
            case Classification() | SentencePair():
                shares = self.model(batch).float().softmax(-1).cpu()
                return [self._label(*each) for each in zip(texts, shares.tolist(), strict=True)]
            case Tagging():
                shares = self.model(batch).float().softmax(-1).cpu()
                return [self._tags(*each) for each in zip(texts, examples, shares, strict=True)]
            case _:
                assert_never(self.run.task)

    def _text(self, text: str, found: Sequence[Written], prompt: list[int]) -> Answer:
        field = "target" if isinstance(self.run.task, Rewriting) else "text"
        texts = [self.codec.decode(field, prompt + one.tokens, text) for one in found]
        hypotheses = [
            {
                "text": written,
                "score": one.score if math.isfinite(one.score) else None,
                "log_probability": one.log_probability if math.isfinite(one.log_probability) else None,
                "finished": one.finished,
            }
            for written, one in zip(texts, found, strict=True)
        ]
        scored = tuple(f"{one.score:.4f}\t{written}" for written, one in zip(texts, found, strict=True))
        return Answer(text, texts[0], scored if len(found) > 1 else (texts[0],), {"hypotheses": hypotheses})

    def _filled(self, text: str, example: Example, shares: torch.Tensor) -> Answer:
        ids, gaps = fill(example.fields["text"], shares[1:], self.codec.vocabularies["text"])  # BOS stands first
        ends = [place for place, token in enumerate(ids) if token == self.codec.vocabularies["text"].eos]
        parts = zip([0, *(end + 1 for end in ends)], [*ends, len(ids)], strict=True)
        output = "\t".join(self.codec.decode("text", ids[start:end]) for start, end in parts)
        columns = [", ".join(f"{one['token']} {one['probability']:.3f}" for one in gap) for gap in gaps]
        return Answer(text, output, ("\t".join([output, *columns]),), {"masks": gaps})

    def _label(self, text: str, shares: list[float]) -> Answer:
        ranked = sorted(zip(self.codec.labels, shares, strict=True), key=lambda pair: -pair[1])
        column = ", ".join(f"{label} {share:.3f}" for label, share in ranked[:SHOWN])
        return Answer(text, ranked[0][0], (f"{ranked[0][0]}\t{column}",), {"probabilities": dict(ranked)})

    def _tags(self, text: str, example: Example, shares: torch.Tensor) -> Answer:
        starts = [place for place, label in enumerate(example.labels) if label != IGNORE]
        probability, tags = shares[starts].max(-1)
        words = text.split()[: len(starts)]  # of a text that was cut, the words that are left
        named = [self.codec.labels[tag] for tag in tags.tolist()]
        output = " ".join(f"{word}/{tag}" for word, tag in zip(words, named, strict=True))
        return Answer(text, output, (output,), {"words": words, "tags": named, "probabilities": probability.tolist()})
