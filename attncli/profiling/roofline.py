"""What this machine can do at best: the speed of one large matrix product and of copying, measured in the same run.

A share of the peak is FLOPs / seconds / peak. The peak is the fastest of several products of several sizes in the
type of the run, with the threads of the run: what torch reaches here, not what a data sheet promises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from attncli.profiling.clock import read_clock

SIZES = (256, 512, 1024, 2048)
COPIED = 64 * 2**20
"""Bytes of the block that is copied: larger than caches, small enough to copy often."""


@dataclass(frozen=True)
class Peak:
    """Units: FLOPs (a multiply-add is two) and bytes (read and written) a second."""

    flops: float
    bytes: float
    size: int
    """Side of the matrices of the fastest product."""

    def best(self, other: "Peak") -> "Peak":
        """The better of two measurements of one machine: what disturbs them only ever slows them."""
        fastest = max(self, other, key=lambda peak: peak.flops)
        return Peak(fastest.flops, max(self.bytes, other.bytes), fastest.size)


def measure_peak(device: torch.device, dtype: torch.dtype, *, seconds: float = 1.0) -> Peak:
    """Measure for about `seconds`."""
    speeds = {size: _product(size, device, dtype, seconds / (len(SIZES) + 1)) for size in SIZES}
    size = max(speeds, key=lambda size: speeds[size])
    return Peak(speeds[size], _copy(device, seconds / (len(SIZES) + 1)), size)


def _product(size: int, device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty(size, size, device=device, dtype=dtype)
    return 2 * size**3 / _fastest(lambda: torch.mm(a, b, out=out), device, seconds)


def _copy(device: torch.device, seconds: float) -> float:
    source = torch.ones(COPIED // 4, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / _fastest(lambda: target.copy_(source), device, seconds)


def _fastest(call: Callable[[], Any], device: torch.device, seconds: float) -> float:
    """Seconds of the fastest call; at least three are made."""
    call()
    began = read_clock(device)
    fastest, calls = float("inf"), 0
    while calls < 3 or read_clock(device) - began < seconds:
        start = read_clock(device)
        call()
        fastest = min(fastest, read_clock(device) - start)
        calls += 1
    return fastest
