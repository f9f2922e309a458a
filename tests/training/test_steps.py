"""One optimizer step: its gradient is that of the mean over all predicted places, however it is cut."""

import functools
import random

import pytest
import torch
from torch import Tensor

from attncli.training import steps
from attncli.training.steps import Stepper
from tests.training.made import CPU, model_of, pairs, run_of

BATCH = pairs(random.Random(4), 9)


def stepper(*overrides: str) -> Stepper:
    run = run_of("model.dropout=0", *overrides)
    return Stepper(model_of(run).double(), run.train, CPU)


def gradients(given: Stepper) -> dict[str, Tensor]:
    given.gradients(BATCH)
    return {name: p.grad.clone() for name, p in given.model.named_parameters() if p.grad is not None}


def test_the_gradient_is_that_of_the_mean_loss():
    given = stepper()
    found = gradients(given)
    given.model.zero_grad()
    losses = given.model.losses(BATCH)
    (losses.loss / losses.count).backward()
    for name, parameter in given.model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


@pytest.mark.parametrize("count", [2, 4, 9])
def test_accumulation_changes_rounding_only(count):
    whole, cut = stepper(), stepper(f"train.batch.accumulate={count}")
    rows: list[int] = []
    made = cut._made
    cut._made = lambda part: rows.append(len(part["labels"].values)) or made(part)
    one, other = gradients(whole), gradients(cut)
    assert (len(rows), sum(rows)) == (count, len(BATCH["labels"].values)), "it is read in as many parts"
    for name, gradient in one.items():
        torch.testing.assert_close(other[name], gradient, rtol=1e-10, atol=1e-12)
    for column, expected in zip(cut.gradients(BATCH), whole.gradients(BATCH), strict=True):
        torch.testing.assert_close(column, expected)


def test_the_norm_is_clipped_and_reported_as_it_was():
    given = stepper("train.clip=0.01", "train.optimizer={kind: sgd}", "train.learning_rate=1")
    before = torch.cat([p.detach().flatten().clone() for p in given.model.parameters()])
    found = torch.cat([gradient.flatten() for gradient in gradients(given).values()])
    norm = given.update(1.0, 1)
    after = torch.cat([p.detach().flatten() for p in given.model.parameters()])
    assert float(norm) == pytest.approx(float(found.norm()))
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_without_clip_there_is_no_norm():
    given = stepper("train.clip=none")
    given.gradients(BATCH)
    assert float(given.update(0.1, 1)) == 0.0


def test_the_rate_is_that_of_the_call():
    given = stepper("train.optimizer={kind: sgd}", "train.learning_rate=1", "train.clip=none")
    before = [parameter.detach().clone() for parameter in given.model.parameters()]
    found = list(gradients(given).values())
    given.update(0.25, 1)
    for parameter, start, gradient in zip(given.model.parameters(), before, found, strict=True):
        torch.testing.assert_close(parameter.detach(), start - 0.25 * gradient)


def test_low_precision_stays_near_float32():
    run = run_of("model.dropout=0", "train.precision=bf16")
    low, full = Stepper(model_of(run), run.train, CPU), Stepper(model_of(run), run_of("model.dropout=0").train, CPU)
    assert (low.low_precision, full.low_precision) == (torch.bfloat16, None)
    one, other = (float(given.gradients(BATCH)[0]) for given in (low, full))
    assert one == pytest.approx(other, rel=0.02)
    assert one != other


def test_half_precision_scales_the_loss_and_keeps_the_scale_as_a_state():
    run = run_of("model.dropout=0", "train.precision=fp16")
    given = Stepper(model_of(run), run.train, CPU)
    assert given.scaler is not None
    before = [parameter.detach().clone() for parameter in given.model.parameters()]
    for step in (1, 2):
        given.gradients(BATCH)
        norm = given.update(1e-3, step)
    assert 0 < float(norm) < 100
    assert any(not torch.equal(one, other) for one, other in zip(before, given.model.parameters(), strict=True))
    assert given.states()["scaler"].state_dict()["scale"] == 65536.0


def test_what_chooses_experts_moves_once_a_step_by_all_its_parts():
    experts = "{kind: experts, experts: 4, active: 2, expert: {d_ff: 8}, balance: {kind: bias, rate: 0.1}}"
    moved = []
    for parts in (1, 3):
        given = stepper(f"model.feedforward={experts}", f"train.batch.accumulate={parts}", "train.learning_rate=0.001")
        given.gradients(BATCH)
        given.update(0.0, 1)
        moved.append(given.model.decoder.layers[0].feedforward.body.router.offset)
    assert moved[0].abs().max() == pytest.approx(0.1)
    torch.testing.assert_close(moved[1], moved[0])


def test_a_compiled_step_has_the_same_gradient(monkeypatch):
    """With dynamo's graph run as it is: what the compiler of C++ makes of it is measured in benchmarks/dense.py."""
    asked = []
    real = functools.partial(torch.compile, backend="eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", lambda function, **named: asked.append(function) or real(function, **named))
    one, other = gradients(stepper()), gradients(stepper("train.compile=true"))
    for name, gradient in one.items():
        torch.testing.assert_close(other[name], gradient, rtol=1e-10, atol=1e-12)
    assert len(asked) == 1, "the step without the key asks for no compiler"


@pytest.mark.parametrize(
    ("overrides", "alone"), [((), True), (("train.batch={kind: sequences, size: 4, accumulate: 2}",), False)]
)
def test_only_passes_that_are_steps_are_recorded(monkeypatch, overrides, alone):
    asked = []
    monkeypatch.setattr(steps, "compiled", lambda made, device, one_shape: asked.append(one_shape))
    run = run_of("train.compile=true", *overrides)
    steps.Stepper(model_of(run), run.train, CPU, one_shape=True)
    steps.Stepper(model_of(run), run.train, CPU)
    assert asked == [alone, False]
