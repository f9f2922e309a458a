"""The machine's own speed: plausible, and monotonic in what is measured."""

import torch

from attncli.profiling import roofline
from attncli.profiling.roofline import Peak, measure_peak


def test_peak_of_this_machine(monkeypatch):
    monkeypatch.setattr(roofline, "SIZES", (64, 256))
    peak = measure_peak(torch.device("cpu"), torch.float32, seconds=0.1)
    assert peak.size in (64, 256)
    assert 1e8 < peak.flops < 1e16
    assert 1e8 < peak.bytes < 1e14


def test_the_better_of_two_measurements():
    slow, fast = Peak(1.0, 9.0, 256), Peak(2.0, 8.0, 512)
    assert slow.best(fast) == fast.best(slow) == Peak(2.0, 9.0, 512)
