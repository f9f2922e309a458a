"""What each attention of a model was given, and gave: heard as the model runs, with the graph cut at each of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from attncli.nn.attention import Attention
from attncli.nn.model import Model
from attncli.nn.view import View
from attncli.spec.masks import Mask


@dataclass(eq=False)
class Read:
    """States of which an attention made keys and values."""

    module: Attention
    memory: Tensor  # (b k d), a leaf
    first: "Read | None"
    """Whose values were mixed in."""

    def all(self) -> Iterator["Read"]:
        """This one and those that it needs."""
        yield self
        if self.first is not None:
            yield from self.first.all()


@dataclass(eq=False)
class Call:
    """One answer of an attention."""

    module: Attention
    x: Tensor  # (b q d), a leaf
    read: Read
    view: View
    output: Tensor  # (b q d)


@dataclass
class _Ear:
    """Objects are known by their identity, so they are kept as long as one listens."""

    calls: list[Call] = field(default_factory=list)
    asked: dict[int, Tensor] = field(default_factory=dict)
    read: dict[int, Read] = field(default_factory=dict)
    ready: dict[int, tuple[Read, View]] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)

    def listen(self, module: Attention) -> None:
        ask, read, attend, ready, end = module.ask, module.read, module.attend, module.ready, module.end

        def hear_ask(x: Tensor, view: View) -> Any:
            leaf = x.detach().requires_grad_()
            made = ask(leaf, view)
            self.kept.append(made)
            self.asked[id(made)] = leaf
            return made

        def hear_read(memory: Tensor, view: View, first: Tensor | None = None) -> Any:
            leaf = memory.detach().requires_grad_()
            made = read(leaf, view, first)
            self.kept.append(made)
            mixes = module.value_residual is not None and first is not None
            self.read[id(made[1])] = Read(module, leaf, self.read[id(first)] if mixes else None)
            return made

        def hear_attend(asked: Any, projected: Any, view: View) -> Tensor:
            self.ready[id(asked)] = (self.read[id(projected[1])], view)
            return attend(asked, projected, view)

        def hear_ready(asked: Any, projected: Any, view: View) -> Any:
            self.ready[id(asked)] = (self.read[id(projected[1])], view)
            return ready(asked, projected, view)

        def hear_end(mixed: Tensor, asked: Any) -> Tensor:
            output = end(mixed, asked)
            self.calls.append(Call(module, self.asked[id(asked)], *self.ready[id(asked)], output))
            return output

        for name, hears in zip(HEARD, (hear_ask, hear_read, hear_attend, hear_ready, hear_end), strict=True):
            setattr(module, name, hears)


HEARD = ("ask", "read", "attend", "ready", "end")


@contextmanager
def listening(model: Model) -> Iterator[list[Call]]:
    """The calls of all attentions of the model, in their order. States that enter one are leaves of its graph."""
    ear, modules = _Ear(), list(outermost(model).values())
    for module in modules:
        ear.listen(module)
    try:
        yield ear.calls
    finally:
        for module in modules:
            for name in HEARD:
                delattr(module, name)


def outermost(model: Model) -> dict[str, Attention]:
    """The attentions by address, without those that are parts of others."""
    every = model.attentions()
    parts = {id(part) for each in every.values() for part in each.modules() if part is not each}
    return {address: each for address, each in every.items() if id(each) not in parts}


def by_module(calls: Sequence[Call]) -> dict[Attention, list[Call]]:
    """The calls of each attention."""
    found: dict[Attention, list[Call]] = {}
    for call in calls:
        found.setdefault(call.module, []).append(call)
    return found


@dataclass(frozen=True)
class Side:
    """The tokens of one row, queries or keys: padding is left out."""

    places: list[int]
    """Where they stand in the batch."""
    start: int
    """The position of the first one in its text."""
    carried: dict[str, list[int]]
    """What masks read of the data, a number each."""


def sides(view: View, row: int) -> tuple[Side, Side]:
    """The queries and the keys of a row."""
    return (
        _side(view.query_positions, view.query_real, view.query_carried, row),
        _side(view.key_positions, view.key_real, view.key_carried, row),
    )


def _side(positions: Tensor, real: Tensor | None, carried: Mapping[str, Tensor], row: int) -> Side:
    own = positions[row if len(positions) > 1 else 0].tolist()
    places = [place for place in range(len(own)) if real is None or bool(real[row, place])]
    start = own[places[0]] if places else 0
    assert [own[place] for place in places] == list(range(start, start + len(places))), "a row holds one text"
    return Side(places, start, {name: [int(each[row, at]) for at in places] for name, each in carried.items()})


def seen_in(mask: Mask, queries: Side, keys: Side) -> Callable[[int, int, int], bool]:
    """What the mask says of (query, key, head), asked with plain integers."""

    def sees(q: int, k: int, h: int) -> bool:
        given: dict[str, Any] = {}
        for name in mask.of_tokens - {"document"}:
            if name in queries.carried:
                given[f"{name}(q)"] = queries.carried[name][q - queries.start]
            if name in keys.carried:
                given |= {f"{name}(k)": keys.carried[name][k], f"most {name}": max(keys.carried[name])}
        for name in mask.of_samples:
            own = queries.carried.get(name)
            given[name] = keys.carried[name][k] if own is None else own[q - queries.start]
        sizes = {"q_length": len(queries.places), "k_length": len(keys.places), "document_q": 0, "document_k": 0}
        return bool(mask.allows(q, k, h=h, **sizes, carried=given))

    return sees
