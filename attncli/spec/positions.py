"""How a model knows the order of its tokens. Mirrored by attncli/nn/positions.py.

Relative kinds belong to an attention, absolute ones to an input.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from attncli.spec.base import Count, Derived, Fault, Kinds, Positive, Spec


class NoPosition(Spec):
    """No positions: what is read is a bag of tokens."""

    kind: Literal["none"] = "none"


class Rotary(Spec):
    """Queries and keys turned by angles that grow with the position. Su et al. 2021, arXiv:2104.09864, eq. 34.

    `half` pairs feature i with i + d_rotary/2 (GPT-NeoX, Llama), `interleaved` 2i with 2i + 1 (the paper, GPT-J): the
    same model after a permutation of the rows of the query and key maps, another one without it.
    """

    kind: Literal["rotary"] = "rotary"
    base: Positive = 10000.0
    layout: Literal["half", "interleaved"] = "half"
    d_rotary: Annotated[Count, Derived("d_head")]
    """The first features of a head that are turned; even."""

    def faults(self) -> Iterator[Fault]:
        if self.d_rotary % 2:
            yield Fault(
                ("d_rotary",),
                f"d_rotary must be even, since features turn in pairs; it is {self.d_rotary}",
                "write an even d_rotary, not above d_head",
            )


class Alibi(Spec):
    """-m_h |q - k| added to the scores, with a slope m for each head. Press et al. 2022, arXiv:2108.12409, section 3.

    Slopes for a number of heads that is no power of two follow the recipe of the authors' code.
    """

    kind: Literal["alibi"] = "alibi"
    slopes: Literal["fixed", "learned"] = "fixed"


class T5(Spec):
    """A learned bias for each head and bucket of the distance k - q. Raffel et al. 2020, arXiv:1910.10683, section 2.1.

    Half of the buckets are exact distances, the rest grow with the logarithm up to max_distance; under a causal mask
    every bucket looks back.
    """

    kind: Literal["t5"] = "t5"
    buckets: Count = 32
    max_distance: Count = 128
    share: Literal["stack", "layer"] = "stack"
    """Who has a table of its own: the stack (as T5) or each layer."""

    def faults(self) -> Iterator[Fault]:
        if self.buckets % 4:
            yield Fault(
                ("buckets",),
                f"buckets must be a multiple of 4, for two sides and two halves; it is {self.buckets}",
                "write 32, as T5 does",
            )
        elif self.max_distance <= self.buckets // 2:
            yield Fault(
                ("max_distance",),
                f"max_distance {self.max_distance} lies within the exact buckets",
                f"write a distance above {self.buckets // 2}",
            )


Relative = Annotated[Rotary | Alibi | T5 | NoPosition, Kinds("position of an attention")]


class Sinusoidal(Spec):
    """Fixed waves of the position, added to the embeddings. Vaswani et al. 2017, arXiv:1706.03762, section 3.5."""

    kind: Literal["sinusoidal"] = "sinusoidal"
    base: Positive = 10000.0
    layout: Literal["interleaved", "concatenated"] = "interleaved"


class Learned(Spec):
    """A learned vector for each position below max_length. Gehring et al. 2017, arXiv:1705.03122, section 3.1."""

    kind: Literal["learned"] = "learned"


Absolute = Annotated[NoPosition | Sinusoidal | Learned, Kinds("position of an input")]
