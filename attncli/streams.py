"""The batch: a mapping from the name of a stream to its values, lengths, positions and document ids.

Shapes: b rows, n places of a row.

Whether a batch is padded or packed is a property of its streams and no business of the model: a place that holds no
token has document -1, and tokens of different documents in one row never see each other. Positions count the tokens
of a document, so neither padding nor the place in a row shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

IGNORE = -100
"""The label of a place where nothing is predicted."""


@dataclass(frozen=True)
class Stream:
    """Tokens (or labels) of one field."""

    values: Tensor  # (b n) ids; pad places hold the pad id
    lengths: Tensor  # (b) real tokens of each row
    positions: Tensor  # (b n) place in its document; 0 where there is no token
    documents: Tensor  # (b n) id of the document within the row; -1 where there is no token
    padded: bool = True  # some place may hold no token
    packed: bool = False  # some row may hold several documents
    plain: bool = True  # each row is one document that starts at place 0 with position 0, with any padding behind it

    @property
    def real(self) -> Tensor:
        """(b n): true where there is a token."""
        return self.documents >= 0

    def to(self, device: torch.device | str) -> "Stream":
        """The same stream on another device."""
        if self.values.device == torch.device(device):
            return self
        return replace(
            self,
            values=self.values.to(device, non_blocking=True),
            lengths=self.lengths.to(device, non_blocking=True),
            positions=self.positions.to(device, non_blocking=True),
            documents=self.documents.to(device, non_blocking=True),
        )

    def select(self, rows: Tensor) -> "Stream":
        """The rows named by an index tensor, in its order."""
        return replace(
            self,
            values=self.values[rows],
            lengths=self.lengths[rows],
            positions=self.positions[rows],
            documents=self.documents[rows],
        )


Batch = dict[str, Stream]


def stream(rows: Sequence[Sequence[int]], *, pad: int, left: bool = False) -> Stream:
    """Lay rows of ids under each other, padded with `pad` on the right (or on the left)."""
    width = max((len(row) for row in rows), default=0)
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
    place = torch.arange(width).expand(len(rows), width)
    start = (width - lengths).unsqueeze(1) if left else torch.zeros(len(rows), 1, dtype=torch.long)
    real = (place >= start) & (place < start + lengths.unsqueeze(1))
    values = torch.full((len(rows), width), pad, dtype=torch.long)
    values[real] = torch.tensor([token for row in rows for token in row], dtype=torch.long)
    padded = not bool(real.all())
    return Stream(
        values=values,
        lengths=lengths,
        positions=(place - start).masked_fill(~real, 0),
        documents=torch.where(real, 0, -1),
        padded=padded,
        plain=not (left and padded),
    )
