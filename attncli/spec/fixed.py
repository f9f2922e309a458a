"""What kinds of attention of one form have as constants where multi_head has keys."""

from typing import ClassVar, Literal

from attncli.spec.base import Spec
from attncli.spec.norms import NoNorm
from attncli.spec.spans import NoSpan
from attncli.spec.steps import All, NoTemperature

Projection = Literal["query", "key", "value", "output"]
PROJECTIONS: tuple[Projection, ...] = ("query", "key", "value", "output")
Maps = tuple[Projection, ...]


class Fixed(Spec):
    """What a kind has no key for: constants, so that one reader serves every kind."""

    maps_a_head: ClassVar[int] = 1
    projections: ClassVar[Maps] = PROJECTIONS
    second_projections: ClassVar[None] = None
    kv_from: ClassVar[None] = None
    values: ClassVar[Literal["own"]] = "own"
    qk_norm: ClassVar[NoNorm] = NoNorm()
    v_norm: ClassVar[NoNorm] = NoNorm()
    value_residual: ClassVar[Literal["none"]] = "none"
    persistent: ClassVar[int] = 0
    length_temperature: ClassVar[NoTemperature] = NoTemperature()
    soft_cap: ClassVar[None] = None
    talking_heads: ClassVar[Literal["none"]] = "none"
    selective: ClassVar[Literal["none"]] = "none"
    select: ClassVar[All] = All()
    key_dropout: ClassVar[float] = 0.0
    sink: ClassVar[Literal["none"]] = "none"
    span: ClassVar[NoSpan] = NoSpan()
    head_scale: ClassVar[Literal["none"]] = "none"
    output: ClassVar[Literal["linear"]] = "linear"
    without_kernel: ClassVar[tuple[str, ...]] = ()
    sums_to_one: ClassVar[bool] = True

    def maps(self, name: Projection) -> bool:
        """Every query, key and value is made by a map."""
        return True
