"""What every relative position may do in an attention, and what it may look at.

    angles, turn    queries and keys (rotary); the turned keys are what a cache keeps
    back            mixtures of turned keys, where the keys are the values too
    demand          what `term` reads of the states that ask
    ask             queries before they are compared (the u of Transformer-XL)
    keep            what a cache must keep beside keys and values (the gates of Forgetting)
    term            joins the score, of what query and key hold; it precedes temperature and cap
    bias            joins the logits after the cap, of positions alone; made once a forward pass
    fade            joins the bias, of what was kept
    carry           joins the mixture, of the weights (Shaw's values)

Each kind overrides what it needs. `learned` says that term, bias or fade ask for a gradient, which decides the kernel.
Distances and angles are float32 or wider under every autocast.
"""

from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

Side = Literal["query", "key"]
Product = Callable[[Tensor, Tensor], Tensor]
"""Queries (b|1 h q e) and rows of the form of keys (b|1 h|1 k e) to their scaled scores (b h q k)."""


class Distances(NamedTuple):
    """Every q - k of a forward pass, so that a table is read once for each distance and not for each pair."""

    least: int
    most: int
    between: Tensor  # (b|1 1 q k), each from least to most

    @property
    def values(self) -> Tensor:
        """(r): the whole numbers from least to most."""
        return torch.arange(self.least, self.most + 1, device=self.between.device)

    @property
    def row(self) -> Tensor:
        """(b|1 1 q k): where in `values` the distance of a pair stands."""
        return self.between - self.least

    def within(self, low: int, high: int) -> "Distances":
        """These distances cut to a range."""
        least, most = (min(max(each, low), high) for each in (self.least, self.most))
        return Distances(least, most, self.between.clamp(low, high))

    def spread(self, found: Tensor) -> Tensor:
        """What was found for each distance, (b|1 h q|1 r), for each pair: (b h q k)."""
        row = self.row
        batch = max(len(found), len(row))
        shape = (batch, found.shape[1], *row.shape[2:])
        return found.expand(batch, -1, shape[2], -1).gather(3, row.expand(shape))


def distances_of(query_positions: Tensor, key_positions: Tensor) -> Distances:
    """The distances of positions (b|1 q) and (b|1 k)."""
    between = (query_positions.unsqueeze(-1) - key_positions.unsqueeze(-2)).unsqueeze(1)
    least, most = (int(x) for x in between.aminmax()) if between.numel() else (0, 0)
    return Distances(least, most, between)


def wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x if x.dtype == torch.float64 else x.float()


class Met(NamedTuple):
    """Queries that meet keys."""

    query: Tensor  # (b h q e), before `ask`
    key: Tensor  # (b h k ·), as the score reads it
    product: Product  # of a score that is a dot product
    distances: Callable[[], Distances]
    scores: Tensor | None  # (b h q k), without a term; None where the kernel does not make them
    visible: Tensor | None  # broadcast to (b h q k)
    demand: Tensor | None  # (b h q ·), where the kind makes something of the states that ask


class Relative(nn.Module):
    """Base of the relative kinds; itself the kind that changes nothing."""

    learned: ClassVar[bool] = False
    pairs: ClassVar[bool] = True  # what it does hangs on the places of a query and a key, not on what lies between
    of_distance: ClassVar[bool] = False  # whether `bias` reads the distances of positions alone
    whole: bool = False
    widens: int = 1  # how many times wider a turned key is

    def angles(self, positions: Tensor, *, side: Side, lengths: Callable[[], Tensor]) -> tuple[Tensor, ...] | None:
        """What `turn` needs of positions (b|1 n), made once a forward pass; None where nothing turns.

        `lengths` (b|1 n): tokens of the text that each place belongs to.
        """
        return None

    def turn(self, x: Tensor, angles: tuple[Tensor, ...]) -> Tensor:
        """Queries or keys (b h n e) to the same shape, or `widens` times as wide."""
        return x

    def back(self, x: Tensor, angles: tuple[Tensor, ...]) -> Tensor:
        """Mixtures of turned keys (b h n e) as a query meets them: the transpose of the turn that its angles make."""
        return x

    def ask(self, query: Tensor) -> Tensor:
        """Turned queries (b h q e) as they are compared with keys."""
        return query

    def demand(self, states: Tensor) -> Tensor | None:
        """Of the states that ask (b q d): (b h q ·), which `term` reads; None where it reads nothing of them."""
        return None

    def keep(self, memory: Tensor) -> tuple[Tensor, ...]:
        """Of the states that keys are made of (b k d): at most one tensor (b · k ·)."""
        return ()

    def term(self, met: Met) -> Tensor | None:
        """(b h q k); None where nothing is added."""
        return None

    def bias(self, query_positions: Tensor, key_positions: Tensor, distances: Callable[[], Distances]) -> Tensor | None:
        """(b|1 h q k), for positions (b|1 q) and (b|1 k); None where nothing is added."""
        return None

    def fade(self, kept: tuple[Tensor, ...], *, queries: int) -> Tensor | None:
        """(b h q k), the queries being the last of the keys; None where nothing is added."""
        return None

    def carry(self, weights: Tensor, distances: Callable[[], Distances]) -> Tensor | None:
        """(b h q v) of weights (b h q k); None where nothing is added."""
        return None
