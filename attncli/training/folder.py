"""A run folder as its readers see it: the spec, the codec, the checkpoints, the model.

    spec.yaml resolved.yaml tokenizer.json environment.json plan.json metrics.jsonl timings.jsonl tensorboard/ loss.png
    checkpoints/step-00001000/   last, best: links to checkpoints

Errors: RunError where the folder is no run, has no such checkpoint, or a file of it is not what was written.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from attncli.data.codec import Codec
from attncli.errors import RunError
from attncli.nn.lora import merge
from attncli.nn.model import Model, build_model
from attncli.spec.load import load_spec
from attncli.spec.run import Run
from attncli.training.checkpoint import Checkpoint, list_checkpoints, mean_of, newest_sound
from attncli.training.claim import SEAL
from attncli.training.keeper import BEST, CHECKPOINTS
from attncli.training.states import load_weights

Which = str | int
"""A checkpoint: `best`, `last`, or a step; a model may also be made of `average`."""


class RunFolder:
    """A folder that `attncli train` has written. `say` hears of damaged checkpoints that were passed over."""

    def __init__(self, path: Path | str, *, say: Callable[[str], None] = lambda text: None) -> None:
        self.path = Path(path)
        self._say = say
        if not (self.path / SEAL).is_file():
            rule = f"{self.path}: this is no run folder ({SEAL} is missing)"
            raise RunError(rule, help="name a folder that `attncli train` has written, such as runs/<name>")

    def run(self) -> Run:
        """The spec with every default."""
        return load_spec(self.path / SEAL).run

    def codec(self) -> Codec:
        """The vocabularies and labels that the run was trained with."""
        return Codec.load(self.run(), self.path)

    def checkpoints(self) -> list[Checkpoint]:
        """Every checkpoint by its step, sound or not."""
        return list_checkpoints(self.path / CHECKPOINTS)

    def checkpoint(self, which: Which) -> Checkpoint:
        """One sound checkpoint. `best` is the last one where nothing has been evaluated yet."""
        if which == "last":
            return self._last()
        if which == "best":
            target = self.path / BEST
            if not target.exists():
                return self._last()
            found = Checkpoint(target.resolve(), int(target.resolve().name[5:]))
        else:
            found = self._at(which)
        fault = found.fault()
        if fault is not None:
            raise RunError(f"{found.path}: {fault}", help="--checkpoint last takes the newest sound one")
        return found

    def model(self, checkpoint: Which = "best", device: str | torch.device = "cpu") -> Model:
        """The model with the weights of a checkpoint, or with their mean over the last ones (`average`); in eval mode.

        Adapters of train.lora are merged. With train.ema these are the running means, which is what validation scored.
        """
        run = self.run()
        if checkpoint == "average":
            averaged = self._averaged(run)
            place, tensors = f"the mean of {len(averaged)} checkpoints", mean_of(averaged)
        else:
            found = self.checkpoint(checkpoint)
            place, tensors = str(found.path), found.served()
        with torch.random.fork_rng():  # the first weights are drawn and overwritten; the caller's numbers stay
            model = build_model(run, Codec.load(run, self.path).sizes, device)
        load_weights(model, tensors, place=place)
        merge(model)
        return model.eval()

    def _last(self) -> Checkpoint:
        found = newest_sound(self.path / CHECKPOINTS, self._say)
        if found is None:
            raise self._none()
        return found

    def _none(self) -> RunError:
        some = "every checkpoint is damaged" if self.checkpoints() else "there is no checkpoint yet"
        return RunError(f"{self.path}: {some}", help="`attncli train SPEC --resume` starts or continues the run")

    def _at(self, which: Which) -> Checkpoint:
        there = {checkpoint.step: checkpoint for checkpoint in self.checkpoints()}
        step = int(which) if str(which).isdecimal() else -1
        if step not in there:
            named = ", ".join(str(step) for step in there) or "none"
            rule = f"{self.path}: there is no checkpoint '{which}' (steps there: {named})"
            raise RunError(rule, help="best, last, average, or one of these steps")
        return there[step]

    def _averaged(self, run: Run) -> list[Checkpoint]:
        sound = [checkpoint for checkpoint in self.checkpoints() if checkpoint.fault() is None]
        if not sound:
            raise self._none()
        wanted = run.evaluate.average or len(sound)
        if len(sound) < wanted:
            rule = f"{self.path}: {wanted} checkpoints are to be averaged, {len(sound)} are there"
            raise RunError(rule, help="train on, or use --checkpoint last")
        return sound[-wanted:]
