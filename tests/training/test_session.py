"""The loop on a tiny model: what it says, keeps and chooses, and that stopping anywhere changes nothing."""

import itertools
import json
import math
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from attncli.errors import WorkError
from attncli.training.checkpoint import list_checkpoints
from attncli.training.journal import METRICS, TIMINGS, read_lines
from attncli.training.keeper import CHECKPOINTS
from tests.training.made import Lines, Pairs, assembled, go, run_of, weights_of


def whole(folder: Path, *overrides: str, **given: Any) -> Path:
    run = run_of(*overrides)
    go(assembled(folder, run), folder, valid=Pairs(per_epoch=2, rows=4), **given)
    return folder


def steps_kept(folder: Path) -> list[int]:
    return [found.step for found in list_checkpoints(folder / CHECKPOINTS)]


def same(one: Path, other: Path, step: int) -> bool:
    """Equal weights, optimizer and metrics, byte for byte."""
    return weights_of(one, step) == weights_of(other, step) and (
        (one / METRICS).read_bytes() == (other / METRICS).read_bytes()
    )


def test_a_run_learns_and_reports_every_step_of_a_short_one(tmp_path):
    folder = whole(tmp_path / "run", "train.duration=60", "train.learning_rate=1e-2", "model.dropout=0")
    lines = read_lines(folder / METRICS)
    train = [line for line in lines if line["split"] == "train"]
    valid = [line for line in lines if line["split"] == "valid"]
    assert [line["step"] for line in train] == list(range(1, 61))
    assert [line["step"] for line in valid] == [10, 20, 30, 40, 50, 60]
    assert valid[-1]["loss"] < 0.9 * valid[0]["loss"]
    assert set(valid[0]) == {"step", "split", "loss", "perplexity", "token_accuracy"}
    assert train[0]["learning_rate"] == pytest.approx(1e-2 / 3)
    assert train[-1]["epoch"] == 8


def test_batches_are_asked_for_once_each_in_order(tmp_path):
    batches = Pairs(per_epoch=7)
    folder = tmp_path / "run"
    go(assembled(folder, run_of("train.duration=16"), batches=batches), folder)
    assert batches.asked == [(step // 7, step % 7) for step in range(16)]


def test_nothing_in_the_metrics_comes_from_a_clock(tmp_path):
    one, other = whole(tmp_path / "one"), whole(tmp_path / "other")
    assert (one / METRICS).read_bytes() == (other / METRICS).read_bytes()
    assert all({"step", "time"} <= set(line) for line in read_lines(one / TIMINGS))


@pytest.mark.parametrize("stop", [1, 7, 10, 14, 25, 39])
def test_a_run_stopped_and_continued_is_the_run_that_was_not(tmp_path, stop):
    extra = ("train.ema=0.9", "train.batch.accumulate=2", "train.duration=40", "train.checkpoints.every=6")
    straight = whole(tmp_path / "straight", *extra)
    folder, run = tmp_path / "stopped", run_of(*extra)
    valid = Pairs(per_epoch=2, rows=4)
    reason, _ = go(assembled(folder, run, limit=stop), folder, valid=valid)
    assert reason == "steps"
    assert read_lines(folder / METRICS)[-1]["step"] == stop
    session = assembled(folder, run)
    assert session.progress.step == stop
    assert go(session, folder, valid=valid)[0] == "duration"
    assert same(straight, folder, 40)


def test_lines_behind_the_checkpoint_are_cut_off(tmp_path):
    straight = whole(tmp_path / "straight")
    folder = tmp_path / "killed"
    run, valid = run_of(), Pairs(per_epoch=2, rows=4)
    go(assembled(folder, run, limit=20), folder, valid=valid)
    with (folder / METRICS).open("ab") as metrics, (folder / TIMINGS).open("ab") as timings:
        metrics.write(b'{"step": 21, "split": "train", "loss": 9.0}\n{"step": 2')
        timings.write(b'{"step": 21, "ti')
    go(assembled(folder, run), folder, valid=valid)
    assert same(straight, folder, 40)
    assert [line["step"] for line in read_lines(folder / TIMINGS) if "elapsed" in line] == list(range(1, 41))


def test_damage_is_passed_over_and_trained_again(tmp_path):
    straight = whole(tmp_path / "straight")
    folder = whole(tmp_path / "damaged")
    (folder / CHECKPOINTS / "step-00000040" / "optimizer.safetensors").write_bytes(b"")
    session = assembled(folder, run_of())
    assert session.progress.step == 30
    go(session, folder, valid=Pairs(per_epoch=2, rows=4))
    assert same(straight, folder, 40)


def test_the_last_and_the_best_stay_and_are_pointed_at(tmp_path):
    losses = iter([5.0, 3.0, 4.0, 4.5, 6.0])
    folder = tmp_path / "run"
    run = run_of("train.duration=50", "train.early_stopping={metric: bleu, patience: 9}")
    valid = Pairs(per_epoch=1, rows=2)
    go(assembled(folder, run), folder, valid=valid, metrics=lambda model: {"bleu": -next(losses)})
    assert steps_kept(folder) == [20, 40, 50]
    assert (folder / "best").resolve().name == "step-00000020"
    assert (folder / "last").resolve().name == "step-00000050"
    assert os.readlink(folder / "best") == "checkpoints/step-00000020"


def test_an_evaluation_among_the_best_is_kept_between_checkpoints(tmp_path):
    folder = whole(tmp_path / "run", "train.duration=30", "train.checkpoints.every=100", "evaluate.every=8")
    valid = [line for line in read_lines(folder / METRICS) if line["split"] == "valid"]
    best = min(valid, key=lambda line: line["loss"])
    assert best["step"] in (8, 16, 24, 30)
    assert (folder / "best").resolve().name == f"step-{best['step']:08d}"


def test_early_stopping_ends_the_run_and_says_the_same_after_resume(tmp_path):
    scores = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    folder = tmp_path / "run"
    run = run_of("train.duration=1000", "train.early_stopping={metric: exact_match, patience: 2}")
    valid = Pairs(per_epoch=1, rows=2)
    reason, _ = go(assembled(folder, run), folder, valid=valid, metrics=lambda model: {"exact_match": next(scores)})
    assert reason == "patience"
    assert steps_kept(folder)[-1] == 30
    session = assembled(folder, run)
    assert go(session, folder, valid=valid, metrics=lambda model: {"exact_match": 1.0})[0] == "patience"
    assert session.progress.step == 30


class Poisoned(Pairs):
    """From step 12 on the model has a weight that is no number."""

    def __init__(self, model: torch.nn.Module, value: float) -> None:
        super().__init__()
        self.model, self.value = model, value

    def batch(self, epoch: int, index: int) -> Any:
        if epoch * self.per_epoch + index == 11:
            with torch.no_grad():
                next(self.model.parameters()).fill_(self.value)
        return super().batch(epoch, index)


@pytest.mark.parametrize("every", [1, 5])
def test_nan_stops_at_its_step_and_spares_the_good_checkpoints(tmp_path, every):
    folder = tmp_path / "run"
    session = assembled(folder, run_of(f"train.duration={100 * every}"))
    session.batches = Poisoned(session.stepper.model, float("nan"))
    with pytest.raises(WorkError) as error:
        go(session, folder)
    assert str(error.value) == (
        "step 12: training has diverged: the loss is nan\n"
        f"the last good checkpoint is {folder}/checkpoints/step-00000010\n"
        "help: start again (--force, or another --run) with a lower train.learning_rate, a longer "
        "train.schedule.warmup, a smaller train.clip"
    )
    assert error.value.exit_code == 1
    assert steps_kept(folder) == [10]
    assert (folder / "last").resolve().name == "step-00000010"


def test_a_loss_that_explodes_stops_the_run(tmp_path):
    folder = tmp_path / "run"
    session = assembled(folder, run_of())
    original = session.stepper.gradients

    def louder(batch: Any) -> Any:
        loss, count, correct = original(batch)
        return loss * (50 if session.progress.step >= 11 else 1), count, correct

    session.stepper.gradients = louder
    with pytest.raises(WorkError, match=r"step 12: training has diverged: the loss has risen from \d+.* to \d+"):
        go(session, folder)
    assert steps_kept(folder) == [10]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_leaves_a_clean_checkpoint(tmp_path, number):
    straight = whole(tmp_path / "straight")
    folder, valid = tmp_path / "run", Pairs(per_epoch=2, rows=4)
    session = assembled(folder, run_of())
    original = session.stepper.gradients

    def interrupted(batch: Any) -> Any:
        if session.progress.step == 12:
            os.kill(os.getpid(), number)
        return original(batch)

    session.stepper.gradients = interrupted
    console = Lines()
    reason, signals = go(session, folder, valid=valid, console=console)
    assert (reason, signals.received) == ("signal", number)
    assert steps_kept(folder)[-1] == 13
    assert any(line.startswith(f"{number.name}: finishing the step") for line in console.lines)
    go(assembled(folder, run_of()), folder, valid=valid)
    assert same(straight, folder, 40)


def test_a_second_signal_drops_the_step(tmp_path):
    straight = whole(tmp_path / "straight")
    folder, valid = tmp_path / "run", Pairs(per_epoch=2, rows=4)
    session = assembled(folder, run_of())
    original = session.stepper.gradients

    def interrupted(batch: Any) -> Any:
        found = original(batch)
        if session.progress.step == 12:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return found

    session.stepper.gradients = interrupted
    assert go(session, folder, valid=valid)[0] == "signal"
    assert steps_kept(folder)[-1] == 12
    go(assembled(folder, run_of()), folder, valid=valid)
    assert same(straight, folder, 40)


def test_a_signal_breaks_off_an_evaluation_which_resume_makes_up_for(tmp_path):
    straight = whole(tmp_path / "straight", "train.ema=0.9", metrics=lambda model: {"bleu": 1.0})
    folder, valid = tmp_path / "run", Pairs(per_epoch=2, rows=4)
    session = assembled(folder, run_of("train.ema=0.9"))

    def interrupted(model: torch.nn.Module) -> dict[str, float]:
        if session.progress.step == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return {"bleu": 1.0}

    assert go(session, folder, valid=valid, metrics=interrupted)[0] == "signal"
    assert session.stepper.model.training
    assert steps_kept(folder)[-1] == 20
    assert read_lines(folder / METRICS)[-1]["split"] == "train"
    go(assembled(folder, run_of("train.ema=0.9")), folder, valid=valid, metrics=lambda model: {"bleu": 1.0})
    assert same(straight, folder, 40)


def test_tensorboard_of_a_resumed_run_says_nothing_twice(tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    folder, run = tmp_path / "run", run_of("train.duration=6")
    go(assembled(folder, run, limit=3), folder)
    go(assembled(folder, run), folder)
    files = list((folder / "tensorboard").iterdir())
    assert len(files) == 1
    steps = [
        event.step
        for event in EventFileLoader(str(files[0])).Load()
        for value in event.summary.value
        if value.tag == "train/loss"
    ]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_minutes_end_by_the_clock_and_shape_the_rate(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr("attncli.training.session.time", SimpleNamespace(monotonic=lambda: 0.01 * next(ticks)))
    folder = tmp_path / "run"
    run = run_of("train.duration=0.01 minutes", "train.schedule={kind: linear, warmup: 0}", "evaluate.every=50%")
    session = assembled(folder, run)
    assert go(session, folder, valid=Pairs(per_epoch=1, rows=2))[0] == "duration"
    assert 0.6 <= session.clock.elapsed < 5
    rates = [line["learning_rate"] for line in read_lines(folder / METRICS) if line["split"] == "train"]
    assert rates == sorted(rates, reverse=True)
    assert sum(line["split"] == "valid" for line in read_lines(folder / METRICS)) == 2


def test_the_window_of_a_report_survives_a_stop_in_the_middle(tmp_path):
    folder, run = tmp_path / "run", run_of("train.duration=500", "evaluate.every=500", "train.checkpoints.every=500")
    go(assembled(folder, run, limit=7), folder)
    state = json.loads((folder / "last" / "state.json").read_text())["states"]
    assert state["progress"]["report_every"] == 5
    assert len(state["window"]["rows"]) == 2
    assert [line["step"] for line in read_lines(folder / METRICS)] == [5, 7]
    go(assembled(folder, run, limit=11), folder)
    assert [line["step"] for line in read_lines(folder / METRICS)] == [5, 10, 11]


def test_what_an_attention_adds_to_the_loss_is_told_by_its_address(tmp_path):
    score = "model.decoder.cross_attention={score: {kind: coverage, loss: 0.5}}"
    folder = whole(tmp_path / "run", "train.duration=10", "model.decoder={kind: recurrent, d_hidden: 8}", score)
    (valid,) = [line for line in read_lines(folder / METRICS) if line["split"] == "valid"]
    added = valid["decoder.cross_attention.loss"]
    assert 0 < added < 0.5
    assert valid["loss"] == pytest.approx(math.log(valid["perplexity"]) + added)
