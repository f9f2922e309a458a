"""Scores of a trained model on data: the metrics of each task, a report for people and for programs, and a picture."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

import torch

from attncli.data.codec import Codec
from attncli.data.rows import Rows
from attncli.errors import DataError
from attncli.evaluation.classes import score_classes, score_tags
from attncli.evaluation.metrics import METRICS, chosen_metrics
from attncli.evaluation.reading import Scoring
from attncli.evaluation.report import Report
from attncli.evaluation.tokens import Decode, score_language, score_masked, score_pairs, score_translations
from attncli.nn.model import Model
from attncli.spec.run import Run
from attncli.spec.tasks import (
    Classification,
    Denoising,
    LanguageModel,
    MaskedLanguageModel,
    SentencePair,
    Seq2seq,
    Tagging,
)

__all__ = ["METRICS", "Decode", "Report", "evaluate"]


def evaluate(
    model: Model,
    codec: Codec,
    rows: Rows,
    run: Run,
    *,
    decode: Decode,
    metrics: Sequence[str] | None = None,
    limit: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Score a model on the first `limit` rows (or all), on the device where it lies.

    decode: writes the texts of a batch of sources (attncli.decoding.decoder); only seq2seq uses it.
    metrics: those of the spec where not given; what no one asks for is not computed.

    Raises:
        InputError: the task has no such metric.
        DataError: there are no rows, or one cannot be used and the spec does not say to skip it.
    """
    start = time.perf_counter()
    spans = isinstance(run.task, Tagging) and run.task.scheme == "bio"
    names, by = (run.evaluate.metrics, "evaluate.metrics") if metrics is None else (metrics, "--metric")
    wanted = chosen_metrics(run.task.kind, names, spans=spans, by=by)
    count = len(rows) if limit is None else min(limit, len(rows))
    scoring = Scoring(model, codec, run, rows, count, wanted, progress)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            report = _scored(scoring, decode)
    finally:
        model.train(training)
    if not report.counts["rows"]:
        raise DataError("there is no row to score", help="give rows that fit the model, or another --split")
    return replace(report, seconds=time.perf_counter() - start)


def _scored(scoring: Scoring, decode: Decode) -> Report:
    match scoring.run.task:
        case Seq2seq():
            return score_translations(scoring, decode)
        case LanguageModel():
            return score_language(scoring)
        case MaskedLanguageModel() | Denoising():
            return score_masked(scoring)
        case Classification():
            return score_classes(scoring)
        case SentencePair():
            return score_pairs(scoring)
        case Tagging():
            return score_tags(scoring)
        case _:
            assert_never(scoring.run.task)
