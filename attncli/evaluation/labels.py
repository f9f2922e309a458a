"""Scores of labels: accuracy, macro-F1 and the confusion matrix they are read from."""

import torch
from torch import Tensor

Counts = list[list[int]]
"""[reference][predicted]: how often a label was predicted where another (or the same) was right."""


def confusion(reference: Tensor, predicted: Tensor, classes: int) -> Counts:
    """Count the pairs of two index tensors of one shape."""
    pairs = reference.flatten() * classes + predicted.flatten()
    counts: Counts = torch.bincount(pairs.cpu(), minlength=classes * classes).view(classes, classes).tolist()
    return counts


def accuracy(counts: Counts) -> float:
    """Share of the labels that are right; NaN where there are none."""
    total = sum(map(sum, counts))
    return sum(row[place] for place, row in enumerate(counts)) / total if total else float("nan")


def f1_of_classes(counts: Counts) -> dict[int, float]:
    """2 TP / (2 TP + FP + FN) of each class that occurs in the references or in the predictions."""
    found = {}
    for place, row in enumerate(counts):
        right, given, predicted = row[place], sum(row), sum(other[place] for other in counts)
        if given + predicted:
            found[place] = 2 * right / (given + predicted)
    return found


def macro_f1(counts: Counts) -> float:
    """The plain mean of f1_of_classes: a rare class weighs as much as a common one. NaN where no class occurs."""
    scores = f1_of_classes(counts).values()
    return sum(scores) / len(scores) if scores else float("nan")
