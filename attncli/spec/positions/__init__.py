"""How a model knows the order of its tokens. Mirrored by attncli/nn/positions.

Relative kinds belong to an attention, absolute ones to an input. Rotary kinds turn queries and keys; biases read the
distance alone; the rest read what the tokens hold beside it.
"""

from typing import Annotated

from attncli.spec.base import Kinds
from attncli.spec.positions.absolute import Absolute, Learned, NoPosition, Sinusoidal
from attncli.spec.positions.biases import T5, Alibi, Kerple, LogDistance, Sandwich
from attncli.spec.positions.contents import Bank, Cope, Disentangled, Forgetting, Shaw, TransformerXl
from attncli.spec.positions.rotary import (
    DynamicNtk,
    Linear,
    Llama3,
    Longrope,
    NoScaling,
    Ntk,
    Pope,
    Rotary,
    Scaling,
    Xpos,
    Yarn,
)

Relative = Annotated[
    Rotary
    | Xpos
    | Pope
    | Alibi
    | T5
    | Kerple
    | Sandwich
    | LogDistance
    | Shaw
    | TransformerXl
    | Disentangled
    | Bank
    | Cope
    | Forgetting
    | NoPosition,
    Kinds("position of an attention"),
]

BACKWARD = (Xpos, Cope, Forgetting)
"""Kinds that have no meaning for a key behind its query: they need a causal mask."""

__all__ = [
    "BACKWARD",
    "T5",
    "Absolute",
    "Alibi",
    "Bank",
    "Cope",
    "Disentangled",
    "DynamicNtk",
    "Forgetting",
    "Kerple",
    "Learned",
    "Linear",
    "Llama3",
    "LogDistance",
    "Longrope",
    "NoPosition",
    "NoScaling",
    "Ntk",
    "Pope",
    "Relative",
    "Rotary",
    "Sandwich",
    "Scaling",
    "Shaw",
    "Sinusoidal",
    "TransformerXl",
    "Xpos",
    "Yarn",
]
