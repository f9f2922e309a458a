"""Tokens that a decoder reads of its own: how many, which, and that a run of them resumes bit for bit."""

import random

import pytest
import torch

from attncli.errors import SpecError
from attncli.spec.base import Time
from attncli.spec.load import load_text
from attncli.spec.tasks import Scheduled
from attncli.streams import stream
from attncli.training.forcing import chance, with_own_tokens
from attncli.training.schedules import Pace
from tests.training.made import assembled, go, model_of, pairs, run_of, weights_of

RECURRENT = """
name: tiny
task: {kind: seq2seq, label_smoothing: 0}
model: {d_hidden: 12, max_length: 16, encoder: {kind: recurrent}, decoder: {kind: recurrent}}
tokenizer: characters
"""


def test_the_probability_grows_along_a_line():
    pace = Pace(Time(100, "steps"), 10)
    given = Scheduled(scheduled=0.4, over=Time(50, "percent"))
    assert [chance(given, pace, at) for at in (0, 25, 50, 99)] == pytest.approx([0, 0.2, 0.4, 0.4])


@pytest.mark.parametrize("kind", ["transformer", "recurrent"])
def test_tokens_behind_the_first_are_exchanged_for_likely_ones(kind):
    run = run_of("model.dropout=0") if kind == "transformer" else load_text(RECURRENT, ("model.dropout=0",)).run
    model, batch = model_of(run), pairs(random.Random(1), 400)
    with torch.no_grad():
        model.head.output.weight.mul_(1e3)  # nearly all of the probability on one token
    model.train()
    with torch.no_grad():
        likeliest = model(batch).argmax(-1)
    torch.manual_seed(0)
    found, given = with_own_tokens(model, batch, 0.3)["target"], batch["target"]
    assert model.training and torch.equal(found.positions, given.positions)
    inside = given.real & (given.positions > 0)
    assert torch.equal(found.values[~inside], given.values[~inside]), "BOS and padding stay"
    changed = (found.values != given.values) & inside
    assert set(found.values[changed].tolist()) <= set(range(12))
    other = inside[:, 1:] & (likeliest[:, :-1] != given.values[:, 1:])
    share = (found.values[:, 1:] != given.values[:, 1:])[other].double().mean().item()
    assert share == pytest.approx(0.3, abs=0.06)
    assert torch.equal(with_own_tokens(model, batch, 0.0)["target"].values, given.values)


def test_the_first_token_stays_behind_padding():
    model, texts = model_of(run_of()), [[2, 7, 8], [2], [2, 9]]
    target = stream(texts, pad=0, left=True)
    batch = {"source": stream([[5, 3]] * 3, pad=0), "target": target}
    torch.manual_seed(1)
    found = with_own_tokens(model, batch, 1.0)["target"].values
    first = ~target.real | (target.positions == 0)
    assert torch.equal(found[first], target.values[first])


def test_what_has_no_meaning_is_refused():
    for wrong in ("{scheduled: 0, over: 5}", "{scheduled: 0.5}", "never"):
        with pytest.raises(SpecError, match=r"teacher_forcing|scheduled|over"):
            run_of(f"task={{kind: seq2seq, teacher_forcing: {wrong}}}")


def test_a_run_with_own_tokens_and_moving_offsets_resumes_bit_for_bit(tmp_path):
    experts = (
        "{kind: experts, experts: 4, active: 2, expert: {d_ff: 8}, capacity: 1.2, balance: {kind: bias, rate: 0.05}}"
    )
    run = run_of(
        "task={kind: seq2seq, label_smoothing: 0, teacher_forcing: {scheduled: 0.5, over: 4}}",
        f"model.feedforward={experts}", "train.duration=8", "train.checkpoints.every=4",
    )  # fmt: skip
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    go(assembled(straight, run), straight)
    go(assembled(stopped, run, limit=3), stopped)
    go(assembled(stopped, run), stopped)
    assert weights_of(straight, 8) == weights_of(stopped, 8)
    plain = tmp_path / "plain"
    go(
        assembled(plain, run.model_copy(update={"task": run.task.model_copy(update={"teacher_forcing": "always"})})),
        plain,
    )
    assert weights_of(straight, 8) != weights_of(plain, 8)
