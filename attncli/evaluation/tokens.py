"""Scores of predicted tokens: seq2seq (with the texts it writes), language models, masked language models.

perplexity = exp(nll / predicted places), EOS among them        nll = -ln p(token), summed, without label smoothing
token_accuracy = share of the places whose token is the likeliest, the right tokens before it being given
bits_per_byte = nll / (ln 2 · bytes of the texts in UTF-8): what the model would compress them to; it compares
                models with unlike tokenizers. EOS is paid for, as the receiver must know where a text ends.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from attncli.evaluation.reading import Read, Scoring, Sums, by_length
from attncli.evaluation.report import Report
from attncli.evaluation.segments import by_segment
from attncli.evaluation.texts import Written, corpus_scores, groups_by_first_word, rouge, sentence_chrf, worst_and_best
from attncli.evaluation.windows import windows
from attncli.spec.seeds import mix
from attncli.streams import IGNORE, Batch, stream


class Text(Protocol):
    """What decoding writes: attncli.decoding.Hypothesis, of which evaluation reads the tokens."""

    @property
    def tokens(self) -> list[int]: ...


Decode = Callable[[Batch, int], Sequence[Sequence[Text]]]
"""(sources, longest) -> the texts of at most `longest` tokens for each row, best first."""


ROUGE = ("rouge", "rouge_1", "rouge_2")


def score_translations(scoring: Scoring, decode: Decode) -> Report:
    """seq2seq: what is written against the references, and what is predicted when the references are given.

    What is written is cut at twice the length of the longest reference and a little: a model that has not yet learnt
    to stop would write to the last position that it has, at the cost of all the others together.
    """
    written: list[Written] = []
    for window in scoring.windows():
        texts: list[Written | None] = [None] * len(window)
        longest = 2 * max((len(read.example.fields["target"]) for read in window), default=0) + 32
        for group in by_length([read.example.length for read in window]):
            batch = scoring.move(scoring.codec.collate([window[index].example for index in group]))
            if scoring.wants("perplexity", "token_accuracy"):
                scoring.sums.add(scoring.model.losses(batch))
            if scoring.wants("bleu", "chrf", "exact_match", *ROUGE):
                for index, found in zip(group, decode({"source": batch["source"]}, longest), strict=True):
                    texts[index] = _written(scoring, window[index], found[0].tokens)
        written += [text for text in texts if text is not None]
    metrics = _token_metrics(scoring.sums)
    signatures: dict[str, str] = {}
    if written:
        lowercase = bool(getattr(scoring.run.tokenizer_of("target"), "lowercase", False))
        pairs = [row.text for row in written], [row.reference for row in written]
        scores, signatures = corpus_scores(*pairs, lowercase=lowercase)
        metrics |= rouge(*pairs) if scoring.wants(*ROUGE) else {}
        metrics |= {"exact_match": sum(row.exact for row in written) / len(written), **scores}
        ranks = sentence_chrf(*pairs)
        written = [row._replace(chrf=rank) for row, rank in zip(written, ranks, strict=True)]
    return Report(
        metrics={name: metrics[name] for name in scoring.metrics if name in metrics},
        counts=scoring.counts(tokens=scoring.sums.count) if scoring.sums.count else scoring.counts(),
        seconds=0.0,
        signatures={name: signature for name, signature in signatures.items() if scoring.wants(name)},
        groups=groups_by_first_word(written),
        examples=tuple({"rank": rank, **_shown(row)} for rank, row in worst_and_best(written)),
        predictions=tuple(_shown(row) for row in written),
    )


def _written(scoring: Scoring, read: Read, tokens: list[int]) -> Written:
    """Exact where the text is the reference, or all that the tokenizer leaves of it (it may drop case or length)."""
    text = scoring.codec.decode("target", tokens, read.row["source"])
    reference, unknown = read.row["target"], scoring.codec.vocabularies["target"].unk
    exact = text == reference or (tokens == read.example.fields["target"] and unknown not in tokens)
    return Written(read.row["source"], reference, text, exact)


def _shown(row: Written) -> dict[str, str | float]:
    return {"source": row.source, "reference": row.reference, "written": row.text, "chrf": row.chrf}


def score_language(scoring: Scoring) -> Report:
    """A language model on whole texts, each token predicted once: in windows (windows.py), or in segments one after the
    other where the stack has a memory (segments.py).
    """
    if scoring.codec.collator.carried.prompted:
        return _score_answers(scoring)
    vocabulary = scoring.codec.vocabularies["text"]
    size = scoring.run.model.stacks[scoring.run.task.stack].max_length
    size_of_texts = unknown = 0
    remembers = getattr(scoring.run.model.stacks[scoring.run.task.stack], "segment_memory", None) is not None
    for rows in scoring.windows():
        parts, numbers = [], []
        for read in rows:
            ids = read.example.fields["text"]
            whole = len(ids) + 1 if remembers else size
            found = list(windows(ids, bos=vocabulary.bos, eos=vocabulary.eos, size=whole))
            parts += found
            numbers += [read.example.numbers] * len(found)
        for group in by_length([len(part.text) for part in parts]):
            carried = {name: torch.tensor([numbers[index][name] for index in group]) for name in numbers[group[0]]}
            batch = {
                "text": stream([parts[index].text for index in group], pad=max(vocabulary.pad, 0)).with_rows(carried),
                "labels": stream([parts[index].labels for index in group], pad=IGNORE),
            }
            for losses in by_segment(scoring.model, scoring.move(batch)):
                scoring.sums.add(losses)
        size_of_texts += sum(len(read.row["text"].encode("utf-8", "replace")) for read in rows)
        unknown += sum(read.example.fields["text"].count(vocabulary.unk) for read in rows)
    return _report_of_texts(scoring, size_of_texts, unknown)


def _score_answers(scoring: Scoring) -> Report:
    """A language model on answers (and prompts, where it is scored on all): each row fits whole."""
    vocabulary, answers = scoring.codec.vocabularies["text"], scoring.run.task.model_dump()["loss_on"] == "answer"
    size_of_texts = unknown = 0
    for rows in scoring.windows():
        for group in by_length([read.example.length for read in rows]):
            batch = scoring.codec.collate([rows[index].example for index in group])
            scoring.sums.add(scoring.model.losses(scoring.move(batch)))
        for read in rows:
            ids, first = read.example.fields["text"], read.example.numbers["prefix_length"] - 1 if answers else 0
            text = read.row["answer"] if answers else read.row["prompt"] + read.row["answer"]
            size_of_texts += len(text.encode("utf-8", "replace"))
            unknown += ids[first:].count(vocabulary.unk)
    return _report_of_texts(scoring, size_of_texts, unknown)


def _report_of_texts(scoring: Scoring, size_of_texts: int, unknown: int) -> Report:
    metrics = _token_metrics(scoring.sums)
    metrics["bits_per_byte"] = scoring.sums.nll / math.log(2) / size_of_texts if size_of_texts else math.nan
    note = f"{unknown:,} tokens are unknown to the tokenizer, so bits_per_byte is too small"
    return Report(
        metrics={name: metrics[name] for name in scoring.metrics},
        counts=scoring.counts(tokens=scoring.sums.count, bytes=size_of_texts),
        seconds=0.0,
        notes=(note,) if unknown and scoring.wants("bits_per_byte") else (),
    )


def score_masked(scoring: Scoring) -> Report:
    """A masked language model, or a denoiser, on noise as in training, the same at every evaluation."""
    _noisily(scoring)
    metrics = _token_metrics(scoring.sums)
    return Report(
        metrics={name: metrics[name] for name in scoring.metrics},
        counts=scoring.counts(tokens=scoring.sums.count),
        seconds=0.0,
    )


def score_pairs(scoring: Scoring) -> Report:
    """Whether the second part of a text is told from another, on the same pairs at every evaluation."""
    _noisily(scoring)
    accuracy = scoring.sums.correct / scoring.sums.count if scoring.sums.count else math.nan
    return Report(metrics={"accuracy": accuracy}, counts=scoring.counts(texts=scoring.sums.count), seconds=0.0)


def _noisily(scoring: Scoring) -> None:
    noise = torch.Generator().manual_seed(mix(scoring.run.seed, "evaluate"))
    for window in scoring.windows():
        parts = [part for read in window for part in scoring.codec.cut(read.example)]
        for group in by_length([part.length for part in parts]):
            batch = scoring.codec.collate([parts[index] for index in group], noise=noise)
            scoring.sums.add(scoring.model.losses(scoring.move(batch)))


def _token_metrics(sums: Sums) -> dict[str, float]:
    if not sums.count:
        return {}
    return {"perplexity": math.exp(min(sums.nll / sums.count, 700.0)), "token_accuracy": sums.correct / sums.count}
