"""Any attention whose rows are made one by one, some queries at a time: O(block x L) memory, made again backward.

    mixture[rows] = make(query[rows], keys that these rows may see);  backward: the same rows once more, with a graph

`make` is the reference for some rows, so this serves every score, every normalizer whose rows stand alone, a bias with
a gradient, and dropout: what a block draws is drawn from a seed of its own, so both passes draw the same. What it
solves for, the threshold of each row, is `noted`. Rabe & Staats 2021, arXiv:2112.05682, and Chen et al. 2016,
arXiv:1604.06174, section 4 (recomputation).

Shapes: tensors along places (b · n ·), cut at dimension 2.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attncli.nn.function import Function

FLOATS = 3 << 18
"""Weights that a block may have, as far as it has LEAST queries."""
LEAST = 16


class Rows(NamedTuple):
    """Some queries, and the keys that they may see; persistent keys not counted."""

    queries: slice
    keys: slice


Solve = Callable[[], Tensor]
Take = Callable[[Solve], Tensor]
_TAKE: ContextVar[Take] = ContextVar("_TAKE", default=lambda solve: solve())


def noted(solve: Solve) -> Tensor:
    """What `solve` finds, with no gradient of its own; a block that is made again backward is told what it found."""
    return _TAKE.get()(solve)


Make = Callable[[Rows, list[Tensor], list[Tensor]], Tensor]
"""Mixtures (b h · v) of some rows, from what of queries and of keys belongs to them."""


def blocks(queries: int, floats: int) -> Iterator[slice]:
    """Queries in blocks; each query has so many weights, over all rows and heads."""
    size = max(LEAST, FLOATS // max(1, floats))
    count = -(-queries // size)
    even = -(-queries // count) if count else 1
    for start in range(0, queries, even):
        yield slice(start, min(queries, start + even))


def attend(
    make: Make, parts: list[Rows], of_queries: list[Tensor], of_keys: list[Tensor], own: list[Tensor], *, draws: bool
) -> Tensor:
    """Mixtures (b h q v) of all rows; `own` are the parameters that `make` reads by itself."""
    plan = _Plan(make, parts, len(of_queries), len(of_keys), _state(of_queries[0].device.type), draws)
    mixed: Tensor = _Chunked.apply(plan, *of_queries, *of_keys, *own)
    return mixed


class _Plan(NamedTuple):
    make: Make
    parts: list[Rows]
    queries: int
    keys: int
    autocast: tuple[str, torch.dtype, bool]
    draws: bool


def _state(device: str) -> tuple[str, torch.dtype, bool]:
    return device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)


class _Chunked(Function):
    @staticmethod
    def forward(ctx: Any, plan: _Plan, *tensors: Tensor) -> Tensor | None:
        ctx.seed = int(torch.randint(1 << 62, ())) if plan.draws else None
        mixed: Tensor | None = None
        ctx.notes = []
        with torch.no_grad():
            for index, rows in enumerate(plan.parts):
                notes: list[Tensor] = []
                ctx.notes.append(notes)
                with _drawing(ctx.seed, index, tensors[0].device), _noting(_write(notes)):
                    made = plan.make(rows, *_cut(plan, rows, tensors))
                if mixed is None:  # at once, so that small tensors do not come to lie between large ones that are freed
                    mixed = made.new_empty(*made.shape[:2], tensors[0].shape[2], made.shape[3])
                mixed[:, :, rows.queries] = made
        ctx.plan = plan
        ctx.save_for_backward(*tensors)
        return mixed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        plan, tensors = ctx.plan, ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        # in float32 or wider, since many blocks add to one key
        wide = [torch.promote_types(x.dtype, torch.float32) for x in tensors]
        sums = [
            x.new_zeros(x.shape, dtype=kind) if needs else None
            for x, kind, needs in zip(tensors, wide, needed, strict=True)
        ]
        device, dtype, enabled = plan.autocast
        for index, rows in enumerate(plan.parts):
            parts = [_part(plan, rows, place, x) for place, x in enumerate(tensors)]
            cut = plan.queries + plan.keys
            inputs = [x.detach().requires_grad_(needs) for x, needs in zip(parts[:cut], needed, strict=False)]
            asked = [*inputs, *tensors[cut:]]
            with (
                torch.enable_grad(),
                torch.autocast(device, dtype=dtype, enabled=enabled),
                _drawing(ctx.seed, index, tensors[0].device),
                _noting(_read(ctx.notes[index])),
            ):
                mixed = plan.make(rows, inputs[: plan.queries], inputs[plan.queries :])
            wanted = [place for place, needs in enumerate(needed) if needs]
            found = torch.autograd.grad(
                mixed, [asked[place] for place in wanted], grads[0][:, :, rows.queries], allow_unused=True
            )
            for place, grad in zip(wanted, found, strict=True):
                total = sums[place]
                if grad is not None and total is not None:
                    _part(plan, rows, place, total).add_(grad)
        return None, *(None if total is None else total.to(x.dtype) for total, x in zip(sums, tensors, strict=True))


def _cut(plan: _Plan, rows: Rows, tensors: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
    parts = [_part(plan, rows, place, x) for place, x in enumerate(tensors[: plan.queries + plan.keys])]
    return parts[: plan.queries], parts[plan.queries :]


def _part(plan: _Plan, rows: Rows, place: int, x: Tensor) -> Tensor:
    """What of a tensor belongs to some rows, as a view; parameters belong to all."""
    if place < plan.queries:
        return x[:, :, rows.queries]
    return x[:, :, rows.keys] if place < plan.queries + plan.keys else x


@contextmanager
def _noting(take: Take) -> Iterator[None]:
    """Within, `noted` gives what `take` does."""
    before = _TAKE.set(take)
    try:
        yield
    finally:
        _TAKE.reset(before)


def _write(notes: list[Tensor]) -> Take:
    def take(solve: Solve) -> Tensor:
        notes.append(solve())
        return notes[-1]

    return take


def _read(notes: list[Tensor]) -> Take:
    left = iter(notes)
    return lambda _: next(left)


@contextmanager
def _drawing(seed: int | None, index: int, device: torch.device) -> Iterator[None]:
    """Draws as this block draws, and leaves every generator as it was."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        torch.manual_seed(seed + index)
        yield
