"""The profile of a model: what it costs by count, and what it costs on this machine by measurement."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncli.nn.cache import Cache
from attncli.nn.kernels.plan import Size
from attncli.nn.model import Model, build_model
from attncli.profiling.calls import calls_of
from attncli.profiling.clock import PartTimes, Spread, measure, spread_of, time_parts
from attncli.profiling.count import Part, parts_of
from attncli.profiling.flops import Scene, Work, work_of
from attncli.profiling.memory import bytes_of, peak_of, saved_by_part
from attncli.profiling.roofline import Peak, measure_peak
from attncli.profiling.synthetic import batch_of
from attncli.profiling.trace import write_trace
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes
from attncli.streams import Batch, Stream

Optimizer = Callable[[Model], torch.optim.Optimizer]


@dataclass(frozen=True)
class Setting:
    """Where and how it is computed."""

    device: torch.device
    low_precision: torch.dtype | None
    """The type of autocast; None is float32 throughout."""
    optimizer: Optimizer
    seconds: float = 3.0
    """About how long each of the measurements takes."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of the matrix products."""
        return self.low_precision or torch.float32

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which the model runs."""
        if self.low_precision is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.low_precision)


@dataclass(frozen=True)
class Memory:
    """Bytes. `saved` is what is kept for backward; `cache` what decoding keeps of the past."""

    parameters: int
    gradients: int
    optimizer: int
    saved: int
    cache: int
    peak: int


@dataclass(frozen=True)
class Measured:
    """What this machine said."""

    seconds: Spread
    parts: dict[str, PartTimes]
    memory: Memory
    saved: dict[str, int]
    peak: Peak
    threads: int


@dataclass
class Profile:
    """All of it, part by part in the order of the forward pass."""

    run: Run
    scene: Scene
    dtype: str
    device: str
    parts: list[Part]
    work: dict[str, Work]
    attentions: list[dict[str, Any]]
    measured: Measured | None = None

    @property
    def tokens(self) -> int:
        """Tokens of the stack that the head reads, in one step."""
        rows = self.scene.batch
        return rows if self.scene.phase == "decode" else rows * self.scene.lengths[self.run.task.stack]

    @property
    def visible(self) -> int:
        """FLOPs of one step by visible pairs."""
        return sum(work.visible for work in self.work.values())

    @property
    def dense(self) -> int:
        """FLOPs of one step with every pair counted."""
        return sum(work.dense for work in self.work.values())

    @property
    def share_of_peak(self) -> float | None:
        """FLOPs by visible pairs, by the second, by the fastest matrix product of the machine."""
        if self.measured is None:
            return None
        return self.visible / self.measured.seconds.median / self.measured.peak.flops


def count(run: Run, sizes: Sizes, scene: Scene, setting: Setting) -> Profile:
    """The profile without measurements: the model is built on the meta device."""
    model = build_model(run, sizes, "meta")
    dtype = str(setting.dtype).removeprefix("torch.")
    training = scene.phase == "train"
    return Profile(
        run, scene, dtype, setting.device.type, parts_of(model),
        {work.address: work for work in work_of(run, sizes, scene)},
        kernels_of(model, device=setting.device.type, dtype=dtype, training=training, calls=calls_of(run, scene)),
    )  # fmt: skip


def kernels_of(
    model: Model, *, device: str, dtype: str, training: bool, calls: Mapping[str, Size]
) -> list[dict[str, Any]]:
    """Heads, mask and kernel of every attention, with the reasons for the kernel in calls of the size named, if any."""
    rows = []
    for address, attention in model.attentions().items():
        choice = attention.plan(device=device, dtype=dtype, training=training, size=calls.get(address))
        traits = attention.traits
        rows.append({
            "address": address, "heads": traits.heads, "kv_heads": traits.kv_heads, "d_head": traits.d_head,
            "d_value": traits.d_value, "mask": traits.mask, "kernel": choice.kernel, "why": list(choice.reasons),
        })  # fmt: skip
    return rows


def profile(run: Run, sizes: Sizes, scene: Scene, setting: Setting, *, trace: Path | None = None) -> Profile:
    """Count, then build the model with fresh weights and measure it; `trace` receives a timeline of one step."""
    profile = count(run, sizes, scene, setting)
    peak = measure_peak(setting.device, setting.dtype, seconds=setting.seconds / 3)
    begin = {"train": _training, "forward": _forward, "decode": _decoding}[scene.phase]
    bench, most = peak_of(lambda: begin(run, sizes, scene, setting), setting.device)
    seconds = measure(lambda: bench.step(lambda: None), setting.device, seconds=setting.seconds)
    parts = time_parts(bench.model, bench.step, setting.device, seconds=setting.seconds)
    saved = saved_by_part(bench.model, bench.forward) if scene.phase == "train" else {}
    peak = peak.best(measure_peak(setting.device, setting.dtype, seconds=setting.seconds / 3))
    memory = Memory(
        bytes_of(bench.model.parameters()), bench.gradients, bench.states, sum(saved.values()), bench.cache, most
    )
    if trace is not None:
        write_trace(bench.model, bench.step, trace, setting.device)
    profile.measured = Measured(spread_of(seconds), parts, memory, saved, peak, torch.get_num_threads())
    return profile


@dataclass
class Bench:
    """A model set up for repeated steps. `step` is given what to call when its backward pass ends."""

    model: Model
    step: Callable[[Callable[[], None]], Any]
    forward: Callable[[], Any]
    gradients: int = 0
    states: int = 0
    cache: int = 0


def _built(run: Run, sizes: Sizes, scene: Scene, setting: Setting) -> tuple[Model, Batch]:
    model = build_model(run, sizes, setting.device)
    return model, {name: stream.to(setting.device) for name, stream in batch_of(run, sizes, scene).items()}


def _training(run: Run, sizes: Sizes, scene: Scene, setting: Setting) -> Bench:
    """Two whole steps are made, so that gradients, the optimizer's states and saved tensors are held together."""
    model, batch = _built(run, sizes, scene, setting)
    model.train()
    optimizer = setting.optimizer(model)

    def forward() -> Tensor:
        with setting.autocast():
            losses = model.losses(batch)
        return losses.loss / losses.count

    def step(backward_done: Callable[[], None]) -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(forward())
        backward_done()
        if run.train.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), run.train.clip)
        optimizer.step()

    bench = Bench(model, step, forward)
    for _ in range(2):
        step(lambda: None)
    bench.gradients = bytes_of(p.grad for p in model.parameters() if p.grad is not None)
    bench.states = bytes_of(
        value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)
    )
    return bench


def _forward(run: Run, sizes: Sizes, scene: Scene, setting: Setting) -> Bench:
    model, batch = _built(run, sizes, scene, setting)
    model.eval()

    @torch.no_grad()
    def forward() -> Tensor:
        with setting.autocast():
            logits: Tensor = model(batch)
            return logits

    forward()
    return Bench(model, lambda _: forward(), forward)


@torch.no_grad()
def _decoding(run: Run, sizes: Sizes, scene: Scene, setting: Setting) -> Bench:
    """A cache that holds all tokens but the last; each step writes that one and takes it back."""
    model, batch = _built(run, sizes, scene, setting)
    model.eval()
    tokens = batch[run.model.stacks[run.task.stack].input.field]
    length = scene.lengths[run.task.stack]

    @torch.no_grad()
    def forward() -> Tensor:
        with setting.autocast():
            logits = model.step(cache.next(tokens.values[:, -1:]), cache)
        cache.crop(length - 1)
        return logits

    with setting.autocast():
        cache: Cache = model.start(batch, capacity=length)
        if length > 1:
            model.step(_first(tokens, length - 1), cache)
    forward()
    return Bench(model, lambda _: forward(), forward, cache=cache.bytes)


def _first(tokens: Stream, length: int) -> Stream:
    return replace(
        tokens, values=tokens.values[:, :length], positions=tokens.positions[:, :length],
        documents=tokens.documents[:, :length], lengths=tokens.lengths.clamp(max=length),
    )  # fmt: skip
