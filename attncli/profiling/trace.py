"""A timeline of one step for a viewer of Chrome traces, such as Perfetto; each part's slices bear its address."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from attncli.nn.model import Model
from attncli.profiling.spans import Outcome, spanned


def write_trace(model: Model, step: Callable[[Callable[[], None]], Any], path: Path, device: torch.device) -> None:
    """Run one step under torch's profiler and write what it saw as JSON."""

    @contextmanager
    def span(address: str) -> Iterator[Outcome]:
        with record_function(address):
            yield Outcome()

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities, record_shapes=True) as profiler, spanned(model, span):
        step(lambda: None)
    path.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(path))
