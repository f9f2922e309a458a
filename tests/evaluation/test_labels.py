"""Accuracy, macro-F1 and the confusion matrix against torchmetrics."""

import math

import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix, multiclass_f1_score

from attncli.evaluation.labels import accuracy, confusion, f1_of_classes, macro_f1


@pytest.mark.parametrize("classes", [2, 5])
def test_scores_are_those_of_torchmetrics(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    reference = torch.randint(classes, (97,), generator=generator)
    predicted = torch.where(torch.rand(97, generator=generator) < 0.5, reference, reference.roll(1))
    counts = confusion(reference, predicted, classes)
    assert counts == multiclass_confusion_matrix(predicted, reference, classes).tolist()
    assert accuracy(counts) == pytest.approx(float(multiclass_accuracy(predicted, reference, classes, average="micro")))
    assert macro_f1(counts) == pytest.approx(float(multiclass_f1_score(predicted, reference, classes)), abs=1e-6)


def test_a_class_that_never_occurs_does_not_count() -> None:
    reference, predicted = torch.tensor([0, 0, 1, 3]), torch.tensor([0, 1, 1, 0])
    counts = confusion(reference, predicted, 5)
    assert set(f1_of_classes(counts)) == {0, 1, 3}
    assert macro_f1(counts) == pytest.approx(float(multiclass_f1_score(predicted, reference, 5)), abs=1e-6)


def test_a_class_that_is_only_predicted_counts_as_missed() -> None:
    reference, predicted = torch.tensor([0, 0]), torch.tensor([0, 1])
    counts = confusion(reference, predicted, 3)
    assert f1_of_classes(counts) == {0: pytest.approx(2 / 3), 1: 0}
    assert macro_f1(counts) == pytest.approx(float(multiclass_f1_score(predicted, reference, 3)))


def test_nothing_to_score_is_no_number() -> None:
    counts = confusion(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long), 3)
    assert math.isnan(accuracy(counts))
    assert math.isnan(macro_f1(counts))
