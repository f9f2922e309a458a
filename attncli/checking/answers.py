"""The law of the oracle: each attention gives what its equation gives in plain Python floats, and so do its gradients.

The reference (attncli/reference) computes one row at a time, in loops over heads, queries and keys, and imports nothing
of attncli.nn. Gradients are held along one drawn direction of all weights and inputs of an attention at once, by
differences of the reference.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from attncli.checking.heard import Call, Read, by_module, listening, outermost, seen_in, sides
from attncli.checking.measure import TOLERANCE, Measure, apart
from attncli.checking.oracle import outputs, values_of
from attncli.checking.subject import Subject
from attncli.nn.attention import Attention
from attncli.nn.second import TwiceProjected
from attncli.spec.seeds import mix

ROWS = (0, 2)
"""Of the subject: a longer and a shorter one, so that there is padding."""
STEPS = (1e-5, 1e-6, 1e-4)
"""Of the differences, along a direction of length 1. The first serves; a row of weights that changes its support within
a step has no derivative there, so the others are tried where the first is off. A wrong gradient is wrong by all."""

Along = Mapping[int, Tensor]
"""A direction for each weight and input, by identity."""


def answers(subject: Subject) -> Iterator[Measure]:
    """Hold every attention of the model to the reference, forward and gradient."""
    with listening(subject.model) as calls, torch.enable_grad():
        subject.model(subject.batch(*ROWS))
    heard = by_module(calls)
    for address, module in outermost(subject.model).items():
        if module not in heard:
            yield Measure(float("inf"), f"{address}: it was never asked")
            continue
        yield from _forward(address, heard[module])
        if module.normalizer.exact:
            yield _gradient(address, heard[module], seed=mix(subject.seed, address))


def _forward(address: str, calls: Sequence[Call]) -> Iterator[Measure]:
    for row in range(len(ROWS)):
        for made, told in _pairs(calls, row, told_row(calls, row)):
            yield Measure(apart(made.detach(), told), f"{address}, row {ROWS[row]}: it is not what the oracle gives")


def _pairs(calls: Sequence[Call], row: int, told: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """What was given, and what is told, of each call that has a token of the row."""
    real = [call for call in calls if sides(call.view, row)[0].places]
    for call, one in zip(real, told, strict=True):
        yield call.output[row, sides(call.view, row)[0].places], one


def _gradient(address: str, calls: Sequence[Call], *, seed: int) -> Measure:
    leaves = _leaves(calls)
    draw = torch.Generator().manual_seed(seed)
    along = {id(leaf): torch.randn(leaf.shape, generator=draw, dtype=leaf.dtype) for leaf in leaves}
    for states in (each for call in calls for each in (call.x, *(read.memory for read in call.read.all()))):
        along[id(states)] = _alike(states, along[id(states)])
    size = sum(float(each.square().sum()) for each in along.values()) ** 0.5
    along = {name: each / size for name, each in along.items()}
    weighs = [torch.randn(call.output.shape, generator=draw, dtype=torch.float64) for call in calls]

    def total(by: float) -> float:
        """The sum of the weighed outputs, as the reference tells them a step away."""
        moved = _moved(calls, along, by)
        found = 0.0
        for row in range(len(ROWS)):
            real = [(call, weigh) for call, weigh in zip(calls, weighs, strict=True) if sides(call.view, row)[0].places]
            for (call, weigh), told in zip(real, told_row(moved, row), strict=True):
                found += float((weigh[row, sides(call.view, row)[0].places] * told).sum())
        return found

    made = torch.zeros((), dtype=torch.float64)
    for call, weigh in zip(calls, weighs, strict=True):
        real = torch.zeros_like(weigh)
        for row in range(len(ROWS)):
            real[row, sides(call.view, row)[0].places] = 1.0
        made = made + (call.output * weigh * real).sum()
    slopes = torch.autograd.grad(made, leaves, allow_unused=True, retain_graph=True)
    slope = sum(
        float((one * along[id(leaf)]).sum()) for one, leaf in zip(slopes, leaves, strict=True) if one is not None
    )
    best = float("inf")
    for step in STEPS:
        ahead, behind = total(step), total(-step)
        told = (ahead - behind) / (2 * step)
        best = min(best, abs(slope - told) / max(1.0, abs(told), abs(ahead)))
        if best <= TOLERANCE:
            break
    return Measure(best, f"{address}: its gradient is not the slope of what the oracle gives")


def _alike(states: Tensor, along: Tensor) -> Tensor:
    """The direction with which places of equal states (b n d) move alike: keys that tie for a choice, which keeps them
    all, have no derivative along one that parts them.
    """
    first: dict[tuple[float, ...], int] = {}
    places = [tuple(round(one, 12) for one in state) for state in states.detach().flatten(0, 1).tolist()]
    return along.flatten(0, 1)[[first.setdefault(state, at) for at, state in enumerate(places)]].view_as(along)


def _leaves(calls: Sequence[Call]) -> list[Tensor]:
    """The weights of the attentions, and the states that entered them."""
    found: dict[int, Tensor] = {}
    for call in calls:
        reads = list(call.read.all())
        for leaf in (call.x, *(read.memory for read in reads)):
            found[id(leaf)] = leaf
        for module in (call.module, *(read.module for read in reads)):
            found |= {id(parameter): parameter for parameter in module.parameters()}
    return list(found.values())


def _moved(calls: Sequence[Call], along: Along, by: float) -> list[Call]:
    """The calls as they would be a step away; what they gave stays."""
    modules: dict[int, Attention] = {}
    reads: dict[int, Read] = {}

    def module_of(module: Attention) -> Attention:
        if id(module) not in modules:
            modules[id(module)] = _shifted(module, along, by)
        return modules[id(module)]

    def read_of(read: Read) -> Read:
        if id(read) not in reads:
            first = None if read.first is None else read_of(read.first)
            memory = read.memory.detach() + by * along[id(read.memory)]
            reads[id(read)] = Read(module_of(read.module), memory, first)
        return reads[id(read)]

    return [
        Call(module_of(one.module), one.x.detach() + by * along[id(one.x)], read_of(one.read), one.view, one.output)
        for one in calls
    ]


def _shifted(module: Attention, along: Along, by: float) -> Attention:
    other = copy.deepcopy(module)
    with torch.no_grad():
        for own, parameter in zip(module.parameters(), other.parameters(), strict=True):
            parameter.add_(along[id(own)], alpha=by)
    return other


@torch.no_grad()
def told_row(calls: Sequence[Call], row: int) -> list[Tensor]:
    """What the reference gives of one row, call after call: a step-by-step attention reads the weights before."""
    told: list[Tensor] = []
    earlier: list[list[list[float]]] = []
    for call in calls:
        module, lender = call.module, call.read.module
        queries, keys = sides(call.view, row)
        if not queries.places:
            continue
        given: dict[str, Any] = {"x": call.x[row, queries.places], "memory": call.read.memory[row, keys.places]}
        found = outputs(
            module, **given, visible=seen_in(module.mask, queries, keys), lender=lender,
            values=_values(call.read, row, keys.places), at=queries.start, earlier=earlier,
        )  # fmt: skip
        if isinstance(module, TwiceProjected):
            assert isinstance(lender, TwiceProjected)
            assert call.read.first is None, "tell the oracle of second projections of mixed values"
            second = outputs(
                module, **given, visible=seen_in(module.second.mask, queries, keys), lender=lender.second,
                asking=module.second,
            )  # fmt: skip
            for q in range(len(queries.places)):
                if module.rows.allows(queries.start + q, 0):
                    found.output[q] = second.output[q]
        for q in range(len(queries.places)):
            earlier.append([head[q] for head in found.weighed])
        told.append(torch.tensor(found.output, dtype=torch.float64))
    return told


def _values(read: Read, row: int, places: list[int]) -> list[list[list[float]]] | None:
    """The values of a row where others are mixed in; None where the reference makes them itself."""
    if read.first is None:
        return None
    first = _values(read.first, row, places)
    memory = read.memory[row, places].tolist()
    before = read.first.memory[row, places].tolist()
    return values_of(read.module, memory, first or values_of(read.first.module, before, []))
