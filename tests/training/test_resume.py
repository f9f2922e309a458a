"""Stopped anywhere, by a kill, a signal or --steps, and resumed: bit for bit the run that never was."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from attncli.cli import commands
from attncli.training.checkpoint import list_checkpoints
from attncli.training.journal import METRICS
from tests.training.made import weights_of

SPEC = """
name: tiny
task: seq2seq
model: {d_model: 8, max_length: 64, encoder: {layers: 1}, decoder: {layers: 1}, dropout: 0.2}
tokenizer: characters
data: {kind: generated, name: copy, train: 60, valid: 10, test: 10}
train: {duration: 30, ema: 0.9, batch: {kind: sequences, size: 8, accumulate: 2}, checkpoints: {every: 7, keep_last: 9}}
evaluate: {every: 10, metrics: [token_accuracy]}
"""
CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"
MAIN = "from attncli.cli import main; main()"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(SPEC)
    return file


def train(spec: Path, folder: Path, *words: str) -> str:
    arguments = ["train", str(spec), "--run", str(folder), "--device", "cpu", "--threads", "1", *words]
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 0, done.output
    return done.stderr


def same(one: Path, other: Path, step: int) -> bool:
    """Equal weights, running means, optimizer and metrics, byte for byte."""
    files = weights_of(one, step)
    assert set(files) == {"model.safetensors", "optimizer.safetensors", "ema.safetensors"}
    return files == weights_of(other, step) and (one / METRICS).read_bytes() == (other / METRICS).read_bytes()


def test_killed_again_and_again_with_two_threads_it_ends_as_one_that_nobody_touched(tmp_path: Path) -> None:
    words = [sys.executable, str(CHAOS), "--kills", "3", "--seed", "2", "--steps", "16", "--folder", str(tmp_path)]
    patient = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2"}  # two threads that spin wait for each other
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | patient)
    assert done.returncode == 0, done.stdout + done.stderr
    told, verdict = done.stdout.splitlines()
    assert re.fullmatch(r"[3-9] kills in \d+ runs of 16 steps, \d+ damaged checkpoints, seed 2", told)
    assert verdict == "identical"


def test_stopped_by_steps_between_checkpoints_reports_and_evaluations(spec: Path, tmp_path: Path) -> None:
    train(spec, tmp_path / "straight")
    for stop in ("3", "7", "10", "22"):
        train(spec, tmp_path / "stopped", "--resume", "--steps", stop)
        assert list_checkpoints(tmp_path / "stopped" / "checkpoints")[-1].step == int(stop)
    said = train(spec, tmp_path / "stopped", "--resume")
    assert f"{tmp_path / 'stopped'}: resumed at step 22" in said
    assert same(tmp_path / "straight", tmp_path / "stopped", 30)
    assert (tmp_path / "straight" / "best").resolve().name == (tmp_path / "stopped" / "best").resolve().name


def test_another_seed_is_another_run(spec: Path, tmp_path: Path) -> None:
    train(spec, tmp_path / "one")
    train(spec, tmp_path / "other", "-o", "seed=1")
    assert not same(tmp_path / "one", tmp_path / "other", 30)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_with_a_clean_checkpoint_from_which_it_goes_on(
    spec: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    spec.write_text(spec.read_text().replace("duration: 30", "duration: 400"))
    folder = tmp_path / "run"
    words = ["train", str(spec), "--run", str(folder), "--device", "cpu", "--threads", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith("step "):
            assert line, "it has ended before its first report"
        process.send_signal(number)
        out, said = process.communicate()
    assert process.returncode == code
    assert f"{number.name}: finishing the step, then writing a checkpoint; again drops the step" in said
    found = re.match(rf"{re.escape(str(folder))}: step (\d+): stopped by a signal, after a clean checkpoint; ", out)
    assert found
    assert f"\n  attncli train {spec} --run {folder} --resume\n" in out
    (*_, last) = list_checkpoints(folder / "checkpoints")
    assert (last.step, last.fault()) == (int(found[1]), None)
    assert (folder / "last").resolve() == last.path

    train(spec, folder, "--resume", "--steps", str(last.step + 5))
    train(spec, tmp_path / "straight", "--steps", str(last.step + 5))
    assert weights_of(folder, last.step + 5) == weights_of(tmp_path / "straight", last.step + 5)
