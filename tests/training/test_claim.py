"""Who may have a run folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from attncli.errors import RunError
from attncli.training.claim import SEAL, claim


def run_in(folder: Path) -> Path:
    """A folder as a finished run leaves it, with a note of its owner."""
    (folder / "checkpoints" / "step-00000500").mkdir(parents=True)
    for name in (SEAL, "spec.yaml", "metrics.jsonl", "tokenizer.json", "tokenizer.source.json", "notes.txt"):
        (folder / name).write_text("x")
    (folder / "last").symlink_to("checkpoints/step-00000500")
    return folder


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    with claim(tmp_path / "runs" / "a", resume=False, force=False) as continuing:
        assert not continuing
        assert (tmp_path / "runs" / "a").is_dir()


def test_a_run_is_not_overwritten_unasked(tmp_path):
    folder = run_in(tmp_path / "run")
    with pytest.raises(RunError) as error, claim(folder, resume=False, force=False):
        pass
    assert str(error.value) == (
        f"{folder}: there is a run here already (at step 500)\n"
        "help: --resume continues it, --force replaces it, --run DIR trains elsewhere"
    )
    assert error.value.exit_code == 2
    assert (folder / "metrics.jsonl").exists()


def test_resume_keeps_everything(tmp_path):
    folder = run_in(tmp_path / "run")
    before = sorted(path.name for path in folder.iterdir())
    with claim(folder, resume=True, force=False) as continuing:
        assert continuing
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, ".lock"])


def test_force_removes_the_run_and_nothing_else(tmp_path):
    folder = run_in(tmp_path / "run")
    with claim(folder, resume=False, force=True) as continuing:
        assert not continuing
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "notes.txt"]


def test_what_a_trainer_killed_before_step_1_left_is_used_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{")
    with claim(folder, resume=False, force=False) as continuing:
        assert not continuing
        assert not (folder / "tokenizer.json").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_is_no_run_is_left_alone(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError) as error, claim(tmp_path, resume=False, force=force):
        pass
    assert str(error.value) == (
        f"{tmp_path}: this folder is no run and not empty (it holds 'thesis.tex')\n"
        "help: name a new folder with --run DIR"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path):
    file = tmp_path / "run"
    file.write_text("x")
    with pytest.raises(RunError, match="this is a file, not a run folder"), claim(file, resume=False, force=True):
        pass


HOLD = """
import sys, time
from pathlib import Path
from attncli.training.claim import claim
with claim(Path(sys.argv[1]), resume=True, force=False):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_trainers_never_share_a_folder_and_a_killed_one_lets_go(tmp_path):
    folder = run_in(tmp_path / "run")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError) as error, claim(folder, resume=False, force=True):
            pass
        assert str(error.value) == (
            f"{folder}: another attncli is training here (process {holder.pid})\n"
            "help: wait for it, stop it, or train elsewhere with --run DIR"
        )
        assert (folder / "metrics.jsonl").exists()
    finally:
        holder.kill()
        holder.wait()
    with claim(folder, resume=True, force=False) as continuing:
        assert continuing
