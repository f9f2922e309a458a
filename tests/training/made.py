"""A tiny run for the tests of the loop: a model of a few thousand weights on made-up pairs."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from attncli.nn.model import Model, build_model
from attncli.spec.load import load_text
from attncli.spec.run import Run
from attncli.spec.seeds import mix
from attncli.spec.sizes import Sizes
from attncli.streams import Batch, stream
from attncli.training.checkpoint import newest_sound
from attncli.training.display import Display
from attncli.training.journal import Journals
from attncli.training.keeper import CHECKPOINTS, Keeper
from attncli.training.reports import Reporter
from attncli.training.session import Reason, Session
from attncli.training.signals import Signals
from attncli.training.steps import Stepper
from attncli.training.validation import Metrics, Validation

SPEC = """
name: tiny
task: {kind: seq2seq, label_smoothing: 0}
model: {d_model: 16, max_length: 16, attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 1}, dropout: 0.1}
tokenizer: characters
train: {duration: 40, learning_rate: 3e-3, checkpoints: {every: 10}}
evaluate: {every: 10}
"""
VOCABULARY = 12
CPU = torch.device("cpu")


def run_of(*overrides: str) -> Run:
    return load_text(SPEC, overrides).run


def model_of(run: Run) -> Model:
    torch.manual_seed(mix(run.seed, "weights"))
    return build_model(run, Sizes({"source": VOCABULARY, "target": VOCABULARY}))


def pairs(rng: random.Random, rows: int) -> Batch:
    """Rows to be copied, of 1 to 6 ids."""
    texts = [[rng.randrange(5, VOCABULARY) for _ in range(rng.randint(1, 6))] for _ in range(rows)]
    return {
        "source": stream([[*text, 3] for text in texts], pad=0),
        "target": stream([[2, *text] for text in texts], pad=0),
        "labels": stream([[*text, 3] for text in texts], pad=-100),
    }


class Pairs:
    """Batches as attncli.data makes them, each a pure function of (epoch, index)."""

    def __init__(self, *, per_epoch: int = 7, rows: int = 8) -> None:
        self.per_epoch, self.rows = per_epoch, rows
        self.asked: list[tuple[int, int]] = []

    def epoch(self, epoch: int) -> Sequence[int]:
        return range(self.per_epoch)

    def batch(self, epoch: int, index: int) -> Batch:
        self.asked.append((epoch, index))
        return pairs(random.Random(mix(1, epoch, index)), self.rows)

    def in_order(self) -> Iterator[tuple[list[int], Batch]]:
        for index in range(self.per_epoch):
            yield [], pairs(random.Random(mix(1, "valid", index)), self.rows)


class Lines:
    """A console that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.file = self
        self.is_dumb_terminal = False

    def isatty(self) -> bool:
        return False

    def print(self, text: str) -> None:
        self.lines.append(text)


def assembled(folder: Path, run: Run, *, limit: int | None = None, batches: Any = None) -> Session:
    """A session on fake batches; it continues what the folder holds."""
    folder.mkdir(exist_ok=True)
    stepper = Stepper(model_of(run), run.train, CPU)
    keeper = Keeper(folder, run.train.checkpoints)
    session = Session(run, stepper, batches or Pairs(), keeper, limit=limit)
    keeper.clean()
    if (found := newest_sound(folder / CHECKPOINTS, lambda text: None)) is not None:
        session.restore(found)
    return session


def go(
    session: Session, folder: Path, *, valid: Any = None, metrics: Metrics | None = None, console: Lines | None = None
) -> tuple[Reason, Signals]:
    """Run a session as attncli.training.loop does."""
    progress, stepper = session.progress, session.stepper
    display = Display(console or Lines())
    validation = valid and Validation(session.run, stepper.model, stepper, valid, metrics)
    lengths = {"metrics_bytes": progress.metrics_bytes, "timings_bytes": progress.timings_bytes}
    with Signals(display.note) as signals, Journals(folder, **lengths) as journals:
        reporter = Reporter(session.run, stepper, session.keeper, journals, display)
        return session.go(reporter, validation, signals), signals


def weights_of(folder: Path, step: int) -> dict[str, bytes]:
    """The bytes of the files of a checkpoint that no clock decides."""
    path = folder / CHECKPOINTS / f"step-{step:08d}"
    return {file.name: file.read_bytes() for file in sorted(path.glob("*.safetensors"))}
