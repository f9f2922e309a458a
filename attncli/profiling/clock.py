"""How long each part takes, forward and backward, without a profiler that would slow small operations down.

Forward, the clock is read when a part is entered and left; what its inner parts take is theirs. Backward, the nodes of
the graph that a part made in forward are its own, and the clock is read where the engine goes from one part's nodes to
another's. Units: seconds. On a GPU every reading waits for the device, so parts do not overlap there.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import Node

from attncli.nn.model import Model
from attncli.nn.outputs import Losses
from attncli.profiling.spans import Outcome, spanned

OUTSIDE = ""
"""The address of what belongs to no part: the optimizer, and what a stack does between its layers."""


class Spread(NamedTuple):
    """The middle and the ends of repeated measurements."""

    median: float
    least: float
    most: float


def spread_of(times: Sequence[float]) -> Spread:
    """The middle and the ends."""
    return Spread(median(times), min(times), max(times))


def read_clock(device: torch.device) -> float:
    """Now, when all work given to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def measure(
    call: Callable[[], Any], device: torch.device, *, seconds: float, least: int = 5, most: int = 200
) -> list[float]:
    """The times of repeated calls after two that warm up: for about `seconds`, at least `least` of them."""
    for _ in range(2):
        call()
    times: list[float] = []
    began = read_clock(device)
    while len(times) < least or (len(times) < most and time.perf_counter() - began < seconds):
        start = read_clock(device)
        call()
        times.append(read_clock(device) - start)
    return times


class PartTimes(NamedTuple):
    """Seconds of one part in one call."""

    forward: float
    backward: float


class Stopwatch:
    """Adds up the time of each address; one address runs at a time."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self.address = OUTSIDE
        self.since = 0.0

    def turn(self, address: str) -> str:
        """From now on the time is that of `address`; returns whose it was."""
        before = self.address
        if address != before or not self.since:
            now = read_clock(self.device)
            if self.since:
                self.seconds[before] += now - self.since
            self.address, self.since = address, now
        return before

    def stop(self) -> None:
        """The time after this is nobody's."""
        if self.since:
            self.seconds[self.address] += read_clock(self.device) - self.since
        self.address, self.since = OUTSIDE, 0.0


class _Recorder:
    """Turns two stopwatches: one while parts run forward, one while the nodes that they made run backward."""

    def __init__(self, device: torch.device) -> None:
        self.forward = Stopwatch(device)
        self.backward = Stopwatch(device)
        self.owned: set[Node] = set()
        self.own = 0.0  # seconds of finding who made what, which no step has

    @contextmanager
    def span(self, address: str) -> Iterator[Outcome]:
        outcome = Outcome()
        before = self.forward.turn(address)
        try:
            yield outcome
        finally:
            self.forward.turn(address)
            if torch.is_grad_enabled():
                self.forward.stop()
                began = time.perf_counter()
                self._own(outcome.result, address)
                self.own += time.perf_counter() - began
            self.forward.turn(before)

    def _own(self, made: Any, address: str) -> None:
        """Nodes behind these results that no inner or earlier part has made are the work of this one."""
        waiting = [tensor.grad_fn for tensor in _tensors(made) if tensor.grad_fn is not None]
        while waiting:
            node = waiting.pop()
            if node in self.owned:
                continue
            self.owned.add(node)
            node.register_prehook(lambda _, address=address: self._turn_backward(address))
            waiting += [following for following, _ in node.next_functions if following is not None]

    def _turn_backward(self, address: str) -> None:
        self.forward.stop()
        self.backward.turn(address)

    def finish(self) -> None:
        """The engine has run all nodes; what follows (the optimizer) is nobody's."""
        self.backward.stop()


def _tensors(made: Any) -> Iterator[Tensor]:
    if isinstance(made, Tensor):
        yield made
    elif isinstance(made, Losses):
        yield made.loss
    elif isinstance(made, (tuple, list)):
        for each in made:
            yield from _tensors(each)


def time_parts(
    model: Model, call: Callable[[Callable[[], None]], Any], device: torch.device, *, seconds: float, least: int = 5
) -> dict[str, PartTimes]:
    """Median seconds of each part over repeated calls, and of what is OUTSIDE them all.

    `call` is given what to call when its backward pass ends.
    """
    rounds: list[_Recorder] = []
    began = time.perf_counter()
    while len(rounds) < least + 1 or (len(rounds) < 50 and time.perf_counter() - began < seconds):
        rounds.append(_one_round(model, call, device))
    rounds = rounds[1:]  # the first warms up
    addresses = {address for one in rounds for address in (*one.forward.seconds, *one.backward.seconds)}
    return {
        address: PartTimes(
            median(one.forward.seconds.get(address, 0.0) for one in rounds),
            median(one.backward.seconds.get(address, 0.0) for one in rounds),
        )
        for address in addresses
    }


def _one_round(model: Model, call: Callable[[Callable[[], None]], Any], device: torch.device) -> _Recorder:
    recorder = _Recorder(device)
    start = read_clock(device)
    with spanned(model, recorder.span):
        call(recorder.finish)
    recorder.forward.stop()
    whole = read_clock(device) - start
    recorder.owned.clear()
    recorder.forward.seconds.pop(OUTSIDE, None)
    recorder.backward.seconds.pop(OUTSIDE, None)
    inside = sum(recorder.forward.seconds.values()) + sum(recorder.backward.seconds.values())
    recorder.forward.seconds[OUTSIDE] = max(0.0, whole - inside - recorder.own)
    return recorder
