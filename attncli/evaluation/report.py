"""What an evaluation found, for people and for programs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import TYPE_CHECKING, Any

from attncli.evaluation.labels import Counts

if TYPE_CHECKING:
    from rich.console import RenderableType

SHARES = ("exact_match", "token_accuracy", "accuracy", "macro_f1", "span_f1")
"""Metrics between 0 and 1, which people read in per cent; BLEU and chrF are per cent by custom."""
WIDEST = 12
"""Classes up to which the confusion matrix is shown as text."""


@dataclass(frozen=True)
class Report:
    """The metrics of one model on the rows of one split."""

    metrics: dict[str, float]
    counts: dict[str, int]
    """`rows`, and what was predicted or left out."""
    seconds: float
    signatures: dict[str, str] = field(default_factory=dict)
    """How sacrebleu computed its scores."""
    groups: dict[str, dict[str, float]] = field(default_factory=dict)
    """Exact match by the first word of the source."""
    labels: tuple[str, ...] = ()
    confusion: Counts = field(default_factory=list)
    """[reference][predicted]"""
    examples: tuple[dict[str, Any], ...] = ()
    """A few of the worst rows, then of the best."""
    predictions: tuple[dict[str, Any], ...] = ()
    """Every row, where the task writes or classifies whole rows."""
    notes: tuple[str, ...] = ()
    split: str = ""
    checkpoint: str = ""

    def named(self, *, split: str, checkpoint: str) -> "Report":
        """The same report with what was evaluated."""
        return replace(self, split=split, checkpoint=checkpoint)

    def json(self) -> dict[str, Any]:
        """The report without its predictions, in the words of the field."""
        found: dict[str, Any] = {"split": self.split, "checkpoint": self.checkpoint, "metrics": self.metrics}
        if self.groups:
            found["groups"] = self.groups
        if self.signatures:
            found["signatures"] = self.signatures
        if self.confusion:
            found["confusion"] = {"labels": list(self.labels), "counts": self.confusion}
        found |= {"counts": self.counts, "examples": list(self.examples), "notes": list(self.notes)}
        return found | {"seconds": self.seconds}

    def text(self, width: int = 100) -> str:
        """The report for people, plain characters only."""
        from rich.console import Console

        console = Console(file=StringIO(), width=width, highlight=False, emoji=False, markup=False, no_color=True)
        for part in self._parts():
            console.print(part, soft_wrap=isinstance(part, str))
        assert isinstance(console.file, StringIO)
        return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"

    def _parts(self) -> "Iterator[RenderableType]":
        counted = ", ".join(f"{number:,} {name}" for name, number in self.counts.items())
        heading = [part for part in (self.split, self.checkpoint, counted, f"{self.seconds:.1f} s") if part]
        yield " · ".join(heading)
        yield self._table()
        if self.groups:
            yield "exact_match by the first word of the source: " + " · ".join(
                f"{word} {shown('exact_match', group['exact_match'])} of {group['count']:,}"
                for word, group in self.groups.items()
            )
        if 0 < len(self.labels) <= WIDEST and self.confusion:
            yield "\nconfusion (rows: reference, columns: predicted)"
            yield self._matrix()
        for rank in ("worst", "best"):
            rows = [row for row in self.examples if row.get("rank") == rank]
            for number, row in enumerate(rows):
                yield f"\n{rank}" if number == 0 else ""
                yield from (f"  {name:<10}{shown(name, value)}" for name, value in row.items() if name != "rank")
        for name, signature in self.signatures.items():
            yield ("\n" if name == next(iter(self.signatures)) else "") + f"{name} signature: {signature}"
        yield from (f"note: {note}" for note in self.notes)

    def _table(self) -> "RenderableType":
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("metric")
        table.add_column("value", justify="right")
        for name, value in self.metrics.items():
            table.add_row(name, shown(name, value))
        return table

    def _matrix(self) -> "RenderableType":
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD)
        for name in ("", *self.labels):
            table.add_column(name, justify="right")
        for name, row in zip(self.labels, self.confusion, strict=True):
            table.add_row(name, *map(str, row))
        return table


def shown(name: str, value: float | str) -> str:
    """A value as people read it."""
    if isinstance(value, str):
        return value.replace("\n", "⏎")
    if name in SHARES:
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" if name == "perplexity" and value < 1e4 else f"{value:.3f}"
