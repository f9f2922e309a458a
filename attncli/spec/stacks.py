"""A stack of Transformer layers. Mirrored by attncli/nn/stacks.py."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Discriminator, Tag

from attncli.spec.attention import ATTENTIONS, AnyAttention, Attention, Cross, CrossAttention
from attncli.spec.base import Absent, Count, Derived, Fault, Int, Rate, Spec, Text
from attncli.spec.feedforward import Feedforward
from attncli.spec.inputs import Input
from attncli.spec.norms import Norm, NormPlace
from attncli.spec.residuals import Residual

Branch = Literal["attention", "cross_attention", "feedforward", "norm"]
BRANCHES: tuple[Branch, ...] = ("attention", "cross_attention", "feedforward", "norm")


class Override(Spec):
    """One branch of `order` with keys of its own there, over those of its layer."""

    attention: Annotated[Attention | None, Absent] = None
    cross_attention: Annotated[Cross | None, Absent] = None
    feedforward: Annotated[Feedforward | None, Absent] = None
    norm: Annotated[Norm | None, Absent] = None

    @property
    def branch(self) -> Branch:
        """The branch that it is."""
        return next(name for name in BRANCHES if getattr(self, name) is not None)

    def faults(self) -> Iterator[Fault]:
        named = [name for name in BRANCHES if getattr(self, name) is not None]
        if len(named) != 1:
            yield Fault(
                (), "an element of order is one branch", "write `{feedforward: {…}}`, or a list for side by side"
            )


def _sort_of(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[list]"
    return "[override]" if isinstance(value, (dict, Override)) else "[word]"


_Single = Annotated[Branch, Tag("[word]")] | Annotated[Override, Tag("[override]")]
_Item = Annotated[_Single, Discriminator(_sort_of)]
_Beside = Annotated[tuple[_Item, ...], Tag("[list]")]
Item = Annotated[_Single | _Beside, Discriminator(_sort_of)]
"""A branch, a branch with keys of its own, or branches side by side: one input, one norm, outputs added."""


class Placed(NamedTuple):
    """A branch where it stands in a layer."""

    branch: Branch
    place: int
    """0 for the first of its name."""
    step: int
    """Index in `order`; branches side by side have one."""
    part: AnyAttention | Feedforward | Norm
    overridden: bool
    where: tuple[str | int, ...]
    """The keys that lead from the layer to the part."""

    @property
    def address(self) -> str:
        """`feedforward`, `feedforward.1` for the second."""
        return self.branch if self.place == 0 else f"{self.branch}.{self.place}"


class Layer(Spec):
    """Branches on one residual stream, in `order`; `repeat` layers alike, each with weights of its own."""

    repeat: Count = 1
    share: Literal["none", "all", "attention", "feedforward"] = "none"
    """Which branches have one set of weights for all repeats. Lan et al. 2020, arXiv:1909.11942, section 3.1."""
    same_as: Annotated[Int | None, Absent] = None
    """The earlier layer, counted from 0, whose weights `share` takes; what a group repeated with `share` becomes."""
    name: Annotated[Text | None, Absent] = None
    order: Annotated[tuple[Item, ...], Derived("attention, cross_attention if written, feedforward")]
    attention: Annotated[Attention | None, Absent] = None
    cross_attention: Annotated[Cross | None, Absent] = None
    feedforward: Annotated[Feedforward | None, Absent] = None
    norm: Annotated[Norm | None, Absent] = None
    """Of the stream itself, where `order` names it; what stands here is also the default of the branches."""
    dropout: Annotated[Rate, Derived("the stack's")]
    """On the output of each branch."""

    def placed(self) -> list[Placed]:
        """Every branch in the order of the forward pass."""
        seen: dict[str, int] = {}
        found = []
        for step, where, item in self._items():
            overridden = isinstance(item, Override)
            branch: Branch = item.branch if isinstance(item, Override) else item
            part = getattr(item if overridden else self, branch)
            keys = (*where, branch) if overridden else (branch,)
            found.append(Placed(branch, seen.setdefault(branch, 0), step, part, overridden, keys))
            seen[branch] += 1
        return found

    @property
    def attentions(self) -> list[AnyAttention]:
        """Every attention of the layer to its own stack."""
        return [each.part for each in self.placed() if each.branch == "attention" and isinstance(each.part, ATTENTIONS)]

    @property
    def crosses(self) -> list[tuple[CrossAttention, tuple[str | int, ...]]]:
        """Every attention of the layer to another stack, with the keys that lead to it."""
        return [(each.part, each.where) for each in self.placed() if isinstance(each.part, CrossAttention)]

    def _items(self) -> Iterator[tuple[int, tuple[str | int, ...], Branch | Override]]:
        for step, item in enumerate(self.order):
            if isinstance(item, tuple):
                for index, one in enumerate(item):
                    yield step, ("order", step, index), one
            else:
                yield step, ("order", step), item

    def faults(self) -> Iterator[Fault]:
        for _, where, item in self._items():
            if not isinstance(item, Override) and getattr(self, item) is None:
                yield Fault(where, f"order names '{item}', which this layer has not", f"write {item}, or leave it out")
        for step, beside in enumerate(self.order):
            if isinstance(beside, tuple) and len(beside) < 2:
                yield Fault(("order", step), "side by side are two branches or more", "take the inner brackets away")
        if self.share != "none" and self.repeat == 1 and self.same_as is None:
            yield Fault(("share",), "one layer has nobody to share with", "write repeat, or leave share out")
        if self.same_as is not None and self.share == "none":
            yield Fault(("same_as",), "it shares nothing", "write share: all")


class Transformer(Spec):
    """Layers of attention and feed-forward maps. Vaswani et al. 2017, arXiv:1706.03762, section 3."""

    kind: Literal["transformer"] = "transformer"
    d_model: Count = 256
    max_length: Count = 1024
    """Positions that tables have; a longer row is refused."""
    segment_memory: Annotated[Count | None, Absent] = None
    """States before this segment of a text, of max_length tokens, that each layer keeps without a gradient and reads as
    further keys. A key is seen where k >= q // max_length * max_length - segment_memory, beside what the mask says.
    Dai et al. 2019, arXiv:1901.02860, section 3.2."""
    input: Annotated[Input, Derived("tokens")]
    dropout: Rate = 0.1
    """On the output of each branch; what lies inside a branch has its own."""
    stochastic_depth: Rate = 0.0
    """Share of the rows that skip a branch of the last layer while training; it falls linearly to the first layer, and
    the rows that stay are scaled up. Huang et al. 2016, arXiv:1603.09382, eq. 4."""
    norm: Annotated[Norm, Derived("rms_norm; none where norm_place is none")]
    norm_place: Annotated[NormPlace, Derived("pre")]
    residual: Annotated[Residual, Derived("add")]
    final_norm: Annotated[Norm, Derived("norm; none where norm_place is post or none, or order ends in norm")]
    layers: Annotated[tuple[Layer, ...], Derived("6 layers alike")]

    def faults(self) -> Iterator[Fault]:
        before: list[Layer] = []
        for index, layer in enumerate(self.layers):
            if layer.same_as is not None:
                yield from self._borrowed(index, layer, before)
            before += [layer] * layer.repeat

    @staticmethod
    def _borrowed(index: int, layer: Layer, before: list[Layer]) -> Iterator[Fault]:
        where, first = ("layers", index, "same_as"), layer.same_as or 0
        others = before[first : first + layer.repeat]
        plain = {"repeat": 1, "share": "none", "same_as": None}
        if len(others) < layer.repeat:
            yield Fault(where, f"it is no layer before this one; those are {len(before)}", "count from 0")
        elif any(other.model_copy(update=plain) != layer.model_copy(update=plain) for other in others):
            yield Fault(where, f"layer {first} is of another form", "write the same keys in both, or share less")

    @property
    def longest(self) -> int:
        """Tokens of the longest text that may be read and written in one piece."""
        return self.max_length + (self.segment_memory or 0)

    @property
    def depth(self) -> int:
        """Layers, with every repeat."""
        return sum(layer.repeat for layer in self.layers)

    @property
    def crosses(self) -> list[CrossAttention]:
        """Every attention to another stack."""
        return [cross for layer in self.layers for cross, _ in layer.crosses]

    def expanded(self) -> Iterator[Layer]:
        """Each layer, in the order of the forward pass."""
        for layer in self.layers:
            for _ in range(layer.repeat):
                yield layer

    def owners(self) -> list[dict[str, int]]:
        """For each layer and branch, the layer whose weights it has: its own number where it has its own."""
        found: list[dict[str, int]] = []
        for layer in self.layers:
            first = len(found)
            for visit in range(layer.repeat):
                number = len(found)
                other = found[layer.same_as + visit] if layer.same_as is not None else found[first] if visit else {}
                shared = other if layer.share != "none" else {}
                found.append({
                    name: shared.get(name, number) if layer.share in ("all", name) else number for name in BRANCHES
                })  # fmt: skip
        return found
