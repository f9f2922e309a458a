"""Scores of labels: one for a text (classification), one for a word (tagging)."""

from typing import Any

import torch
from torch import Tensor

from attncli.evaluation.labels import accuracy, confusion, macro_f1
from attncli.evaluation.reading import Scoring, by_length
from attncli.evaluation.report import Report
from attncli.evaluation.spans import span_scores
from attncli.streams import IGNORE

SHOWN = 3
"""Examples of each rank."""


def score_classes(scoring: Scoring) -> Report:
    """Classification: the likeliest class of each text. Worst are the surest mistakes, best the surest hits."""
    labels = scoring.codec.labels
    references: list[int] = []
    predictions: list[dict[str, Any]] = []
    for window in scoring.windows():
        found: list[dict[str, Any]] = [{}] * len(window)
        for group in by_length([read.example.length for read in window]):
            batch = scoring.move(scoring.codec.collate([window[index].example for index in group]))
            shares = scoring.model(batch).float().softmax(-1).cpu()
            for index, share in zip(group, shares, strict=True):
                place = int(share.argmax())
                row, right = window[index].row, window[index].example.labels[0]
                found[index] = {
                    "text": row["text"], "reference": labels[right], "predicted": labels[place],
                    "probability": float(share[place]),
                }  # fmt: skip
        references += [read.example.labels[0] for read in window]
        predictions += found
    numbers = {label: number for number, label in enumerate(labels)}
    predicted = torch.tensor([numbers[row["predicted"]] for row in predictions], dtype=torch.long)
    counts = confusion(torch.tensor(references, dtype=torch.long), predicted, len(labels))
    scores = {"accuracy": accuracy(counts), "macro_f1": macro_f1(counts)}
    return Report(
        metrics={name: scores[name] for name in scoring.metrics},
        counts=scoring.counts(),
        seconds=0.0,
        labels=labels,
        confusion=counts,
        examples=_surest(predictions),
        predictions=tuple(predictions),
    )


def _surest(predictions: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    surest = sorted(predictions, key=lambda row: -row["probability"])
    wrong = [row for row in surest if row["predicted"] != row["reference"]]
    right = [row for row in surest if row["predicted"] == row["reference"]]
    return tuple({"rank": rank, **row} for rank, rows in (("worst", wrong), ("best", right)) for row in rows[:SHOWN])


def score_tags(scoring: Scoring) -> Report:
    """Tagging: the likeliest tag of each word, read off its first piece. macro_f1 is over all tags, O among them."""
    labels = scoring.codec.labels
    references: list[Tensor] = []
    predictions: list[Tensor] = []
    for window in scoring.windows():
        for group in by_length([read.example.length for read in window]):
            batch = scoring.move(scoring.codec.collate([window[index].example for index in group]))
            likeliest = scoring.model(batch).argmax(-1)
            given = batch["labels"].values
            for row, guess in zip(given, likeliest, strict=True):
                references.append(row[row != IGNORE].cpu())
                predictions.append(guess[row != IGNORE].cpu())
    none = torch.tensor([], dtype=torch.long)
    counts = confusion(torch.cat([none, *references]), torch.cat([none, *predictions]), len(labels))
    scores = {"accuracy": accuracy(counts), "macro_f1": macro_f1(counts)}
    if scoring.wants("span_f1"):
        named = [[[labels[tag] for tag in row.tolist()] for row in rows] for rows in (references, predictions)]
        scores["span_f1"] = span_scores(*named)["f1"]
    return Report(
        metrics={name: scores[name] for name in scoring.metrics},
        counts=scoring.counts(words=sum(map(len, references))),
        seconds=0.0,
        labels=labels,
        confusion=counts,
    )
