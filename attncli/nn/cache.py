"""What decoding keeps of the past. Each kind of stack owns its own; all know reorder, crop, length and bytes."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from attncli.streams import Stream


class KeyValue:
    """Keys, values and what else one attention keeps of a token, in room that is taken once: (b · capacity ·)."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._room: tuple[Tensor, ...] = ()

    def append(self, *new: Tensor) -> tuple[Tensor, ...]:
        """Add keys, values and the rest (b · n ·); returns all so far. Beyond the capacity it is a bug."""
        end = self.length + new[0].shape[2]
        assert end <= self.capacity, f"{end} tokens in a cache of {self.capacity}"
        if not self._room:
            self._room = tuple(x.new_empty(*x.shape[:2], self.capacity, x.shape[3]) for x in new)
        for room, x in zip(self._room, new, strict=True):
            room[:, :, self.length : end] = x
        self.length = end
        return tuple(room[:, :, :end] for room in self._room)

    def reorder(self, index: Tensor) -> None:
        """Row i becomes what row index[i] was; the number of rows may change."""
        self._room = tuple(_taken(room, index, self.length) for room in self._room)

    def keep(self, places: Tensor) -> None:
        """Forget all tokens of row i but those at places[i] (b n), which stand in that order from now on."""
        index, self.length = places[:, None, :, None], places.shape[1]
        for room in self._room:
            room[:, :, : self.length] = room.gather(2, index.expand(-1, room.shape[1], -1, room.shape[3]))

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.length = min(self.length, length)

    @property
    def bytes(self) -> int:
        """Bytes of the room taken."""
        return sum(x.numel() * x.element_size() for x in self._room)


def _taken(old: Tensor, index: Tensor, length: int) -> Tensor:
    new = old.new_empty(len(index), *old.shape[1:])
    new[:, :, :length] = old[index, :, :length]
    return new


PRUNE = 16
"""Steps after which the tokens of a tree that lead to no branch are forgotten."""


class Past(Protocol):
    """The cache of one stack that writes."""

    @property
    def length(self) -> int: ...

    def reorder(self, index: Tensor) -> None: ...

    def crop(self, length: int) -> None: ...

    @property
    def bytes(self) -> int: ...


@runtime_checkable
class Prunable(Past, Protocol):
    """One that can forget single tokens."""

    def keep(self, places: Tensor) -> None: ...


class Places:
    """Positions and documents of the tokens a stack has seen: (b length).

    A row may hold the branches of a tree of texts, w of which grow: then `ways` says which tokens lead to each.
    """

    def __init__(self) -> None:
        self.positions: Tensor | None = None
        self.documents: Tensor | None = None
        self.plain = True
        self.carried: dict[str, Tensor] = {}  # (b length) integers of the samples, which masks read
        self.ways: Tensor | None = None  # (b w length), bool; None where each row is one text

    def append(self, tokens: Stream) -> None:
        before = {name: [numbers] for name, numbers in self.carried.items()}
        self.carried = {name: torch.cat([*before.get(name, []), new], 1) for name, new in tokens.carried.items()}
        if self.positions is None or self.documents is None:
            self.positions, self.documents = tokens.positions, tokens.documents
            self.plain = not tokens.padded
        else:
            self.positions = torch.cat((self.positions, tokens.positions), 1)
            self.documents = torch.cat((self.documents, tokens.documents), 1)
            # A later chunk continues the row; padding in it would leave holes.
            self.plain = self.plain and not tokens.padded
        if self.ways is not None:
            new = torch.eye(self.ways.shape[1], dtype=torch.bool, device=self.ways.device)
            self.ways = torch.cat((self.ways, new.expand(len(self.ways), -1, -1)), 2)

    def reorder(self, index: Tensor) -> None:
        if self.positions is not None and self.documents is not None:
            self.positions, self.documents = self.positions[index], self.documents[index]
            self.carried = {name: numbers[index] for name, numbers in self.carried.items()}
            self.ways = None if self.ways is None else self.ways[index]

    def crop(self, length: int) -> None:
        if self.positions is not None and self.documents is not None:
            self.positions, self.documents = self.positions[:, :length], self.documents[:, :length]
            self.carried = {name: numbers[:, :length] for name, numbers in self.carried.items()}

    @property
    def lengths(self) -> Tensor:
        """(b): tokens of each text, the branches of a row being of one length."""
        assert self.documents is not None
        return (self.documents >= 0).sum(1) if self.ways is None else self.ways[:, 0].sum(1)

    def next(self, values: Tensor) -> Stream:
        """The stream of one more token (b 1) for every row, its position counted on; it belongs to the row's sample."""
        lengths = torch.zeros_like(values[:, 0]) if self.documents is None else self.lengths
        return Stream(
            values=values,
            lengths=torch.ones_like(lengths),
            positions=lengths.unsqueeze(1),
            documents=torch.zeros_like(values),
            padded=False,
            plain=False,
            carried={name: numbers[:, -1:] for name, numbers in self.carried.items()},
            shared=frozenset(self.carried),
        )

    def branch(self, values: Tensor, parents: Tensor) -> Stream:
        """The stream of one more token (b w) for w branches of every row; branch i goes on where parents[i] ended."""
        assert self.documents is not None
        count = values.shape[1]
        if self.ways is None:
            self.plain, self.ways = False, (self.documents >= 0).unsqueeze(1).expand(-1, count, -1)
        self.ways = self.ways.gather(1, parents.unsqueeze(2).expand(-1, -1, self.ways.shape[2]))
        return Stream(
            values=values,
            lengths=torch.full_like(values[:, 0], count),
            positions=self.ways.sum(2),
            documents=torch.zeros_like(values),
            padded=False,
            plain=False,
            carried={name: numbers[:, -1:].expand_as(values) for name, numbers in self.carried.items()},
            shared=frozenset(self.carried),
        )

    def prune(self) -> Tensor:
        """Forget the tokens that lead to no branch; returns the places (b n) of the others, and of some to fill up."""
        assert self.ways is not None and self.positions is not None and self.documents is not None
        leads = self.ways.any(1)
        most = int(leads.sum(1).max())
        kept = leads.to(torch.int8).sort(dim=1, descending=True, stable=True).indices[:, :most]
        self.documents = self.documents.masked_fill(~leads, -1).gather(1, kept)
        self.positions = self.positions.gather(1, kept)
        self.carried = {name: numbers.gather(1, kept) for name, numbers in self.carried.items()}
        self.ways = self.ways.gather(2, kept.unsqueeze(1).expand(-1, self.ways.shape[1], -1))
        return kept


class Cache:
    """The past of the stack that writes, with the places of its tokens."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self.places = Places()
        self._pruned = 0  # places when tokens were last forgotten

    @property
    def length(self) -> int:
        """Places written so far, padding of the prompts included."""
        return self.past.length

    @property
    def bytes(self) -> int:
        """Bytes that the past takes."""
        return self.past.bytes

    def reorder(self, index: Tensor) -> None:
        """Row i becomes what row index[i] was, as beam search asks; the number of rows may change."""
        self.past.reorder(index)
        self.places.reorder(index)

    def crop(self, length: int) -> None:
        """Forget all but the first `length` places."""
        self.past.crop(length)
        self.places.crop(length)

    def next(self, values: Tensor) -> Stream:
        """The stream of one more token (b 1) for every row."""
        return self.places.next(values)

    def branch(self, values: Tensor, parents: Tensor) -> Stream:
        """The stream of one more token (b w) for w branches of every row; branch i goes on where parents[i] ended.

        So beams share what they have in common, and nothing is moved: each sees the tokens that lead to it. For models
        that tell `branches`.
        """
        if self.places.ways is not None and self.length >= self._pruned + PRUNE * values.shape[1]:
            assert isinstance(self.past, Prunable)
            self.past.keep(self.places.prune())
            self._pruned = self.length
        return self.places.branch(values, parents)
