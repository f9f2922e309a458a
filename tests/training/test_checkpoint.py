"""Checkpoints: whole or not there, checked when read, never pickled."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from attncli.errors import RunError, WorkError
from attncli.training import checkpoint as module
from attncli.training.checkpoint import (
    Checkpoint,
    list_checkpoints,
    mean_of,
    newest_sound,
    prune,
    sweep,
    write_checkpoint,
)


class Kept:
    """A state of whatever it is given."""

    def __init__(self, **entries: Any) -> None:
        self.entries = entries

    def state_dict(self) -> dict[str, Any]:
        return self.entries

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.entries = state


def states(value: float = 1.0) -> dict[str, Kept]:
    model = Kept(weight=torch.full((3, 2), value), transposed=torch.arange(6.0).reshape(2, 3).T)
    return {"model": model, "progress": Kept(step=7, best=[[0.1, 5]], loss=None)}


def steps_in(folder: Path) -> list[int]:
    return [found.step for found in list_checkpoints(folder)]


def test_what_was_written_comes_back(tmp_path):
    written = write_checkpoint(tmp_path, 7, states())
    assert written == Checkpoint(tmp_path / "step-00000007", 7)
    assert written.fault() is None
    other = states(0.0)
    written.restore(other)
    assert torch.equal(other["model"].entries["weight"], torch.ones(3, 2))
    assert torch.equal(other["model"].entries["transposed"], torch.arange(6.0).reshape(2, 3).T)
    assert other["progress"].entries == {"step": 7, "best": [[0.1, 5]], "loss": None}


def test_the_files_are_those_of_the_design_and_open_to_the_group(tmp_path):
    path = write_checkpoint(tmp_path, 7, states()).path
    assert sorted(file.name for file in path.iterdir()) == ["MANIFEST.json", "model.safetensors", "state.json"]
    assert (path / "model.safetensors").stat().st_mode == (path / "state.json").stat().st_mode
    assert set(json.loads((path / "MANIFEST.json").read_text())["files"]) == {"model.safetensors", "state.json"}
    assert set(load_file(path / "model.safetensors")) == {"weight", "transposed"}
    assert list(tmp_path.iterdir()) == [path]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("file", "harm", "fault"),
    [
        ("model.safetensors", cut, "model.safetensors has {less} bytes, {size} were written"),
        ("model.safetensors", flip, "model.safetensors is not what was written (its sha256 differs)"),
        ("state.json", Path.unlink, "state.json is missing"),
        ("MANIFEST.json", Path.unlink, "MANIFEST.json is missing"),
        ("MANIFEST.json", cut, "MANIFEST.json cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(tmp_path, file, harm, fault):
    write_checkpoint(tmp_path, 5, states())
    damaged = write_checkpoint(tmp_path, 7, states()).path
    size = (damaged / "model.safetensors").stat().st_size
    harm(damaged / file)
    said: list[str] = []
    found = newest_sound(tmp_path, said.append)
    assert found is not None
    assert found.step == 5
    assert said == [f"{damaged}: skipped, {fault.format(size=size, less=size - 1)}"]


def test_without_a_sound_checkpoint_there_is_none(tmp_path):
    assert newest_sound(tmp_path, print) is None
    cut(write_checkpoint(tmp_path, 5, states()).path / "MANIFEST.json")
    assert newest_sound(tmp_path, lambda text: None) is None


def test_a_state_that_the_checkpoint_lacks_is_named(tmp_path):
    written = write_checkpoint(tmp_path, 5, states())
    with pytest.raises(RunError, match=r"state\.json has no state 'ema'"):
        written.restore({**states(), "ema": Kept()})


def full_disk(file: Path, content: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_what_was_there_and_says_so(tmp_path, monkeypatch):
    before = write_checkpoint(tmp_path, 5, states())
    monkeypatch.setattr(module, "write_durably", full_disk)
    with pytest.raises(WorkError) as error:
        write_checkpoint(tmp_path, 7, states())
    assert str(error.value) == (
        f"{tmp_path}: the checkpoint of step 7 was not written: [Errno 28] No space left on device\n"
        "the last good one is step-00000005\n"
        "help: free some space on the disk, then run the same command with --resume"
    )
    assert error.value.exit_code == 1
    assert list(tmp_path.iterdir()) == [before.path]
    assert before.fault() is None


def test_a_full_disk_amid_the_tensors_is_the_same_error(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    def full(*arguments: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(WorkError, match=r"No space left on device \(os error 28\)\nthere is no earlier one"):
        write_checkpoint(tmp_path, 7, states())
    assert list(tmp_path.iterdir()) == []


def test_a_step_may_be_written_again(tmp_path):
    write_checkpoint(tmp_path, 5, states(1.0))
    again = write_checkpoint(tmp_path, 5, states(2.0))
    assert float(again.tensors("model")["weight"].mean()) == 2.0
    assert list(tmp_path.iterdir()) == [again.path]


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    write_checkpoint(tmp_path, 5, states())
    shutil.copytree(tmp_path / "step-00000005", tmp_path / ".step-00000007.partial")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


def test_what_was_about_to_be_replaced_is_put_back(tmp_path):
    write_checkpoint(tmp_path, 5, states()).path.rename(tmp_path / ".step-00000005.replaced")
    write_checkpoint(tmp_path, 7, states())
    shutil.copytree(tmp_path / "step-00000007", tmp_path / ".step-00000007.replaced")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000005", "step-00000007"]


def test_the_last_few_and_the_named_ones_stay(tmp_path):
    for step in (1, 2, 3, 4, 5, 9):
        write_checkpoint(tmp_path, step, states())
    prune(tmp_path, now=5, keep_last=2, keep={2})
    assert steps_in(tmp_path) == [2, 4, 5, 9]


def test_the_mean_of_checkpoints_is_that_of_their_weights(tmp_path):
    written = [write_checkpoint(tmp_path, step, states(float(step))) for step in (1, 2, 6)]
    mean = mean_of(written)
    assert torch.equal(mean["weight"], torch.full((3, 2), 3.0))
    assert mean["weight"].dtype == torch.float32


def test_served_weights_are_the_running_means_where_there_are_some(tmp_path):
    kept = {"model": Kept(weight=torch.ones(2), buffer=torch.zeros(1)), "ema": Kept(weight=torch.full((2,), 5.0))}
    served = write_checkpoint(tmp_path, 1, kept).served()
    assert {name: float(tensor.mean()) for name, tensor in served.items()} == {"weight": 5.0, "buffer": 0.0}
