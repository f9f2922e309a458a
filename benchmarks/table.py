"""The table and the picture of rows."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from attncli.training.machine import environment
from benchmarks.harness import Row

HEAD = """# How fast attncli is

Written by `{command}` on {date}: {cpu}, {cores} cores, {threads} threads, {capability}, Python {python}, {versions}.

All contestants of a row run interleaved in one process, or in processes that take turns; values are medians, and ratios
are those of one run. A share of the peak is the FLOPs that the real tokens need / time / the speed of the best matrix
product, measured between the rounds. Machines that others use at the same time shift values more than ratios.
`make peers` installs the peers into an environment of their own, which `make bench` then uses.

![ratios](pictures/benchmarks.svg)

| row | contestant | median | share of the peak | attncli is faster by | wanted |
|---|---|---:|---:|---:|---:|
"""
PEERS = ("torch", "transformers", "x-transformers", "joeynmt", "eole", "ctranslate2", "local-attention")


def write(rows: Sequence[Row], *, quick: bool) -> str:
    """The whole page."""
    facts = environment(torch.device("cpu"))
    head = HEAD.format(
        command="make bench-quick" if quick else "make bench", date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        cpu=facts["cpu"], cores=os.cpu_count(), threads=facts["threads"], capability=facts["cpu_capability"],
        python=platform.python_version(), versions=", ".join(_versions()),
    )  # fmt: skip
    lines = [line for row in rows for line in _lines(row)]
    return head + "\n".join(lines) + "\n\n" + "\n".join(_told(row) for row in rows) + "\n"


def _versions() -> Iterator[str]:
    for name in PEERS:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"no {name}"


def _lines(row: Row) -> Iterator[str]:
    if not row.values:
        yield f"| {row.name} | – | not measured | – | – | – |"
    for number, (name, value) in enumerate(row.values.items()):
        share = f"{row.shares[name]:.0%}" if name in row.shares else "–"
        ratio, wanted = row.ratios.get(name, (None, None))
        yield (
            f"| {'' if number else row.name} | {name} | {_value(value, row.unit)} | {share} | "
            f"{'–' if ratio is None else f'{ratio:.2f} ×'} | {'–' if wanted is None else f'{wanted:g} ×'} |"
        )
    for name, (ratio, wanted) in row.ratios.items():
        if name not in row.values:
            yield f"| | {name} | – | – | {ratio:.2f} × | {'–' if wanted is None else f'{wanted:g} ×'} |"


def _value(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def _told(row: Row) -> str:
    peak = "" if row.peak is None else f" Peak {row.peak / 1e9:.0f} GFLOP/s."
    parts = [f"{what}: {came}" for what, came in row.checks.items()] + row.notes
    return f"* **{row.name}**: {row.what}.{peak} " + "; ".join(parts) + "."


def draw(rows: Sequence[Row], path: Path) -> None:
    """How many times as fast we are as each contestant, on a logarithmic axis; what is wanted is a short line."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    bars = [(f"{row.name}: {name}", *pair) for row in rows for name, pair in row.ratios.items()]
    if not bars:
        return
    figure, axes = pyplot.subplots(figsize=(9, 0.6 + 0.28 * len(bars)))
    for place, (_, ratio, wanted) in enumerate(bars):
        met = wanted is None or ratio >= wanted
        axes.barh(place, ratio - 1, left=1, color="#4477aa" if met else "#cc6677")
        axes.annotate(f"{ratio:.2f}", (ratio, place), xytext=(3, -3), textcoords="offset points", fontsize=8)
        if wanted is not None:
            axes.plot([wanted, wanted], [place - 0.4, place + 0.4], color="black")
    axes.set_yticks(range(len(bars)), [name for name, *_ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    ticks = [tick for tick in (0.5, 1, 1.5, 2, 3, 5, 10, 20, 50) if tick <= 2 * max(ratio for _, ratio, _ in bars)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast as the contestant (black: wanted)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
