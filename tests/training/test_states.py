"""The named states: what they hold, and that they come back bit for bit."""

import contextlib
import copy

import pytest
import torch
from torch import nn

from attncli.errors import RunError
from attncli.spec import training as spec
from attncli.training.optimisers import build_optimizer
from attncli.training.states import Ema, ModelState, OptimizerState, load_weights, weights


class Tied(nn.Module):
    """An embedding that is also the output map, a buffer that is kept and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 5)
        self.output = nn.Linear(5, 7)
        self.output.weight = self.embedding.weight
        self.register_buffer("kept", torch.arange(3.0))
        self.register_buffer("made", torch.arange(4.0), persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.output(self.embedding(ids))
        return out


OPTIMIZERS = [
    spec.AdamW(), spec.Adam(), spec.Sgd(), spec.Sgd(momentum=0.9), spec.Adagrad(), spec.Adadelta(), spec.Adafactor(),
]  # fmt: skip


def steps(model: Tied, optimizer: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        ids = torch.randint(7, (6,), generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        model(ids).logsumexp(-1).sum().backward()
        optimizer.step()


def test_weights_are_parameters_once_and_kept_buffers():
    assert sorted(weights(Tied())) == ["embedding.weight", "kept", "output.bias"]


def test_weights_load_into_another_model():
    one, other = Tied(), Tied()
    load_weights(other, weights(one), place="file")
    assert torch.equal(other.output.weight, one.embedding.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("kept"), "file: kept: the file lacks it"),
        (lambda t: t.update(extra=torch.zeros(1)), "file: extra: the model has no such weight"),
        (lambda t: t.update(kept=torch.zeros(2)), r"file: kept has the shape \[2\], the model needs \[3\]"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message):
    tensors = weights(Tied())
    change(tensors)
    with pytest.raises(RunError, match=message):
        load_weights(Tied(), tensors, place="file")


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.kind)
def test_an_optimizer_goes_on_bit_for_bit_from_its_state(optimizer):
    torch.manual_seed(0)
    model = Tied()
    built = build_optimizer(optimizer, model, learning_rate=0.1)
    steps(model, built, range(3))
    kept = {name: value.clone() for name, value in OptimizerState(built, model).state_dict().items()}

    other = copy.deepcopy(model)
    rebuilt = build_optimizer(optimizer, other, learning_rate=0.1)
    OptimizerState(rebuilt, other).load_state_dict(kept)
    assert {name.rpartition(".")[0] for name in kept} <= {"embedding.weight", "output.bias"}

    steps(model, built, range(3, 6))
    steps(other, rebuilt, range(3, 6))
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, weights(other)[name])


def test_ema_is_the_weighted_sum_of_all_weights_so_far():
    model = Tied()
    ema = Ema(model, 0.5)
    history = [model.output.bias.detach().clone()]
    for step in range(1, 21):
        with torch.no_grad():
            model.output.bias.add_(step)
        ema.update(step)
        history.append(model.output.bias.detach().clone())
    expected, left = torch.zeros(7, dtype=torch.float64), 1.0
    for step in range(20, 0, -1):  # from the newest back: (1 - d_s) of what the later ones left
        decay = min(0.5, (1 + step) / (10 + step))
        expected += left * (1 - decay) * history[step].double()
        left *= decay
    expected += left * history[0].double()
    torch.testing.assert_close(ema.mean["output.bias"].double(), expected, rtol=1e-6, atol=1e-6)


def test_ema_is_applied_within_the_block_only():
    model = Tied()
    ema = Ema(model, 0.9)
    with torch.no_grad():
        model.output.bias.add_(1)
    now, mean = model.output.bias.detach().clone(), ema.mean["output.bias"].clone()
    with contextlib.suppress(KeyError), ema.applied():
        assert torch.equal(model.output.bias, mean)
        raise KeyError
    assert torch.equal(model.output.bias, now)
    assert torch.equal(ema.mean["output.bias"], mean)


def test_states_come_back_from_copies():
    model = Tied()
    ema = Ema(model, 0.9)
    kept = {name: tensor.clone() for name, tensor in ModelState(model).state_dict().items()}
    means = {name: tensor.clone() for name, tensor in ema.state_dict().items()}
    with torch.no_grad():
        model.output.bias.add_(1)
    ema.update(1)
    ModelState(model).load_state_dict(kept)
    ema.load_state_dict(means)
    assert torch.equal(model.output.bias, kept["output.bias"])
    assert torch.equal(ema.mean["output.bias"], means["output.bias"])
