"""Kill training at random instants, again and again, and compare what comes out with a run that nobody touched.

    .venv/bin/python benchmarks/chaos.py --kills 500 --seed 1

Each kill is a SIGKILL to a process that runs the `attncli train` command with two threads: amid its start, anywhere in
its training, or amid a save. Now and then a file of the newest checkpoint is cut short as well. After each kill every
checkpoint under its final name must be whole and both pointers must lead to one. In the end weights, optimizer, running
means and metrics must be, bit for bit, those of the untouched run.

The processes are forked from one that has imported everything and computed nothing, so that a kill costs a second.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import datasets
import matplotlib.backends.backend_agg
import matplotlib.figure
import tensorboard.summary.writer.record_writer
import torch._dynamo

from attncli import decoding, evaluation
from attncli.cli import commands
from attncli.training.checkpoint import list_checkpoints
from attncli.training.journal import METRICS, TIMINGS
from attncli.training.keeper import BEST, CHECKPOINTS, LAST

WARM = (datasets, decoding, evaluation, matplotlib, tensorboard, torch._dynamo)
"""What the command imports late: once here, and not in every process."""
SPEC = """
name: chaos
task: seq2seq
model: {d_model: 16, max_length: 64, encoder: {layers: 1}, decoder: {layers: 1}, dropout: 0.2}
tokenizer: characters
data: {kind: generated, name: copy, train: 400, valid: 40, test: 10}
train: {duration: STEPS, ema: 0.9, batch: {kind: tokens, size: 512, accumulate: 2}, checkpoints: {every: 4}}
evaluate: {every: 6, metrics: [exact_match]}
"""
DAMAGE = 0.2
"""Share of the kills after which a file of the newest checkpoint is cut short."""


def start(spec: Path, folder: Path, log: Path, *more: str) -> int:
    """Fork a process that runs the command; returns its number."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        with log.open("a") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        arguments = ["train", str(spec), "--run", str(folder), "--resume", "--threads", "2", *more]
        commands(arguments, prog_name="attncli", standalone_mode=True)
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def finish(child: int) -> int:
    """Wait for a process; its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(child: int, reached: Callable[[], bool], later: float) -> bool:
    """Kill a process a little after it has reached something, unless it ends before; true if it was killed."""
    while not reached():
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    time.sleep(later)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    finish(child)
    return True


def instant(folder: Path, rng: random.Random) -> Callable[[], bool]:
    """Something to wait for: amid the start, behind some more lines of the journal, or amid a save."""
    lines = count_lines(folder) + rng.randrange(1, 12)
    draw = rng.random()
    if draw < 0.15:
        return lambda: True
    if draw < 0.6:
        return lambda: count_lines(folder) >= lines
    return lambda: any((folder / CHECKPOINTS).glob(".step-*"))


def count_lines(folder: Path) -> int:
    """Lines of the timings, the journal that every event of a run writes to."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / TIMINGS).read_bytes().count(b"\n")
    return 0


def check_whole(folder: Path) -> None:
    """Every checkpoint that has its name is whole, and so is what is pointed at."""
    found = list_checkpoints(folder / CHECKPOINTS)
    for checkpoint in found:
        assert checkpoint.fault() is None, f"{checkpoint.path}: {checkpoint.fault()}"
    for pointer in (LAST, BEST):
        if (folder / pointer).is_symlink():
            assert (folder / pointer / "MANIFEST.json").exists(), f"{pointer} leads nowhere"


def damage(folder: Path, rng: random.Random) -> bool:
    """Cut a file of the newest checkpoint short; true if that was possible with another one left."""
    found = list_checkpoints(folder / CHECKPOINTS)
    if len(found) < 2:
        return False
    file = rng.choice(sorted(found[-1].path.iterdir()))
    os.truncate(file, rng.randrange(file.stat().st_size))
    return True


def same(one: Path, other: Path) -> list[str]:
    """The files that differ though no clock decides them."""
    names = [METRICS, "tokenizer.json", "resolved.yaml"]
    names += [f"{LAST}/{file.name}" for file in sorted((one / LAST).glob("*.safetensors"))]
    names += [f"{BEST}/{file.name}" for file in sorted((one / BEST).glob("*.safetensors"))]
    return [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]


def harass(folder: Path, *, kills: int, seed: int, steps: int, say: Callable[[str], None]) -> list[str]:
    """Train in peace and under fire, as often as it takes for so many kills; the files that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "chaos.yaml"
    spec.write_text(SPEC.replace("STEPS", str(steps)))
    assert finish(start(spec, folder / "peace", folder / "peace.log")) == 0, (folder / "peace.log").read_text()
    rng = random.Random(seed)
    killed = damaged = runs = 0
    differing: list[str] = []
    while killed < kills and not differing:
        target, log = folder / f"war-{runs}", folder / f"war-{runs}.log"
        while killed < kills and kill_at(start(spec, target, log), instant(target, rng), rng.uniform(0, 0.03)):
            killed += 1
            check_whole(target)
            if rng.random() < DAMAGE:
                damaged += damage(target, rng)
                assert finish(start(spec, target, log, "--steps", "1")) == 0, log.read_text()  # passes it over
        assert finish(start(spec, target, log)) == 0, log.read_text()
        check_whole(target)
        differing = same(folder / "peace", target)
        runs += 1
    say(f"{killed} kills in {runs} runs of {steps} steps, {damaged} damaged checkpoints, seed {seed}")
    return differing


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="keep the runs in this folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        folder = given.folder or Path(aside)
        differing = harass(folder, kills=given.kills, seed=given.seed, steps=given.steps, say=print)
    print("identical" if not differing else f"different: {', '.join(differing)}")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
