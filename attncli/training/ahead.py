"""The next batch, laid while a device computes this one.

A batch is a pure function of its place, so one that was laid ahead is the one that would be laid when it is due, and a
run that resumes misses nothing. On the CPU there is nobody to lay it: the step has every core.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from attncli.streams import Batch

Place = tuple[int, int]
"""(epoch, index)."""


class Ahead:
    """Batches by their places, on the device; the one that follows is begun at once, if the device is not the CPU."""

    def __init__(self, lay: Callable[[int, int], Batch], device: torch.device) -> None:
        self._lay, self._device = lay, device
        self._pool = ThreadPoolExecutor(1, "batches") if device.type != "cpu" else None
        self._begun: tuple[Place, Future[Batch]] | None = None

    def batch(self, place: Place, following: Place | None) -> Batch:
        """The batch of a place. An error of one that was laid ahead is raised where it is due."""
        begun, self._begun = self._begun, None
        batch = begun[1].result() if begun is not None and begun[0] == place else self._lay(*place)
        if self._pool is not None and following is not None:
            self._begun = following, self._pool.submit(self._lay, *following)
        return {name: stream.to(self._device) for name, stream in batch.items()}

    def close(self) -> None:
        """Lay no more."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
