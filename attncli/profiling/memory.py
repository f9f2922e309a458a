"""The most memory that a piece of work holds, and what the tensors saved for backward take in each part.

Peak: on the CPU the allocator tells the profiler of every allocation and release, temporary buffers inside operations
included; their running sum is what is held, and its largest value the peak. The memory of the process would count
Python and every library with it. On a GPU the allocator keeps the peak itself. Units: bytes.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

from attncli.nn.model import Model
from attncli.profiling.spans import Outcome, spanned

Made = TypeVar("Made")


def peak_of(work: Callable[[], Made], device: torch.device) -> tuple[Made, int]:
    """What `work` returns, and the most bytes that it held at one time beyond what was held before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        made = work()
        return made, torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        made = work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return made, peak_of_events(events)


def peak_of_events(events: list[dict[str, Any]]) -> int:
    """The largest running sum of the bytes that the allocation events of a Chrome trace take and give back."""
    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=lambda each: each[0]):
        held += change
        peak = max(peak, held)
    return peak


def saved_by_part(model: Model, forward: Callable[[], Any]) -> dict[str, int]:
    """Bytes that each part keeps for its backward pass; a storage that several keep is the first one's.

    Parameters are not counted: they are kept anyway.
    """
    stack = [""]
    saved: dict[str, int] = defaultdict(int)
    seen = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            kept.append(tensor)  # so that no later tensor takes its place and its address
            saved[stack[-1]] += storage.nbytes()
        return tensor

    @contextmanager
    def span(address: str) -> Iterator[Outcome]:
        stack.append(address)
        try:
            yield Outcome()
        finally:
            stack.pop()

    with saved_tensors_hooks(pack, lambda tensor: tensor), spanned(model, span):
        forward()
    return dict(saved)


def bytes_of(tensors: Iterator[Tensor]) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
