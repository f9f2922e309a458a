"""What the rows of docs/benchmarks.md have in common: contestants in turn, the machine's peak, one line of JSON a row.

A script measures some rows and calls `Row.tell` for each; `python -m benchmarks` runs scripts and collects what they
tell. A share of the peak is FLOPs / seconds / the speed of the best matrix product, measured in the same minutes.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

Work = Callable[[], Any]
BEGAN, SECONDS = time.perf_counter(), float(os.environ.get("BENCH_SECONDS", "inf"))
"""When this script began, and how long the collector lets it run."""
MARK = "row: "
"""What a line begins with that holds a row."""


@dataclass
class Row:
    """One row of the table."""

    name: str
    what: str
    """Sizes, and what is measured of what."""
    unit: str
    """Of the values: ms, tokens/s, s, …"""
    values: dict[str, float] = field(default_factory=dict)
    """The median of each contestant, ours first."""
    shares: dict[str, float] = field(default_factory=dict)
    """Of the peak."""
    ratios: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    """How many times as fast we are as a contestant, and how many times we want to be."""
    checks: dict[str, str] = field(default_factory=dict)
    """Same results, same quality: what was compared, and what came of it."""
    notes: list[str] = field(default_factory=list)
    peak: float | None = None
    """FLOP/s."""

    def tell(self) -> None:
        """Print the row for the collector, and for a reader."""
        print(MARK + json.dumps(asdict(self)), flush=True)


def options(words: list[str] | None = None) -> argparse.Namespace:
    """The options that every script takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and fewer contestants")
    return parser.parse_args(words)


def peak(seconds: float = 0.6) -> float:
    """FLOP/s of the fastest of some matrix products of 1,536."""
    x, y = torch.randn(1536, 1536), torch.randn(1536, 1536)
    out, best, until = x @ y, 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        torch.mm(x, y, out=out)
        best = max(best, 2 * 1536**3 / (time.perf_counter() - began))
    return best


@contextmanager
def contestant(name: str, notes: list[str]) -> Iterator[None]:
    """What fails within is said in the notes and leaves the others alone: a peer may not be installed."""
    try:
        yield
    except Exception as error:
        said = (str(error) or type(error).__name__).splitlines()[0][:160]
        notes.append(f"{name}: not measured: {type(error).__name__}: {said}")


def interleaved(works: Mapping[str, Work], notes: list[str], *, rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each contestant's rounds, which take turns after one to warm up; and the peak between the rounds."""
    alive, best = dict(works), peak()
    times: dict[str, list[float]] = {name: [] for name in alive}
    for turn in range(rounds + 1):
        if turn > 1 and late(0.7):
            notes.append(f"{turn - 1} rounds of {rounds}, since the machine was slow")
            break
        for name in list(alive):
            with contestant(name, notes):
                began = time.perf_counter()
                alive[name]()
                if turn:
                    times[name].append(time.perf_counter() - began)
                continue
            del alive[name]
        best = max(best, peak(0.2))
    return {name: took for name, took in times.items() if took}, best


def late(share: float) -> bool:
    """Whether so much of the script's time is over that it should come to its end."""
    return time.perf_counter() - BEGAN > share * SECONDS


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def rows_in(text: str) -> Iterator[Row]:
    """The rows that a script has told."""
    for line in text.splitlines():
        if line.startswith(MARK):
            found = json.loads(line[len(MARK) :])
            found["ratios"] = {name: (ratio, wanted) for name, (ratio, wanted) in found["ratios"].items()}
            yield Row(**found)


def main(measure: Callable[[bool], None]) -> None:
    """Run a script: `measure` is told whether it is to be quick."""
    given = options()
    began = time.perf_counter()
    measure(given.quick)
    print(f"{sys.argv[0]}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
