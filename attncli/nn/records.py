"""What a tap is told of one attention: what the kernel read and gave, and how to make the rest of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Pairs(NamedTuple):
    """What joins some queries with some keys."""

    visible: Tensor | None  # bool, broadcast to (b h q k); None where all is visible
    bias: Tensor | None  # broadcast to (b h q k)
    factor: Tensor | None  # (b h q k) by which a span multiplies the weights
    term: Tensor | None  # (b h q k) what the position adds to the scores, where `bias` does not hold it


class Joining(Protocol):
    """What joins the queries and keys of an attention, made for as many at a time as there is room for."""

    def reach(self, rows: slice) -> slice:
        """Keys outside of which these queries surely see nothing; told without a look at pairs."""

    def pairs(self, rows: slice, keys: slice) -> Pairs:
        """That of these queries and keys."""


@dataclass(frozen=True)
class Held:
    """A Joining whose pairs are all there."""

    whole: Pairs
    keys: int

    def reach(self, rows: slice) -> slice:
        return slice(0, self.keys)

    def pairs(self, rows: slice, keys: slice) -> Pairs:
        return Pairs(*(None if each is None else _cut(each, rows, keys) for each in self.whole))


def _cut(x: Tensor, rows: slice, keys: slice) -> Tensor:
    """Some rows and columns of what is broadcast to (b h q k)."""
    return x[:, :, rows if x.shape[2] > 1 else slice(None), keys if x.shape[3] > 1 else slice(None)]


EVERY = slice(None)


class Record(NamedTuple):
    """One attention as it ran, handed to a tap while the layer runs.

    Nothing of the size (q k) is made before somebody asks: `part` gives the record of some rows, and a reader that goes
    through them block by block never holds a map. Of a whole record `visible`, `bias`, `factor` and `term` are whole.
    """

    address: str
    attention: Any
    query: Tensor  # (b h q e)
    key: Tensor  # (b g k ·), as the score reads it
    value: Tensor  # (b g k v)
    joining: Joining
    lse: Tensor | None  # (b h q) log-sum-exp, where the kernel tells it
    weights: Tensor | None  # (b h q k), where the kernel makes them; before dropout
    output: Tensor  # (b h q v) weights @ value
    query_positions: Tensor  # (b|1 q)
    key_positions: Tensor  # (b|1 k)
    query_real: Tensor | None  # (b q); None where every place holds a token
    key_real: Tensor | None  # (b k)
    kernel: str
    temperature: Tensor | None = None  # (b|1 1 q 1) factor on the scores
    total: Tensor | None = None  # (b h q) what a row of weights sums to, where that is not 1
    trail: tuple[Tensor, ...] = ()  # (b h k) each: what a step knew of those before it

    def part(self, rows: slice, keys: slice = EVERY) -> "Record":
        """The same of some queries, and of the keys outside of which these see nothing."""
        query_real, key_real = self.query_real, self.key_real
        return self._replace(
            query=self.query[:, :, rows],
            key=self.key[:, :, keys],
            value=self.value[:, :, keys],
            joining=Held(self.joining.pairs(rows, keys), len(range(self.key.shape[2])[keys])),
            lse=None if self.lse is None else self.lse[:, :, rows],
            weights=None if self.weights is None else self.weights[:, :, rows, keys],
            output=self.output[:, :, rows],
            query_positions=self.query_positions[:, rows],
            key_positions=self.key_positions[:, keys],
            query_real=None if query_real is None else query_real[:, rows],
            key_real=None if key_real is None else key_real[:, keys],
            temperature=None if self.temperature is None else self.temperature[:, :, rows],
            total=None if self.total is None else self.total[:, :, rows],
            trail=tuple(each[..., keys] for each in self.trail),
        )

    @property
    def visible(self) -> Tensor | None:
        """Bool, broadcast to (b h q k); None where all is visible."""
        return self.joining.pairs(EVERY, EVERY).visible

    @property
    def bias(self) -> Tensor | None:
        """Broadcast to (b h q k)."""
        return self.joining.pairs(EVERY, EVERY).bias

    @property
    def factor(self) -> Tensor | None:
        """(b h q k), by which a span multiplies the weights."""
        return self.joining.pairs(EVERY, EVERY).factor

    @property
    def term(self) -> Tensor | None:
        """(b h q k), what the position adds to the scores."""
        return self.joining.pairs(EVERY, EVERY).term


Tap = Callable[[Record], None]
