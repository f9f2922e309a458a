"""Each optimizer against one plain step in float64, and who decays."""

import math

import pytest
import torch
from torch import Tensor, nn

from attncli.spec import training as spec
from attncli.training.optimisers import build_optimizer, parameter_groups

RATE = 0.1


class Small(nn.Module):
    """A matrix, a vector, and the matrix once more under another name."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.matrix = nn.Parameter(torch.randn(3, 2, generator=generator, dtype=torch.float64))
        self.gain = nn.Parameter(torch.randn(3, generator=generator, dtype=torch.float64))
        self.again = self.matrix


def stepped(optimizer: spec.Optimizer, gradients: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """The matrix before and after steps of these constant gradients, and the gain after."""
    model = Small()
    before = model.matrix.detach().clone()
    built = build_optimizer(optimizer, model, learning_rate=RATE)
    for gradient in gradients:
        model.matrix.grad = torch.full_like(model.matrix, gradient)
        model.gain.grad = torch.zeros_like(model.gain)
        built.step()
    return before, model.matrix.detach(), model.gain.detach()


def adam(weight: Tensor, gradients: list[float], *, coupled: float, decoupled: float) -> Tensor:
    """Kingma & Ba, algorithm 1, in Python floats; decay in the gradient or beside it."""
    found = []
    for start in weight.flatten().tolist():
        w, m, v = start, 0.0, 0.0
        for step, gradient in enumerate(gradients, 1):
            g = gradient + coupled * w
            w -= RATE * decoupled * w
            m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g * g
            w -= RATE * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.98**step)) + 1e-9)
        found.append(w)
    return torch.tensor(found, dtype=torch.float64).reshape(weight.shape)


def test_adamw_is_adam_with_decoupled_decay():
    before, after, _ = stepped(spec.AdamW(weight_decay=0.3), [1.0, -0.5, 2.0])
    torch.testing.assert_close(after, adam(before, [1.0, -0.5, 2.0], coupled=0.0, decoupled=0.3))


def test_adam_has_the_decay_in_its_gradient():
    before, after, _ = stepped(spec.Adam(weight_decay=0.3), [1.0, -0.5, 2.0])
    torch.testing.assert_close(after, adam(before, [1.0, -0.5, 2.0], coupled=0.3, decoupled=0.0))


def test_sgd_with_momentum():
    before, after, _ = stepped(spec.Sgd(momentum=0.5), [1.0, 1.0])
    torch.testing.assert_close(after, before - RATE * 1.0 - RATE * 1.5)


def test_adagrad_divides_by_the_root_of_the_sum_of_squares():
    before, after, _ = stepped(spec.Adagrad(accumulator=0.25), [1.0, 2.0])
    torch.testing.assert_close(after, before - RATE / math.sqrt(1.25) - RATE * 2 / math.sqrt(5.25))


def test_adadelta_follows_algorithm_1():
    before, after, _ = stepped(spec.Adadelta(rho=0.9, epsilon=1e-6), [2.0, 2.0])
    squares, deltas, moved = 0.0, 0.0, 0.0
    for _ in range(2):
        squares = 0.9 * squares + 0.1 * 4.0
        delta = math.sqrt(deltas + 1e-6) / math.sqrt(squares + 1e-6) * 2.0
        deltas, moved = 0.9 * deltas + 0.1 * delta**2, moved + RATE * delta
    torch.testing.assert_close(after, before - moved)


@pytest.mark.parametrize(
    "optimizer", [spec.AdamW(), spec.Adam(), spec.Sgd(), spec.Adagrad(), spec.Adadelta(), spec.Adafactor()]
)
def test_every_optimizer_goes_down_hill(optimizer):
    before, after, _ = stepped(optimizer, [1.0, 1.0, 1.0])
    assert bool((after < before).all())


@pytest.mark.parametrize(
    "optimizer",
    [
        spec.AdamW(weight_decay=0.5),
        spec.Adam(weight_decay=0.5),
        spec.Sgd(weight_decay=0.5),
        spec.Adagrad(weight_decay=0.5),
        spec.Adadelta(weight_decay=0.5),
        spec.Adafactor(weight_decay=0.5),
    ],
)
def test_decay_falls_on_matrices_only(optimizer):
    before, after, gain = stepped(optimizer, [0.0])
    assert torch.equal((after - before).sign(), -before.sign())
    assert torch.equal(gain, Small().gain)


def test_a_shared_matrix_is_one_parameter():
    groups = parameter_groups(Small(), weight_decay=0.1)
    assert [[tuple(parameter.shape) for parameter in group["params"]] for group in groups] == [[(3, 2)], [(3,)]]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]


def test_frozen_parameters_are_left_out():
    model = Small()
    model.gain.requires_grad_(False)
    assert sum(len(group["params"]) for group in parameter_groups(model, weight_decay=0.0)) == 1


@pytest.mark.parametrize("optimizer", [spec.AdamW(), spec.Adam(), spec.Sgd(), spec.Adagrad()])
def test_the_fused_step_is_used_on_the_cpu(optimizer):
    built = build_optimizer(optimizer, Small(), learning_rate=RATE)
    assert all(group["fused"] for group in built.param_groups)
