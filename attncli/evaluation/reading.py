"""From rows of text to batches on the model's device, each batch of rows of similar length."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from attncli.data.codec import Codec, Example, Fault
from attncli.data.rows import Row, Rows
from attncli.errors import DataError
from attncli.nn.model import Model
from attncli.nn.outputs import Losses
from attncli.spec.run import Run
from attncli.streams import Batch

WINDOW = 4096
"""Rows that are held and sorted by length at a time."""
PLACES = 4096
"""Places of a batch, padding included."""


class Read(NamedTuple):
    """One row, as text and as ids."""

    row: Row
    example: Example


@dataclass
class Sums:
    """The sums over all predicted places, from which perplexity and accuracy follow."""

    nll: float = 0.0
    count: int = 0
    correct: int = 0

    def add(self, losses: Losses) -> None:
        """Join the sums of one batch."""
        self.nll += float(losses.nll)
        self.count += int(losses.count)
        self.correct += int(losses.correct)


@dataclass
class Scoring:
    """What scoring a task needs: the model, the rows, and which metrics are asked for."""

    model: Model
    codec: Codec
    run: Run
    rows: Rows
    limit: int
    metrics: tuple[str, ...]
    progress: Callable[[int, int], None]
    """Told how many rows of how many are done."""
    sums: Sums = field(default_factory=Sums)
    skipped: int = 0

    def wants(self, *metrics: str) -> bool:
        """Whether one of these is asked for."""
        return any(metric in self.metrics for metric in metrics)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def move(self, batch: Batch) -> Batch:
        """The batch on the model's device."""
        return {name: stream.to(self.device) for name, stream in batch.items()}

    def windows(self) -> Iterator[list[Read]]:
        """The rows, some thousands at a time. A row that cannot be used is left out where the spec says so.

        Raises:
            DataError: the row's place, and what is wrong with it.
        """
        for start in range(0, self.limit, WINDOW):
            rows = [self.rows[index] for index in range(start, min(start + WINDOW, self.limit))]
            found: list[Read] = []
            for index, (row, example) in enumerate(zip(rows, self.codec.encode_many(rows), strict=True), start):
                if isinstance(example, Fault):
                    self._leave_out(example, index)
                else:
                    found.append(Read(row, example))
            yield found
            self.progress(start + len(rows), self.limit)

    def _leave_out(self, fault: Fault, index: int) -> None:
        data = self.run.data
        if data is None or (data.on_long if fault.long else data.on_bad_row) != "skip":
            raise DataError(f"{self.rows.place(index)}: {fault.rule}", help=fault.help)
        self.skipped += 1

    def counts(self, **more: int) -> dict[str, int]:
        """How many rows were scored, what else was counted, and how many rows were left out."""
        found = {"rows": self.limit - self.skipped, **more}
        return found | {"skipped": self.skipped} if self.skipped else found


def by_length(lengths: Sequence[int], places: int = PLACES) -> list[list[int]]:
    """Indices in groups of similar length, each of at most `places` places when padded (or of one row)."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if not groups or (len(groups[-1]) + 1) * lengths[groups[-1][0]] > places:
            groups.append([])
        groups[-1].append(index)
    return groups
