"""A run without some of its heads: a smaller model that gives what the masked one gives, shown before it is written.

Voita et al. 2019, arXiv:1905.09418 and Michel et al. 2019, arXiv:1905.10650 mask heads; here their weights leave.
"""

import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncli.analysis.heads import Heads
from attncli.analysis.masking import headed, scaled
from attncli.analysis.slicing import Origin, origins, sliced
from attncli.analysis.smaller import without
from attncli.data.codec import Codec
from attncli.errors import CheckError
from attncli.nn.model import Model, build_model
from attncli.profiling.flops import Scene, work_of
from attncli.profiling.synthetic import batch_of, scene_of
from attncli.spec.resolved import yaml_of
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes
from attncli.streams import Batch
from attncli.training.checkpoint import Checkpoint, write_checkpoint
from attncli.training.claim import ENVIRONMENT, PLAN, SEAL, SPEC, claim
from attncli.training.durable import point, write_durably
from attncli.training.folder import RunFolder
from attncli.training.keeper import CHECKPOINTS, LAST
from attncli.training.records import plan_of, write_record
from attncli.training.states import load_weights, weights

TOLERANCE = 1e-9
"""Largest difference of logits, relative to the largest of them (at least 1), in float64."""
ROWS, LENGTH = 3, 17
RECORD = "pruned.json"
SECONDS = 1.0


@dataclass(frozen=True)
class Cost:
    """What a model costs."""

    heads: int
    parameters: int
    flops: int
    """Of one forward pass over `tokens`, by the pairs that masks show."""
    seconds: float
    """The median of such passes, both models in turn."""


@dataclass(frozen=True)
class Pruned:
    """What was left out, and what that changed."""

    heads: Heads
    error: float
    """max |logits of the smaller model - those of the masked one|, in float64, on random tokens."""
    before: Cost
    after: Cost
    faster: float
    """The median over passes in turn of seconds before / seconds after."""
    rows: int
    lengths: dict[str, int]

    def json(self) -> dict[str, Any]:
        """All of it, in the words of the field."""
        return {**asdict(self), "heads": {address: list(heads) for address, heads in self.heads.items()}}


class _Given:
    """A state as it is."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self.entries = entries

    def state_dict(self) -> dict[str, Any]:
        return self.entries

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.entries = state


def prune(folder: RunFolder, gone: Heads, out: Path, *, checkpoint: str = "best", force: bool = False) -> Pruned:
    """Write the run without these heads into a folder of its own.

    Raises:
        InputError: heads without which no smaller model is the masked one, each with its reason.
        CheckError: the smaller model was made and is not the masked one; nothing is written.
        RunError: the folder is taken.
    """
    run, codec = folder.run(), folder.codec()
    old = folder.model(checkpoint)
    smaller, new, found = reduced(run, codec.sizes, old, gone)
    error = _proved(run, codec, old, new, gone)
    made = _measured(run, smaller, codec, old, new, gone, error)
    with claim(out, resume=False, force=force, flag="--out RUN2"):
        _write(folder, out, smaller, found, new, checkpoint)
        write_record(out, RECORD, {"from": str(folder.path.resolve()), "checkpoint": checkpoint, **made.json()})
        write_durably(out / SEAL, yaml_of(smaller).encode())
    return made


def reduced(run: Run, sizes: Sizes, old: Model, gone: Heads) -> tuple[Run, Model, dict[str, Origin]]:
    """The spec and the model without these heads, and where its weights come from. Errors: as of `prune`."""
    smaller, kept = without(run, gone)
    with torch.random.fork_rng(devices=[]):
        new = build_model(smaller, sizes).to(next(old.parameters()).dtype)
    found = origins(old, new, kept)
    load_weights(new, sliced(weights(old), found), place="the smaller model")
    return smaller, new.eval(), found


def masked(model: Model, gone: Heads) -> dict[str, Tensor]:
    """The factors that leave these heads out."""
    attentions = headed(model)
    return {
        address: torch.tensor([float(head not in heads) for head in range(attentions[address].heads)])
        for address, heads in gone.items()
    }


@torch.no_grad()
def _proved(run: Run, codec: Codec, old: Model, new: Model, gone: Heads) -> float:
    lengths = {name: min(LENGTH, stack.max_length) for name, stack in run.model.stacks.items()}
    batch = batch_of(run, codec.sizes, Scene(ROWS, lengths))
    try:
        with scaled(old.double(), masked(old, gone)):
            wanted = old(batch)
        error = float((new.double()(batch) - wanted).abs().max())
    finally:
        old.float(), new.float()
    if not error <= TOLERANCE * max(1.0, float(wanted.abs().max())):
        rule = f"the smaller model is not the masked one: logits differ by {error:.1e}"
        raise CheckError(rule, help="nothing was written; please report this spec")
    return error


def _measured(run: Run, smaller: Run, codec: Codec, old: Model, new: Model, gone: Heads, error: float) -> Pruned:
    scene = scene_of(run, batch=None, length=None, phase="forward")
    batch = batch_of(run, codec.sizes, scene)
    times = _in_turn(old, new, batch)
    costs = [
        Cost(
            sum(attention.heads for attention in headed(model).values()),
            sum(tensor.numel() for tensor in weights(model).values()),
            sum(work.visible for work in work_of(spec, codec.sizes, scene)),
            statistics.median(column),
        )
        for spec, model, column in zip((run, smaller), (old, new), zip(*times, strict=True), strict=True)
    ]
    faster = statistics.median(before / after for before, after in times)
    return Pruned(gone, error, costs[0], costs[1], faster, scene.batch, scene.lengths)


@torch.inference_mode()
def _in_turn(old: Model, new: Model, batch: Batch) -> list[tuple[float, float]]:
    """Seconds of passes of both, one after the other: what else the machine does falls on both."""

    def timed(model: Model) -> float:
        start = time.perf_counter()
        model(batch)
        return time.perf_counter() - start

    timed(old), timed(new)
    began = time.perf_counter()
    times: list[tuple[float, float]] = []
    while len(times) < 5 or (len(times) < 50 and time.perf_counter() - began < SECONDS):
        times.append((timed(old), timed(new)))
    return times


def _write(folder: RunFolder, out: Path, smaller: Run, found: dict[str, Origin], new: Model, checkpoint: str) -> None:
    """All but the seal: a folder that is torn is no run."""
    write_durably(out / SPEC, yaml_of(smaller).encode())
    Codec(smaller, folder.codec().vocabularies, folder.codec().labels).save(out)
    write_record(out, PLAN, plan_of(new, device="cpu", dtype="float32"))
    if (folder.path / ENVIRONMENT).exists():
        write_durably(out / ENVIRONMENT, (folder.path / ENVIRONMENT).read_bytes())
    (out / CHECKPOINTS).mkdir(exist_ok=True)
    source = None if checkpoint == "average" else folder.checkpoint(checkpoint)
    states = {"model": _Given(dict(weights(new)))} if source is None else _states(source, found)
    written = write_checkpoint(out / CHECKPOINTS, 0 if source is None else source.step, states)
    point(out / LAST, written.path)


def _states(source: Checkpoint, found: dict[str, Origin]) -> dict[str, _Given]:
    """Every state of a checkpoint for the smaller model, so that it can be trained on; its journals begin anew."""
    states = {}
    for name, values in source.values().items():
        entries: dict[str, Any] = {**source.tensors(name), **values}
        if name in ("model", "optimizer", "ema"):
            entries = sliced(entries, found)
        if name == "progress":
            entries |= {"best": [], "record": None, "stale": 0, "metrics_bytes": 0, "timings_bytes": 0}
        states[name] = _Given(entries)
    return states
