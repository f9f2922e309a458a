"""The loss whose logits are not held, against torch's of all logits, chunk by chunk."""

import pytest
import torch
from torch.nn import functional as F

from attncli.nn.kernels import linear_loss as kernel
from attncli.nn.kernels.linear_loss import linear_loss

PLACES, FEATURES, CLASSES = 523, 7, 13


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    monkeypatch.setattr(kernel, "CHUNK", 1)  # 256 places: two whole chunks and a rest


def drawn():
    torch.manual_seed(0)
    shapes = ((PLACES, FEATURES), (CLASSES, FEATURES), (CLASSES,))
    x, weight, bias = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return x, weight, bias, torch.randint(0, CLASSES, (PLACES,))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft_cap", [None, 3.0])
@pytest.mark.parametrize("biased", [True, False])
def test_loss_counts_and_gradients_are_those_of_all_logits(smoothing, soft_cap, biased):
    x, weight, bias, labels = drawn()
    bias = bias if biased else None
    logits = F.linear(x, weight, bias)
    logits = logits if soft_cap is None else soft_cap * torch.tanh(logits / soft_cap)
    expected = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    learned = [each for each in (x, weight, bias) if each is not None]
    loss, nll, correct = linear_loss(x, weight, bias, labels, smoothing=smoothing, soft_cap=soft_cap)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, F.cross_entropy(logits, labels, reduction="sum"))
    assert int(correct) == int((logits.argmax(1) == labels).sum())
    for found, due in zip(
        torch.autograd.grad(loss / 3, learned), torch.autograd.grad(expected / 3, learned), strict=True
    ):
        torch.testing.assert_close(found, due)


def test_a_label_without_a_chance_has_a_finite_loss():
    x, weight = torch.eye(1).requires_grad_(), torch.tensor([[0.0], [500.0]], requires_grad=True)
    loss, *_ = linear_loss(x, weight, None, torch.tensor([0]), smoothing=0.0, soft_cap=None)
    loss.backward()
    assert float(loss.detach()) == 500.0
    assert weight.grad is not None and weight.grad.flatten().tolist() == [-1.0, 1.0]


def test_no_place_at_all():
    _, weight, bias, _ = drawn()
    x = torch.zeros(0, FEATURES, dtype=torch.float64, requires_grad=True)
    loss, nll, correct = linear_loss(x, weight, bias, torch.zeros(0, dtype=torch.long), smoothing=0.1, soft_cap=None)
    loss.backward()
    assert (float(loss.detach()), float(nll), int(correct)) == (0.0, 0.0, 0)
    assert weight.grad is not None and not weight.grad.any()


def test_under_bfloat16_the_error_is_that_of_torch():
    x, weight, bias, labels = (each.detach().float() if each.is_floating_point() else each for each in drawn())
    exact = F.cross_entropy(F.linear(x, weight, bias), labels, reduction="sum")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = F.cross_entropy(F.linear(x, weight, bias).float(), labels, reduction="sum")
        found, *_ = linear_loss(x, weight, bias, labels, smoothing=0.0, soft_cap=None)
    assert abs(found - exact) <= 2 * abs(plain - exact) + 1e-3 * exact
