"""From a spec to a run: what the folder holds, and every way in which training refuses, ends or goes on."""

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from attncli.errors import AttncliError, InputError, RunError, WorkError
from attncli.spec.load import Loaded, load_spec
from attncli.training import checkpoint as checkpoints
from attncli.training.checkpoint import list_checkpoints
from attncli.training.display import Display
from attncli.training.journal import METRICS, read_lines
from attncli.training.loop import Evaluate, Outcome, Settings, train
from tests.training.made import Lines

SPEC = """
name: tiny
task: seq2seq
model: {d_model: 8, max_length: 8, encoder: {layers: 1}, decoder: {layers: 1}}
tokenizer: characters
data: {train: pairs.tsv, valid: valid.tsv}
train: {duration: 4, batch: {kind: sequences, size: 2}, checkpoints: {every: 2, keep_last: 9}}
evaluate: {every: 2, metrics: [exact_match]}
"""
CPU = Settings(device="cpu")
RESUME, FORCE = replace(CPU, resume=True), replace(CPU, force=True)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    for name in ("pairs.tsv", "valid.tsv"):
        (tmp_path / name).write_text("source\ttarget\nabc\tcba\nab\tba\nbc\tcb\n")
    (tmp_path / "tiny.yaml").write_text(SPEC)
    return tmp_path / "tiny.yaml"


def loaded(spec: Path, *overrides: str) -> Loaded:
    return load_spec(spec, overrides)


def run(
    spec: Path, *overrides: str, settings: Settings = CPU, folder: Path | None = None, evaluate: Evaluate | None = None
) -> tuple[Outcome, list[str]]:
    """Train into the folder `run` beside the spec; how it ended and what was said."""
    console = Lines()
    display = Display(console)
    place = folder or spec.parent / "run"
    return train(loaded(spec, *overrides), spec.read_bytes(), place, settings, display, evaluate), console.lines


def steps(folder: Path) -> list[int]:
    return [found.step for found in list_checkpoints(folder / "checkpoints")]


def test_a_run_folder_holds_all_that_the_run_is(spec: Path) -> None:
    ended, said = run(spec)
    assert (ended.step, ended.reason, ended.trained, ended.signal, ended.length) == (
        4,
        "duration",
        True,
        None,
        "4 steps",
    )
    folder = ended.folder
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "best", "checkpoints", "environment.json", "last", "loss.png", "metrics.jsonl", "plan.json",
        "resolved.yaml", "spec.yaml", "tensorboard", "timings.jsonl", "tokenizer.json",
    }  # fmt: skip
    assert (folder / "spec.yaml").read_bytes() == spec.read_bytes()
    again, before = load_spec(folder / "resolved.yaml").run, load_spec(spec).run
    assert (again.model, again.train) == (before.model, before.train)
    assert set(json.loads((folder / "environment.json").read_text())["data"]) == {"train", "valid"}
    assert steps(folder) == [2, 4]
    assert (folder / "last").resolve().name == "step-00000004"
    assert ended.best in (2, 4)
    assert ended.scores == {k: v for k, v in _valid(folder, ended.best).items() if k not in ("step", "split")}
    assert len(said) == 6, "four reports, two evaluations"


def _valid(folder: Path, step: int) -> dict:
    return next(line for line in read_lines(folder / METRICS) if (line["split"], line["step"]) == ("valid", step))


def test_the_task_s_own_metrics_join_those_of_the_loss(spec: Path) -> None:
    seen: list[int] = []
    ended, _ = run(spec, evaluate=lambda model, codec, rows: seen.append(len(rows)) or {"exact_match": 0.5})
    assert seen == [3, 3]
    assert ended.scores.keys() == {"loss", "perplexity", "token_accuracy", "exact_match"}


def test_without_data_there_is_nothing_to_train_on(spec: Path) -> None:
    spec.write_text(SPEC.replace("data: {train: pairs.tsv, valid: valid.tsv}\n", ""))
    with pytest.raises(InputError) as error:
        run(spec)
    assert str(error.value) == "tiny: the spec has no data\nhelp: write a `data` section, such as `data: {train: FILE}`"
    assert not (spec.parent / "run").exists()


def test_a_bad_row_is_found_before_the_folder_is_made(spec: Path) -> None:
    (spec.parent / "pairs.tsv").write_text("source\ttarget\nabc\tcba\nab\n")
    with pytest.raises(AttncliError, match=r"pairs\.tsv:3: 1 column where the first row has 2\nhelp: "):
        run(spec)
    assert not (spec.parent / "run").exists()


def test_a_taken_folder_is_refused_and_force_starts_anew(spec: Path) -> None:
    run(spec)
    first = (spec.parent / "run" / METRICS).read_bytes()
    with pytest.raises(RunError, match=r"there is a run here already \(at step 4\)\nhelp: --resume continues it"):
        run(spec, "seed=7")
    assert (spec.parent / "run" / METRICS).read_bytes() == first
    ended, _ = run(spec, "seed=7", settings=FORCE)
    assert ended.step == 4
    assert (spec.parent / "run" / METRICS).read_bytes() != first


def test_resume_without_a_run_begins_one(spec: Path) -> None:
    ended, said = run(spec, settings=RESUME)
    assert said[0] == f"{ended.folder}: there is no run to resume; starting at step 0"
    assert (ended.step, ended.trained) == (4, True)


def test_resume_without_a_checkpoint_starts_at_step_0(spec: Path) -> None:
    run(spec)
    straight = (spec.parent / "run" / METRICS).read_bytes()
    for found in list_checkpoints(spec.parent / "run" / "checkpoints"):
        (found.path / "MANIFEST.json").write_text("{}")
    ended, said = run(spec, settings=RESUME)
    assert f"{ended.folder}: there is no sound checkpoint; starting at step 0" in said
    assert (ended.folder / METRICS).read_bytes() == straight


def test_a_finished_run_takes_no_step_more(spec: Path) -> None:
    run(spec)
    ended, said = run(spec, settings=RESUME)
    assert (ended.step, ended.trained, ended.reason) == (4, False, "duration")
    assert said == [f"{ended.folder}: resumed at step 4"]


def test_what_may_change_is_said_and_what_may_not_is_refused(spec: Path) -> None:
    run(spec)
    ended, said = run(spec, "train.duration=6", "evaluate.decoding=greedy", settings=RESUME)
    assert ended.step == 6
    assert "the spec has changed: train.duration: 4 -> 6" in said
    assert (
        load_spec(ended.folder / "resolved.yaml").run.train.duration
        == load_spec(spec, ["train.duration=6"]).run.train.duration
    )
    with pytest.raises(RunError) as error:
        run(spec, "train.duration=6", "evaluate.decoding=greedy", "model.norm=layer_norm", "seed=3", settings=RESUME)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{ended.folder}: the spec is not the one that this run was started with"
    assert "  seed: 0 in the run, 3 now" in lines
    assert lines[-1] == "help: train it as a run of its own with --run DIR, or replace this one with --force"


def test_what_decides_the_bits_besides_the_spec_is_compared(spec: Path) -> None:
    run(spec, settings=replace(CPU, steps=2))
    environment = spec.parent / "run" / "environment.json"
    environment.write_text(environment.read_text().replace('"torch": "', '"torch": "1.0+'))
    (spec.parent / "valid.tsv").write_text("source\ttarget\nc\tc\n")
    _, said = run(spec, settings=RESUME)
    notes = [
        line for line in said if line.startswith("not as when the run began, so its bits may differ from here on: ")
    ]
    assert any(": torch: 1.0+" in note for note in notes)
    assert any(": data.valid: " in note for note in notes)
    assert len(notes) == 2


def test_early_stopping_by_a_metric_needs_validation_data(spec: Path) -> None:
    spec.write_text(SPEC.replace(", valid: valid.tsv", ""))
    with pytest.raises(AttncliError, match=r"early_stopping: it needs validation data"):
        run(spec, "train.early_stopping={metric: loss, patience: 1}")


def test_a_loss_that_is_no_number_names_the_last_good_checkpoint(spec: Path) -> None:
    with pytest.raises(WorkError) as error:
        run(spec, "train.learning_rate=1e30", "train.checkpoints.every=1")
    assert error.value.exit_code == 1
    first, left, way_out = str(error.value).splitlines()
    assert first.startswith("step 2: training has diverged: ")
    assert left == f"the last good checkpoint is {spec.parent / 'run' / 'checkpoints' / 'step-00000001'}"
    assert way_out.startswith("help: start again (--force, or another --run) with a lower train.learning_rate")
    assert steps(spec.parent / "run") == [1]


def test_a_full_disk_keeps_the_last_checkpoint(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = checkpoints.write_durably

    def full(file: Path, content: bytes) -> None:
        if "step-00000004" in str(file):
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        honest(file, content)

    monkeypatch.setattr(checkpoints, "write_durably", full)
    with pytest.raises(WorkError) as error:
        run(spec)
    first, left, way_out = str(error.value).splitlines()
    assert first.startswith(f"{spec.parent / 'run' / 'checkpoints'}: the checkpoint of step 4 was not written: ")
    assert "No space left on device" in first
    assert left == "the last good one is step-00000002"
    assert way_out == "help: free some space on the disk, then run the same command with --resume"
    monkeypatch.undo()
    assert [path.name for path in sorted((spec.parent / "run" / "checkpoints").iterdir())] == ["step-00000002"]
    ended, said = run(spec, settings=RESUME)
    assert said[0] == f"{ended.folder}: resumed at step 2"
    straight, _ = run(spec, folder=spec.parent / "straight")
    assert (ended.folder / METRICS).read_bytes() == (straight.folder / METRICS).read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 90 kilobytes; only root can have one."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90k", "tmpfs", str(place)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_keeps_the_last_checkpoint(spec: Path, small_disk: Path) -> None:
    with pytest.raises(WorkError) as error:
        run(spec, "train.checkpoints.every=1", "train.duration=20", folder=small_disk / "run")
    assert "No space left on device" in str(error.value)
    kept = list_checkpoints(small_disk / "run" / "checkpoints")
    assert f"the last good one is {kept[-1].path.name}" in str(error.value)
    assert all(found.fault() is None for found in kept)


OTHER = "import sys; from attncli.cli import main; main()"


def test_two_trainers_never_share_a_folder_and_a_signal_leaves_a_clean_checkpoint(spec: Path) -> None:
    folder = spec.parent / "run"
    words = [
        "train",
        str(spec),
        "--run",
        str(folder),
        "--device",
        "cpu",
        "--threads",
        "1",
        "-o",
        "train.duration=100000",
    ]
    with subprocess.Popen([sys.executable, "-c", OTHER, *words], stderr=subprocess.PIPE, text=True) as other:
        try:
            assert other.stderr is not None
            while "step " not in (line := other.stderr.readline()):
                assert line, "the other trainer has ended"
            for settings in (CPU, RESUME, FORCE):
                with pytest.raises(RunError) as error:
                    run(spec, settings=settings)
                assert str(error.value) == (
                    f"{folder}: another attncli is training here (process {other.pid})\n"
                    "help: wait for it, stop it, or train elsewhere with --run DIR"
                )
            other.send_signal(signal.SIGTERM)
            began = time.monotonic()
            said = other.stderr.read()
            assert other.wait() == 143
            assert time.monotonic() - began < 30
            assert "SIGTERM: finishing the step, then writing a checkpoint; again drops the step" in said
        finally:
            other.kill()
    (*_, last) = list_checkpoints(folder / "checkpoints")
    assert last.fault() is None
    assert last.step == last.values()["progress"]["step"]
