"""What the queries of one forward pass may see: positions, documents and padding of both sides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from attncli.nn.cache import Places
from attncli.nn.records import Record as Record
from attncli.nn.records import Tap as Tap
from attncli.spec.masks import Mask
from attncli.streams import Stream

Made = TypeVar("Made")


@dataclass
class View:
    """The geometry of one attention call, shared by the layers of a stack; masks and angles are made once.

    `plain`: the rows of both sides count their places 0, 1, 2, …, with padding behind, so that one table of positions
    serves all rows; `aligned`: queries and keys are the same places, so that `causal` is the triangle; `near`: two
    tokens of one text stand as far from each other as their positions say.
    """

    query_positions: Tensor  # (b|1 q)
    key_positions: Tensor  # (b|1 k)
    query_documents: Tensor | None = None  # (b q), where rows hold several documents or padding matters
    key_documents: Tensor | None = None  # (b k)
    padded: bool = False
    packed: bool = False
    aligned: bool = False
    near: bool = False
    newest: bool = False  # each query is the last token of its text
    tap: Tap | None = None
    lengths: Tensor | None = None  # (b) real keys
    query_carried: Mapping[str, Tensor] = field(default_factory=dict)  # (b q) what masks read of tokens and samples
    key_carried: Mapping[str, Tensor] = field(default_factory=dict)  # (b k)
    texts: Tensor | None = None  # (b ·) documents of the places up to the last query, where some are not of one text
    memo: dict[Any, Any] = field(default_factory=dict)
    ways: Tensor | None = None  # bool (b q k): the keys that lead to each query, where rows hold trees of texts
    drawn: dict[Any, Tensor] = field(default_factory=dict)  # what all layers and steps of a pass draw alike
    means: dict[str, Tensor] = field(default_factory=dict)  # what parts add to the mean loss of the batch, by address
    loads: dict[str, Tensor] = field(default_factory=dict)  # (x) choices that fell on each expert, by address

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """What `make` gives, made at the first asking."""
        if key not in self.memo:
            self.memo[key] = make()
        made: Made = self.memo[key]
        return made

    def part(self, rows: slice | Tensor, keys: slice) -> "View":
        """That of some queries and some keys; what is counted of whole texts is that of the whole."""
        asks, reads = self.query_documents, self.key_documents
        made = replace(
            self,
            query_positions=self.query_positions[:, rows],
            key_positions=self.key_positions[:, keys],
            query_documents=None if asks is None else asks[:, rows],
            key_documents=None if reads is None else reads[:, keys],
            aligned=False,
            tap=None,
            ways=None if self.ways is None else self.ways[:, rows, keys],
            query_carried={name: each[:, rows] for name, each in self.query_carried.items()},
            key_carried={name: each[:, keys] for name, each in self.key_carried.items()},
            memo={},
        )
        made.memo[("lengths", "query")] = self.text_lengths("query")[:, rows]
        made.memo[("lengths", "key")] = self.text_lengths("key")[:, keys]
        made.memo["read lengths"] = self.read_lengths if self.read_lengths.shape[1] == 1 else self.read_lengths[:, rows]
        for name in self.key_carried:
            made.memo[("most", name)] = self.most(name)[:, keys]
        return made

    @property
    def read_lengths(self) -> Tensor:
        """(b|1 q|1): keys of the text that each query reads."""
        asks, reads = self.query_documents, self.key_documents
        if self.packed and asks is not None and reads is not None:
            return self.once("read lengths", lambda: _counted(reads, asks))
        if self.lengths is not None:
            return self.lengths.unsqueeze(1)
        whole = torch.full((1, 1), self.key_positions.shape[1], device=self.key_positions.device)
        return self.once("read lengths", lambda: whole)

    def most(self, name: str) -> Tensor:
        """(b k): the largest number of that name in the document that each key belongs to."""
        return self.once(("most", name), lambda: _most(self.key_carried[name], self.key_documents))

    @property
    def key_real(self) -> Tensor | None:
        """(b k): true where there is a key; None where every place holds one."""
        if not self.padded or self.key_documents is None:
            return None
        documents = self.key_documents
        return self.once("key_real", lambda: documents >= 0)

    @property
    def query_real(self) -> Tensor | None:
        """(b q): true where there is a query; None where that is not known to matter."""
        # not made once: the steps of a recurrent decoder share what is, and each has a query of its own
        return None if self.query_documents is None else self.query_documents >= 0

    def triangle(self, mask: Mask) -> bool:
        """Whether `mask` is the causal triangle of torch's kernels, with nothing else to hide.

        Padding behind the tokens of a row is never seen by a real query under a causal mask, so it need not be hidden.
        """
        return self.aligned and not self.packed and mask.text == "causal"

    def visible(self, mask: Mask, heads: int, *, joins: bool = False) -> Tensor | None:
        """Bool, broadcast to (b h q k), of mask, padding and documents together; None where all is visible.

        A query of padding sees what it likes, since no one reads it; it sees nothing where queries are joined.
        """
        seen = self.once((mask, heads), lambda: self._on_the_way(self._visible(mask, heads)))
        real = self.query_real
        if not joins or real is None:
            return seen
        asks = real[:, None, :, None]
        return self.once((mask, heads, "joined"), lambda: asks if seen is None else seen & asks)

    def text_lengths(self, side: Literal["query", "key"]) -> Tensor:
        """(b|1 n): tokens of the text that each place belongs to."""
        if side == "query":
            return self.once(("lengths", side), lambda: _length(self.query_documents, self.query_positions))
        return self.once(("lengths", side), lambda: _length(self.key_documents, self.key_positions))

    def _visible(self, mask: Mask, heads: int) -> Tensor | None:
        sees_all = mask.text == "full" or (self.newest and mask.text == "causal")
        seen = None if sees_all else self._allowed(mask, heads)
        if self.packed and self.query_documents is not None and self.key_documents is not None:
            same = self.query_documents.unsqueeze(2) == self.key_documents.unsqueeze(1)
            same = (same & (self.key_documents >= 0).unsqueeze(1)).unsqueeze(1)
            return same if seen is None else seen & same
        real = self.key_real
        if real is None:
            return seen
        real = real[:, None, None, :]
        return real if seen is None else seen & real

    def _on_the_way(self, seen: Tensor | None) -> Tensor | None:
        if self.ways is None:
            return seen
        ways = self.ways.unsqueeze(1)
        return ways if seen is None else seen & ways

    def arguments(self, mask: Mask, heads: int) -> dict[str, Any]:
        """What `mask.allows` reads, each number broadcast to (b h q k); None where the mask does not name it."""
        q, k = self.query_positions[:, None, :, None], self.key_positions[:, None, None, :]
        names, zero = mask.names, torch.zeros((), dtype=torch.long, device=q.device)
        asks, reads = self.query_documents, self.key_documents
        return {
            "q": q,
            "k": k,
            "h": torch.arange(heads, device=q.device).view(1, -1, 1, 1),
            "q_length": self.text_lengths("query")[:, None, :, None] if "q_length" in names else None,
            "k_length": self.text_lengths("key")[:, None, None, :] if "k_length" in names else None,
            "document_q": zero if asks is None or "document" not in names else asks[:, None, :, None],
            "document_k": zero if reads is None or "document" not in names else reads[:, None, None, :],
            "carried": self._carried(mask),
        }

    def _allowed(self, mask: Mask, heads: int) -> Tensor:
        told = self.arguments(mask, heads)
        # a mask in which nothing varies gives a plain bool; adding the shape of the pairs makes every result one tensor
        return torch.as_tensor(mask.allows(**told), device=told["q"].device) & torch.ones_like(told["q"] == told["k"])

    def _carried(self, mask: Mask) -> dict[str, Tensor]:
        """What the mask reads of the data. A sample's own integer stands at its queries, else at the keys they read."""
        found: dict[str, Tensor] = {}
        for name in mask.of_tokens - {"document"}:
            if name in self.query_carried:
                found[f"{name}(q)"] = self.query_carried[name][:, None, :, None]
            if name in self.key_carried:
                found[f"{name}(k)"] = self.key_carried[name][:, None, None, :]
                if f"most {name}" in mask.names:
                    found[f"most {name}"] = self.most(name)[:, None, None, :]
        for name in mask.of_samples:
            asks = name in self.query_carried
            found[name] = (
                self.query_carried[name][:, None, :, None] if asks else self.key_carried[name][:, None, None, :]
            )
        return found


def _most(numbers: Tensor, documents: Tensor | None) -> Tensor:
    """(b n): the largest number of the document that each place belongs to."""
    if documents is None:
        return numbers.amax(1, keepdim=True).expand_as(numbers)
    place = documents + 1  # padding is -1
    least = torch.iinfo(numbers.dtype).min
    found = numbers.new_full((len(numbers), int(place.max()) + 1), least)
    return found.scatter_reduce(1, place, numbers.expand_as(place), "amax").gather(1, place)


def _counted(documents: Tensor, asked: Tensor) -> Tensor:
    """(b n): how many places of `documents` (b m) are of the document that each place of `asked` (b n) is of."""
    place, wanted = documents + 1, asked + 1
    found = place.new_zeros(len(place), int(max(place.max(), wanted.max())) + 1)
    return found.scatter_add(1, place, torch.ones_like(place)).gather(1, wanted)


def _length(documents: Tensor | None, positions: Tensor) -> Tensor:
    """(b|1 n): tokens of the document that each place belongs to; padding is no token of any."""
    if documents is None:
        return torch.full_like(positions, positions.shape[1])
    return _counted(documents, documents)


def positions_of(stream: Stream) -> Tensor:
    """(b|1 n): one row for all where every row counts its places alike."""
    if stream.plain:
        return torch.arange(stream.values.shape[1], device=stream.values.device).unsqueeze(0)
    return stream.positions


def view_of_self(stream: Stream, tap: Tap | None = None) -> View:
    """The places of a stream seeing each other."""
    positions = positions_of(stream)
    return View(
        positions, positions, stream.documents, stream.documents,
        padded=stream.padded, packed=stream.packed, aligned=stream.plain, near=True, tap=tap,
        lengths=stream.lengths, texts=stream.documents if stream.padded or stream.packed else None,
        query_carried=stream.carried, key_carried=stream.carried,
    )  # fmt: skip


def view_of_memory(reader: Stream, memory: Stream, tap: Tap | None = None) -> View:
    """The places of `reader` seeing those of `memory`."""
    return View(
        positions_of(reader), positions_of(memory), reader.documents, memory.documents,
        padded=memory.padded, packed=memory.packed, near=reader.plain and memory.plain, tap=tap,
        lengths=memory.lengths,
        query_carried=reader.carried, key_carried=memory.carried,
    )  # fmt: skip


def view_of_past(tokens: Stream, places: Places, tap: Tap | None = None) -> View:
    """New tokens seeing themselves and all that the cache holds; `places` has them already."""
    assert places.positions is not None and places.documents is not None
    new, total = tokens.values.shape[1], places.positions.shape[1]
    if places.plain:
        every = torch.arange(total, device=tokens.values.device).unsqueeze(0)
        return View(
            every[:, total - new :],
            every,
            None,
            None,
            aligned=new == total,
            near=new == total,
            newest=new == 1,
            tap=tap,
            query_carried=tokens.carried,
            key_carried=places.carried,
        )
    return View(
        places.positions[:, total - new :], places.positions, places.documents[:, total - new :], places.documents,
        padded=True, near=new == total and places.ways is None, newest=new == 1 or places.ways is not None, tap=tap,
        lengths=places.lengths, query_carried=tokens.carried, key_carried=places.carried, ways=places.ways,
        texts=places.documents,
    )  # fmt: skip
