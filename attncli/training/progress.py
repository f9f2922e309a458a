"""Where a run stands: the counters, what the last reports have not yet said, and the scores of its checkpoints."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from attncli.spec.training import Checkpoints, EarlyStopping

LOWER_IS_BETTER = frozenset({"loss", "perplexity", "bits_per_byte"})


@dataclass
class Progress:
    """A named state (attncli/training/states.py): plain numbers that no clock decides."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    index: int = 0
    """The next batch is `index` of `epoch`."""
    tokens: int = 0
    """Real target or text tokens seen."""
    rate: float = 0.0
    """Learning rate of the last step."""
    report_every: int = 0
    """Steps of a report; fixed when the run starts, so that a longer duration later does not shift the reports."""
    evaluations: int = 0
    """Stretches of evaluate.every that have been dealt with."""
    evaluated: int = 0
    """The step last evaluated."""
    start_loss: float | None = None
    """The first report's loss: what an explosion is measured against."""
    best: list[list[float]] = field(default_factory=list)
    """[score, step] of the best evaluations, best first."""
    record: float | None = None
    """The best score so far."""
    stale: int = 0
    """Evaluations since then."""
    metrics_bytes: int = 0
    timings_bytes: int = 0
    """Lengths of the two journals."""

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over all of it."""
        for entry in fields(self):
            setattr(self, entry.name, state[entry.name])

    def score(self, metric: str, value: float, keep: Checkpoints) -> bool:
        """Take in an evaluation of the current step; true if it is among the best that keep a checkpoint."""
        sign = 1 if metric in LOWER_IS_BETTER else -1
        if self.record is None or sign * value < sign * self.record:
            self.record, self.stale = value, 0
        else:
            self.stale += 1
        ranked = sorted([*self.best, [value, self.step]], key=lambda entry: sign * entry[0])  # stable: older wins a tie
        self.best = ranked[: keep.keep_best]
        return [value, self.step] in self.best

    def out_of_patience(self, early: EarlyStopping | None) -> bool:
        """Whether early stopping ends the run here."""
        return early is not None and self.stale >= early.patience

    @property
    def kept(self) -> set[int]:
        """The steps of the best checkpoints."""
        return {int(step) for _, step in self.best}


class Clock:
    """The seconds that the run has taken, over all its sessions. A named state of its own, since a clock decides it."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The seconds."""
        return {"elapsed": self.elapsed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the seconds."""
        self.elapsed = state["elapsed"]


COLUMNS = ("loss", "count", "correct", "norm")
"""What a step leaves for the report: sums over its predicted places, and the norm of its gradient."""


class Window:
    """The steps since the last report. They stay on the device, so that a step need not wait for it.

    A named state: a checkpoint in the middle of a report keeps the part that is done.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.rows = torch.zeros(size, len(COLUMNS), device=device)
        self.used = 0

    def record(self, *sums: Tensor) -> None:
        """Take in a step."""
        torch.stack(sums, out=self.rows[self.used])
        self.used += 1

    def values(self, last: int | None = None) -> list[list[float]]:
        """The rows so far, or the last few of them, on the host: this waits for the device."""
        first = 0 if last is None else self.used - last
        rows: list[list[float]] = self.rows[first : self.used].tolist()
        return rows

    def clear(self) -> None:
        """Begin the next report."""
        self.used = 0

    @property
    def full(self) -> bool:
        """Whether it is time to report."""
        return self.used == len(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.values()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over rows."""
        self.used = len(state["rows"])
        if self.used:
            self.rows[: self.used] = torch.tensor(state["rows"])
