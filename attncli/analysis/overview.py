"""Statistics of every head over the rows of a data set, with their intervals: maps are taken one text at a time.

A statistic (attncli/maps/statistics.py) is the mean over texts, each text counting as one; its interval is 1.96
standard errors over texts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from attncli.analysis.samples import Source, interval
from attncli.maps.record import Sample
from attncli.maps.samples import Inspector
from attncli.maps.summary import STATISTICS
from attncli.maps.taking import Plan


@dataclass(frozen=True)
class Overview:
    """One head over many texts: of each statistic its mean and both ends of the interval."""

    address: str
    head: int
    statistics: dict[str, tuple[float, float, float]]
    samples: int

    def json(self) -> dict[str, Any]:
        """All of it."""
        return {**vars(self), "statistics": {name: list(values) for name, values in self.statistics.items()}}


Look = Callable[[Sample], None]


def overview(
    inspector: Inspector, source: Source, limit: int | None, *, also: Look | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Overview]:  # fmt: skip
    """Every head over the first rows; `also` is shown each text, and nothing of it is kept.

    Raises:
        InputError, DataError: a row cannot be read.
        CheckError: a map is not what the kernel computed.
    """
    from attncli.errors import CheckError

    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    total = len(source.rows) if limit is None else min(limit, len(source.rows))
    for number, (place, row) in enumerate(source.places(limit), 1):
        sample = replace(inspector, plan=Plan()).forced(row, place=place)
        if faults := list(sample.faults()):
            raise CheckError(f"{place}: the maps are not certified: {faults[0]}")
        for one in sample.attentions:
            for head in range(one.heads):
                into = found.setdefault((one.address, head), {name: [] for name in STATISTICS})
                for name in STATISTICS:
                    into[name].append(float(one.summary.statistics[name][head]))
        if also is not None:
            also(sample)
        if progress is not None:
            progress(number, total)
    return [
        Overview(address, head, {name: interval(values) for name, values in columns.items()}, total)
        for (address, head), columns in found.items()
    ]
