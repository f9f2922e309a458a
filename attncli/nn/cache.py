"""What decoding keeps of the past. Each kind of stack owns its own; all know reorder, crop, length and bytes."""

from typing import Protocol

import torch
from torch import Tensor

from attncli.streams import Stream


class KeyValue:
    """Keys and values of one attention, in room that is taken once: (b g capacity ·)."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._key: Tensor | None = None
        self._value: Tensor | None = None

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys (b g n ·) and values (b g n v); returns all so far. Beyond the capacity it is a bug."""
        end = self.length + key.shape[2]
        assert end <= self.capacity, f"{end} tokens in a cache of {self.capacity}"
        if self._key is None or self._value is None:
            self._key = key.new_empty(*key.shape[:2], self.capacity, key.shape[3])
            self._value = value.new_empty(*value.shape[:2], self.capacity, value.shape[3])
        self._key[:, :, self.length : end] = key
        self._value[:, :, self.length : end] = value
        self.length = end
        return self._key[:, :, :end], self._value[:, :, :end]

    def reorder(self, index: Tensor) -> None:
        """Row i becomes what row index[i] was; the number of rows may change."""
        if self._key is None or self._value is None:
            return
        self._key = _taken(self._key, index, self.length)
        self._value = _taken(self._value, index, self.length)

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.length = min(self.length, length)

    @property
    def bytes(self) -> int:
        """Bytes of the room taken."""
        return sum(x.numel() * x.element_size() for x in (self._key, self._value) if x is not None)


def _taken(old: Tensor, index: Tensor, length: int) -> Tensor:
    new = old.new_empty(len(index), *old.shape[1:])
    new[:, :, :length] = old[index, :, :length]
    return new


class Past(Protocol):
    """The cache of one stack that writes."""

    @property
    def length(self) -> int: ...

    def reorder(self, index: Tensor) -> None: ...

    def crop(self, length: int) -> None: ...

    @property
    def bytes(self) -> int: ...


class Places:
    """Positions and documents of the tokens a stack has seen: (b length)."""

    def __init__(self) -> None:
        self.positions: Tensor | None = None
        self.documents: Tensor | None = None
        self.plain = True
        self.carried: dict[str, Tensor] = {}  # (b length) integers of the samples, which masks read

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

    def reorder(self, index: Tensor) -> None:
        if self.positions is not None and self.documents is not None:
            self.positions, self.documents = self.positions[index], self.documents[index]
            self.carried = {name: numbers[index] for name, numbers in self.carried.items()}

    def crop(self, length: int) -> None:
        if self.positions is not None and self.documents is not None:
            self.positions, self.documents = self.positions[:, :length], self.documents[:, :length]
            self.carried = {name: numbers[:, :length] for name, numbers in self.carried.items()}

    @property
    def lengths(self) -> Tensor:
        """(b): tokens of each row."""
        assert self.documents is not None
        return (self.documents >= 0).sum(1)

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


class Cache:
    """The past of the stack that writes, with the places of its tokens."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self.places = Places()

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
