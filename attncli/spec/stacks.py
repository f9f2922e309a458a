"""A stack of Transformer layers. Mirrored by attncli/nn/stacks.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from attncli.spec.attention import Attention, Cross
from attncli.spec.base import Absent, Count, Derived, Fault, Rate, Spec, Text
from attncli.spec.feedforward import Feedforward
from attncli.spec.inputs import Input
from attncli.spec.norms import Norm, NormPlace

Branch = Literal["attention", "cross_attention", "feedforward"]


class Layer(Spec):
    """Branches on one residual stream, in `order`; `repeat` layers alike, each with weights of its own."""

    repeat: Count = 1
    name: Annotated[Text | None, Absent] = None
    order: Annotated[tuple[Branch, ...], Derived("attention, cross_attention if written, feedforward")]
    attention: Annotated[Attention | None, Absent] = None
    cross_attention: Annotated[Cross | None, Absent] = None
    feedforward: Annotated[Feedforward | None, Absent] = None
    dropout: Annotated[Rate, Derived("the stack's")]
    """On the output of each branch."""

    def faults(self) -> Iterator[Fault]:
        for name in ("attention", "cross_attention", "feedforward"):
            if name in self.order and getattr(self, name) is None:
                yield Fault(
                    ("order",), f"order names '{name}', which this layer has not", f"write {name}, or leave it out"
                )


class Transformer(Spec):
    """Layers of attention and feed-forward maps. Vaswani et al. 2017, arXiv:1706.03762, section 3."""

    kind: Literal["transformer"] = "transformer"
    d_model: Count = 256
    max_length: Count = 1024
    """Positions that tables have; a longer row is refused."""
    input: Annotated[Input, Derived("tokens")]
    dropout: Rate = 0.1
    """On the output of each branch; what lies inside a branch has its own."""
    norm: Annotated[Norm, Derived("rms_norm")]
    norm_place: Annotated[NormPlace, Derived("pre")]
    final_norm: Annotated[Norm, Derived("the stack's norm; none where norm_place is post")]
    layers: Annotated[tuple[Layer, ...], Derived("6 layers alike")]

    @property
    def depth(self) -> int:
        """Layers, with every repeat."""
        return sum(layer.repeat for layer in self.layers)

    def expanded(self) -> Iterator[Layer]:
        """Each layer, in the order of the forward pass."""
        for layer in self.layers:
            for _ in range(layer.repeat):
                yield layer
