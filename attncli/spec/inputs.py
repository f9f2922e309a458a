"""What a stack reads. Mirrored by attncli/nn/inputs.py."""

from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Absent, Count, Derived, Kinds, Positive, Rate, Spec, Text
from attncli.spec.norms import NoNorm, Norm
from attncli.spec.positions import Absolute


class Tokens(Spec):
    """scale * E[id] + S[segment] + position, then norm, then dropout, then a map to d_model if the width differs."""

    kind: Literal["tokens"] = "tokens"
    field: Annotated[Text, Derived("source and target in seq2seq, else text")]
    d_embedding: Annotated[Count, Derived("d_model")]
    scale: Annotated[Positive | Literal["sqrt_d_model", "none"], Derived("sqrt_d_model beside a sinusoidal position")]
    segments: Annotated[Annotated[int, Field(ge=2, strict=True)] | None, Absent] = None
    """A learned vector for each part of a text, which data.fields.text.column lists; a text of one part is all segment
    0. Devlin et al. 2019, arXiv:1810.04805, section 3."""
    position: Annotated[Absolute, Derived("none, unless written")]
    norm: Norm = NoNorm()
    dropout: Annotated[Rate, Derived("the stack's")]


Input = Annotated[Tokens, Kinds("input")]
