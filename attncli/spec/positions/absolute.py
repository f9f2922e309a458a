"""Positions that are added to what an input reads. Mirrored by attncli/nn/positions/absolute.py."""

from typing import Annotated, Literal

from attncli.spec.base import Kinds, Positive, Spec


class NoPosition(Spec):
    """No positions: what is read is a bag of tokens."""

    kind: Literal["none"] = "none"


class Sinusoidal(Spec):
    """Fixed waves of the position, added to the embeddings. Vaswani et al. 2017, arXiv:1706.03762, section 3.5."""

    kind: Literal["sinusoidal"] = "sinusoidal"
    base: Positive = 10000.0
    layout: Literal["interleaved", "concatenated"] = "interleaved"


class Learned(Spec):
    """A learned vector for each position below max_length. Gehring et al. 2017, arXiv:1705.03122, section 3.1."""

    kind: Literal["learned"] = "learned"


Absolute = Annotated[NoPosition | Sinusoidal | Learned, Kinds("position of an input")]
