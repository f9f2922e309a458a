"""What a profiled model computes: the lengths, and a batch of random ids in every stream that the task reads."""

import torch

from attncli.errors import InputError
from attncli.profiling.flops import Phase, Scene, predicted
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes
from attncli.spec.tasks import LanguageModel, MaskedLanguageModel, Pooled, Rewriting, Tagging
from attncli.spec.tokenizer import SPECIALS
from attncli.spec.training import SequenceBatch
from attncli.streams import IGNORE, Batch, Stream, stream, with_made_up_numbers

USUAL_LENGTH = 128
"""Tokens of a row where --length is not written and the model takes them."""


def scene_of(run: Run, *, batch: int | None, length: int | None, phase: Phase) -> Scene:
    """The lengths and rows to profile: what is written, else rows of 128 tokens and as many as a training step holds.

    Errors: InputError where a stack has fewer positions than the length, or where the task writes no tokens to decode.
    """
    lengths = {name: stack.max_length for name, stack in run.model.stacks.items()}
    if length is not None:
        short = min(lengths, key=lambda name: lengths[name])
        if length > lengths[short]:
            raise InputError(
                f"--length {length}: {short} has max_length {lengths[short]}",
                help=f"write at most {lengths[short]}, or -o model.{short}.max_length={length}",
            )
    if phase == "decode" and not isinstance(run.task, (Rewriting, LanguageModel)):
        raise InputError(
            f"--phase decode: the task {run.task.kind} writes no tokens", help="profile --phase forward or train"
        )
    lengths = {name: length or min(USUAL_LENGTH, longest) for name, longest in lengths.items()}
    return Scene(batch or _rows(run, lengths, phase), lengths, phase)


def _rows(run: Run, lengths: dict[str, int], phase: Phase) -> int:
    given = run.train.batch
    if phase == "decode":
        return 1
    if isinstance(given, SequenceBatch):
        return max(1, given.size // given.accumulate)
    return max(1, given.size // given.accumulate // sum(lengths.values()))


def batch_of(run: Run, sizes: Sizes, scene: Scene, *, seed: int = 0) -> Batch:
    """Random ids, full rows: every place holds a token. Labels as the task has them."""
    generator = torch.Generator().manual_seed(seed)
    batch: Batch = {}
    for name, stack in run.model.stacks.items():
        field = stack.input.field
        ids = _ids(scene.batch, scene.lengths[name], sizes.vocabularies[field], generator)
        batch[field] = with_made_up_numbers(ids, run.read_by_masks)
    batch["labels"] = _labels(run, sizes, scene, generator)
    batch |= {other.kind: _ids(scene.batch, 1, 2, generator) for other in run.beside}
    return batch


def _ids(rows: int, length: int, ids: int, generator: torch.Generator) -> Stream:
    least = min(len(SPECIALS), ids - 1)
    values = torch.randint(least, ids, (rows, length), generator=generator)
    return stream([list(map(int, row)) for row in values.tolist()], pad=0)


def _labels(run: Run, sizes: Sizes, scene: Scene, generator: torch.Generator) -> Stream:
    task, rows, length = run.task, scene.batch, scene.lengths[run.task.stack]
    if isinstance(task, Pooled):
        return _ids(rows, 1, sizes.labels or 2, generator)
    if isinstance(task, Tagging):
        return _ids(rows, length, sizes.labels or 2, generator)
    labels = _ids(rows, length, sizes.vocabularies[run.model.stacks[task.stack].input.field], generator)
    if isinstance(task, MaskedLanguageModel):
        hidden = torch.randperm(rows * length, generator=generator)[predicted(run, rows * length) :]
        labels.values.view(-1)[hidden] = IGNORE
    return labels
