"""Biases of the distance between query and key, added to the scores. Mirrored by attncli/nn/positions/biases.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Count, Fault, Positive, Spec

Share = Literal["stack", "layer"]


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
    share: Share = "stack"
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


class Kerple(Spec):
    """A learned kernel of the distance d = |q - k| for each head, with a, p > 0. Chi et al. 2022, arXiv:2205.09921.

    `logarithm`: -a ln(1 + p d), the better one in the paper; `power`: -a d^p with p < 2, which is alibi at p = 1.
    """

    kind: Literal["kerple"] = "kerple"
    form: Literal["logarithm", "power"] = "logarithm"
    share: Share = "layer"
    """Who has numbers of its own: the stack or each layer."""


class Sandwich(Spec):
    """(H / 8h) sum_i cos((q - k) / base^(2i / width)) for head h = 1 … H: what two sinusoidal vectors share.
    Chi et al. 2023, arXiv:2212.10356, and their listing. Nothing is learned.
    """

    kind: Literal["sandwich"] = "sandwich"
    width: Annotated[int, Field(ge=2, multiple_of=2, strict=True)] = 128
    """Features of the sinusoidal vectors; even."""
    base: Positive = 10000.0


class LogDistance(Spec):
    """16 sigmoid(W_2 relu(W_1 x + b)), with x = sign(k - q) ln(1 + |k - q|): a network of the distance for all heads.
    Liu et al. 2022, arXiv:2111.09883, eq. 3 and 4 (the continuous bias of Swin V2), on a line.
    """

    kind: Literal["log_distance"] = "log_distance"
    d_hidden: Count = 512
    share: Share = "layer"
    """Who has a network of its own: the stack or each layer."""
