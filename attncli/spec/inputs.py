"""What a stack reads. Mirrored by attncli/nn/inputs.py."""

from typing import Annotated, Literal

from attncli.spec.base import Count, Derived, Kinds, Positive, Rate, Spec, Text
from attncli.spec.norms import NoNorm, Norm
from attncli.spec.positions import Absolute


class Tokens(Spec):
    """scale * E[id] + position, then norm, then dropout, then a map to d_model if the width differs."""

    kind: Literal["tokens"] = "tokens"
    field: Annotated[Text, Derived("source and target in seq2seq, else text")]
    d_embedding: Annotated[Count, Derived("d_model")]
    scale: Annotated[Positive | Literal["sqrt_d_model", "none"], Derived("sqrt_d_model beside a sinusoidal position")]
    position: Annotated[Absolute, Derived("none, unless written")]
    norm: Norm = NoNorm()
    dropout: Annotated[Rate, Derived("the stack's")]


Input = Annotated[Tokens, Kinds("input")]
