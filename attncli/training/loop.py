"""From a spec to a trained run: claim the folder, prepare the data and the model, train, and say how it ended."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from attncli.data.batches import Batches
from attncli.data.codec import Codec
from attncli.data.rows import Rows, Splits
from attncli.data.sources import open_splits
from attncli.errors import InputError
from attncli.nn.model import Model, build_model
from attncli.spec.load import Loaded
from attncli.spec.run import Run
from attncli.training.checkpoint import newest_sound
from attncli.training.claim import ENVIRONMENT, PICTURE, PLAN, claim
from attncli.training.display import Display
from attncli.training.film import Film
from attncli.training.journal import METRICS, Journals, read_lines
from attncli.training.keeper import CHECKPOINTS, Keeper
from attncli.training.machine import choose_device, environment, seed_random, use_threads
from attncli.training.picture import draw_loss
from attncli.training.records import compare_record, compare_spec, plan_of, write_record, write_spec
from attncli.training.reports import Reporter
from attncli.training.session import Reason, Session
from attncli.training.signals import Signals
from attncli.training.starting import begin, codec_from, frozen
from attncli.training.steps import Stepper
from attncli.training.validation import Scores, Validation

Evaluate = Callable[[Model, Codec, Rows], Scores]
"""The task's own metrics of a model on validation rows."""


@dataclass(frozen=True)
class Settings:
    """What the command line says of one session; none of it is part of the spec."""

    device: str = "auto"
    threads: int | None = None
    resume: bool = False
    force: bool = False
    steps: int | None = None
    """Stop when the run has done this many steps; the schedule keeps the length that the spec gives it."""


@dataclass(frozen=True)
class Outcome:
    """How a session ended."""

    folder: Path
    step: int
    length: str
    """How long the whole run is, in words."""
    reason: Reason
    trained: bool
    """Whether this session took a step."""
    signal: signal.Signals | None
    best: int | None
    """The step of the best checkpoint."""
    scores: Scores
    """The validation scores of the best checkpoint, else of the last report."""


def train(
    loaded: Loaded, source: bytes, folder: Path, settings: Settings, display: Display, evaluate: Evaluate | None = None
) -> Outcome:
    """Train the spec into a run folder, or continue the run there. `source` is the text of the user's spec file.

    Errors: SpecError and DataError for what the user wrote; RunError if the folder is taken or holds another run;
    WorkError if training diverges or the disk is full, with the last good checkpoint named.
    """
    run = loaded.run
    if run.data is None:
        raise InputError(
            f"{run.name}: the spec has no data", help="write a `data` section, such as `data: {train: FILE}`"
        )
    use_threads(settings.threads)
    device = choose_device(settings.device)
    splits = open_splits(run)
    with claim(folder, resume=settings.resume, force=settings.force) as continuing:
        if continuing:
            codec = _continued(loaded, source, folder, display)
        else:
            if settings.resume:
                display.note(f"{folder}: there is no run to resume; starting at step 0")
            codec = _prepared(run, splits, folder, display)
        session, validation = _assembled(run, codec, splits, folder, device, settings, evaluate, display.note)
        _compare(session, folder, continuing, _surroundings(device, splits), display)
        if not continuing:
            write_spec(folder, loaded, source)
        return _trained(session, validation, folder, continuing, display)


def _prepared(run: Run, splits: Splits, folder: Path, display: Display) -> Codec:
    start = run.train.start
    codec = Codec.train(run, splits) if start is None else codec_from(start, run, splits)
    codec.save(folder)
    for field, vocabulary in codec.vocabularies.items():
        display.detail(f"{field}: {vocabulary.size} ids")
    return codec


def _continued(loaded: Loaded, source: bytes, folder: Path, display: Display) -> Codec:
    changed = compare_spec(folder, loaded.run)
    for line in changed:
        display.note(f"the spec has changed: {line}")
    codec = Codec.load(loaded.run, folder)
    if changed:
        write_spec(folder, loaded, source)
    return codec


def _surroundings(device: torch.device, splits: Splits) -> dict[str, object]:
    """What decides the bits of the run besides the spec."""
    data = {name: rows.fingerprint for name in ("train", "valid") if (rows := getattr(splits, name)) is not None}
    return {**environment(device), "data": data}


def _assembled(
    run: Run,
    codec: Codec,
    splits: Splits,
    folder: Path,
    device: torch.device,
    settings: Settings,
    evaluate: Evaluate | None,
    say: Callable[[str], None],
) -> tuple[Session, Validation | None]:
    seed_random(run.seed, "weights")
    model = build_model(run, codec.sizes, device)
    if run.train.start is not None and newest_sound(folder / CHECKPOINTS, lambda damage: None) is None:
        begin(run.train.start, model, folder, say)
    frozen(run, model, folder, say)
    stepper = Stepper(model, run.train, device, one_shape=run.data is not None and run.data.packing == "stream")
    keeper = Keeper(folder, run.train.checkpoints)
    train, valid = (None if rows is None else _batches(run, rows, codec) for rows in (splits.train, splits.valid))
    assert train is not None, "a data section always names training data"
    session = Session(run, stepper, train, keeper, limit=settings.steps)
    if valid is None or splits.valid is None:
        if run.train.early_stopping is not None:
            rule = "train.early_stopping: there are no validation data to measure patience on"
            raise InputError(rule, help="write data.valid, such as `valid: {share: 0.1}`")
        return session, None
    rows = splits.valid
    metrics = None if evaluate is None else lambda model: evaluate(model, codec, rows)
    return session, Validation(run, model, stepper, valid, metrics)


def _batches(run: Run, rows: Rows, codec: Codec) -> Batches:
    return Batches(rows, codec, run.train.batch, run.seed)


def _compare(
    session: Session, folder: Path, continuing: bool, surroundings: dict[str, object], display: Display
) -> None:
    """Keep, or compare with what was kept: the environment and the kernels."""
    stepper = session.stepper
    dtype = str(stepper.low_precision or torch.float32).removeprefix("torch.")
    assert isinstance(stepper.model, Model)
    records = {ENVIRONMENT: surroundings, PLAN: plan_of(stepper.model, device=stepper.device.type, dtype=dtype)}
    for name, record in records.items():
        if not continuing:
            write_record(folder, name, record)
            continue
        for line in compare_record(folder, name, record):
            display.note(f"not as when the run began, so its bits may differ from here on: {line}")


def _trained(
    session: Session, validation: Validation | None, folder: Path, continuing: bool, display: Display
) -> Outcome:
    session.keeper.clean()
    checkpoint = newest_sound(folder / CHECKPOINTS, display.note) if continuing else None
    if checkpoint is not None:
        session.restore(checkpoint)
        display.note(f"{folder}: resumed at step {checkpoint.step}")
    elif continuing:
        display.note(f"{folder}: there is no sound checkpoint; starting at step 0")
    progress, start = session.progress, session.progress.step
    session.keeper.point(progress)
    if session.train.watch is not None:
        first = {name: stream.to(session.stepper.device) for name, stream in session.batches.batch(0, 0).items()}
        assert isinstance(session.stepper.model, Model)
        session.film = Film(folder, session.stepper.model, first, step=start)
    lengths = {"metrics_bytes": progress.metrics_bytes, "timings_bytes": progress.timings_bytes}
    with Signals(display.note) as signals, Journals(folder, **lengths) as journals:
        try:
            reporter = Reporter(session.run, session.stepper, session.keeper, journals, display)
            reason = session.go(reporter, validation, signals)
        finally:
            display.end()
            if session.film is not None:
                session.film.close()
    if reason != "signal":
        draw_loss(folder, folder / PICTURE)
    return _outcome(session, folder, reason, signals, trained=progress.step > start)


def _outcome(session: Session, folder: Path, reason: Reason, signals: Signals, *, trained: bool) -> Outcome:
    progress = session.progress
    best = int(progress.best[0][1]) if progress.best else None
    lines = [
        line
        for line in read_lines(folder / METRICS)
        if best is None or (line["step"], line["split"]) == (best, "valid")
    ]
    scores = {
        name: value for name, value in (lines[-1] if lines else {}).items() if name not in ("step", "split", "epoch")
    }
    pace = session.pace
    length = f"{pace.end:g} minutes" if pace.timed else f"{pace.end:.0f} steps"
    return Outcome(folder, progress.step, length, reason, trained, signals.received, best, scores)
