"""The batch: a mapping from the name of a stream to its values, lengths, positions and document ids.

Shapes: b rows, n places of a row.

Whether a batch is padded or packed is a property of its streams and no business of the model: a place that holds no
token has document -1, and tokens of different documents in one row never see each other. Positions count the tokens
of a document, so neither padding nor the place in a row shows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    carried: Mapping[str, Tensor] = field(default_factory=dict)  # (b n) integers that masks read, by their names
    shared: frozenset[str] = frozenset()  # those of `carried` that are one number for all tokens of a document
    recalled: tuple[Tensor, ...] = ()  # (b m d) states before this segment, of each attention of a stack with a memory

    @property
    def real(self) -> Tensor:
        """(b n): true where there is a token."""
        return self.documents >= 0

    def to(self, device: torch.device | str) -> "Stream":
        """The same stream on another device."""
        if self.values.device == torch.device(device):
            return self
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def select(self, rows: Tensor) -> "Stream":
        """The rows named by an index tensor, in its order."""
        return self._each(lambda tensor: tensor[rows])

    def cut(self, width: int, *, padded: bool) -> "Stream":
        """The first places of every row; `padded` is what the stream then is."""
        return replace(self._each(lambda tensor: tensor[:, :width] if tensor.ndim == 2 else tensor), padded=padded)

    def of_rows(self) -> dict[str, Tensor]:
        """(b) each integer that is shared, where a row is one document."""
        first = self.real.int().argmax(1, keepdim=True)
        return {name: self.carried[name].gather(1, first).squeeze(1) for name in self.shared}

    def with_rows(self, numbers: Mapping[str, Tensor]) -> "Stream":
        """The same stream with integers (b), each shared by all places of a row."""
        carried = {name: each.unsqueeze(1).expand_as(self.values) for name, each in numbers.items()}
        return replace(self, carried={**self.carried, **carried}, shared=self.shared | frozenset(numbers))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Stream":
        return replace(
            self,
            values=change(self.values),
            lengths=change(self.lengths),
            positions=change(self.positions),
            documents=change(self.documents),
            carried={name: change(numbers) for name, numbers in self.carried.items()},
            recalled=tuple(change(states) for states in self.recalled),
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


def with_made_up_numbers(tokens: Stream, names: Iterable[str]) -> Stream:
    """The stream with integers for masks to read, where no data are: of trials and profiles.

    They are functions of the document alone, as those of data are, wherever it stands: `column` counts to 3 and `row`
    counts the columns through; others last for two tokens. A prompt is one token: so every cut of a text is behind it.
    """
    ways = {
        "column": tokens.positions % 3,
        "row": tokens.positions // 3,
        "segment": tokens.positions // 2 % 2,
        "prefix_length": torch.ones_like(tokens.positions),
    }
    carried = {name: ways.get(name, tokens.positions // 2) for name in names}
    return replace(tokens, carried={**tokens.carried, **carried})
