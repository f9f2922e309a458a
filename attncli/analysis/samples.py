"""The rows of a file or split as batches, and the loss of each row: what importance is measured on.

The loss of a row is the mean of -log p(label) over its labels, in nats: of a translation its tokens with the end of the
text, of a class the one. Label smoothing and extra losses are no part of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from attncli.analysis.masking import unseen
from attncli.data.codec import Codec, Example, Fault
from attncli.data.rows import Row, Rows
from attncli.data.sources import open_file, open_splits
from attncli.errors import DataError, InputError
from attncli.evaluation.reading import by_length
from attncli.nn.kernels.reference import wide
from attncli.nn.model import Model
from attncli.spec.run import Run
from attncli.spec.seeds import mix
from attncli.streams import IGNORE, Batch

PLACES = 2048
"""Places of a batch, padding included."""


@dataclass(frozen=True)
class Source:
    """Rows by the name under which they were asked for."""

    name: str
    rows: Rows

    def places(self, limit: int | None) -> Iterator[tuple[str, Row]]:
        """The first rows, each with where it stands."""
        for index in range(len(self.rows) if limit is None else min(limit, len(self.rows))):
            yield f"{self.name}:{index + 1}", self.rows[index]


def source_of(run: Run, data: Path | None, split: str | None) -> Source:
    """The rows of a file, of a split, or of valid, else test.

    Raises:
        InputError: the spec names no such split.
    """
    if data is not None:
        return Source(str(data), open_file(run, data))
    for name in ("valid", "test") if split is None else (split,):
        rows: Rows | None = getattr(open_splits(run, names=[name]), name) if run.data is not None else None
        if rows is not None:
            return Source(name, rows)
    missing = "neither data.valid nor data.test" if split is None else f"no data.{split}"
    raise InputError(f"{run.name}: the spec names {missing}", help="give a file with --data")


def batches_of(codec: Codec, source: Source, limit: int | None, device: torch.device) -> list[Batch]:
    """The first rows in batches of like length; a masked language model hides the same tokens each time.

    Raises:
        DataError: a row cannot be used, or there is none.
    """
    examples = [part for example in _examples(codec, source, limit) for part in codec.cut(example)]
    if not examples:
        raise DataError(f"{source.name}: there is no row", help="give rows that fit the model")
    noise = torch.Generator().manual_seed(mix(codec.run.seed, "evaluate"))
    groups = by_length([example.length for example in examples], PLACES)
    batches = (codec.collate([examples[index] for index in group], noise=noise) for group in groups)
    return [{name: stream.to(device) for name, stream in batch.items()} for batch in batches]


def _examples(codec: Codec, source: Source, limit: int | None) -> Iterator[Example]:
    given = list(source.places(limit))
    skips = codec.run.data is not None and codec.run.data.on_long == "skip"
    for (place, _), example in zip(given, codec.encode_many([row for _, row in given]), strict=True):
        if not isinstance(example, Fault):
            yield example
        elif not (example.long and skips):
            raise DataError(f"{place}: {example.rule}", help=example.help)


def label_scores(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """log p of each label (b n) and where there is one (b n); n is 1 where a row has one label."""
    logits, labels = model(batch, unseen), batch["labels"]
    if logits.dim() == 2:
        logits, values, real = logits.unsqueeze(1), labels.values[:, :1], labels.real[:, :1]
    else:
        values, real = labels.values, labels.real & (labels.values != IGNORE)
    chosen = wide(logits).log_softmax(-1).gather(-1, values.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.where(real, chosen, 0.0), real


def row_losses(model: Model, batch: Batch) -> Tensor:
    """(b): the loss of each row."""
    scores, real = label_scores(model, batch)
    return -scores.sum(1) / real.sum(1).clamp(min=1)


def row_probabilities(model: Model, batch: Batch) -> Tensor:
    """(b): the mean probability that a row's labels get, between 0 and 1."""
    scores, real = label_scores(model, batch)
    return (scores.exp() * real).sum(1) / real.sum(1).clamp(min=1)


def interval(values: Sequence[float] | Tensor) -> tuple[float, float, float]:
    """The mean, and 1.96 standard errors below and above it; NaN where one sample tells no error."""
    numbers = torch.as_tensor(values, dtype=torch.float64)
    mean = float(numbers.mean())
    half = 1.96 * float(numbers.std()) / len(numbers) ** 0.5 if len(numbers) > 1 else float("nan")
    return mean, mean - half, mean + half
