"""Which checkpoints stay, and which two are pointed at."""

from pathlib import Path

from attncli.spec.training import Checkpoints
from attncli.training.checkpoint import Checkpoint, list_checkpoints, prune, step_name, sweep, write_checkpoint
from attncli.training.durable import point
from attncli.training.progress import Progress
from attncli.training.states import Registry

CHECKPOINTS, LAST, BEST = "checkpoints", "last", "best"


class Keeper:
    """Writes checkpoints, then moves the pointers, then prunes: at every instant both pointers lead to a whole one."""

    def __init__(self, run: Path, keep: Checkpoints) -> None:
        self.run = run
        self.folder = run / CHECKPOINTS
        self.folder.mkdir(exist_ok=True)
        self.keep = keep
        self.saved: int | None = None
        """The step of the newest checkpoint."""

    def clean(self) -> None:
        """Clear what a killed writer left."""
        sweep(self.folder)

    def save(self, states: Registry, progress: Progress) -> Checkpoint:
        """Write the checkpoint of this step."""
        written = write_checkpoint(self.folder, progress.step, states)
        self.saved = progress.step
        self.point(progress)
        prune(self.folder, now=progress.step, keep_last=self.keep.keep_last, keep=progress.kept)
        return written

    def point(self, progress: Progress) -> None:
        """Let `last` lead to the newest checkpoint and `best` to the best that is there."""
        there = {checkpoint.step for checkpoint in list_checkpoints(self.folder) if checkpoint.step <= progress.step}
        if self.saved is not None:
            point(self.run / LAST, self.folder / step_name(self.saved))
        best = [int(step) for _, step in progress.best if step in there]
        if best:
            point(self.run / BEST, self.folder / step_name(best[0]))
        else:
            (self.run / BEST).unlink(missing_ok=True)
