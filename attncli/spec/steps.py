"""Steps inside one attention that a spec may ask for. Mirrored by attncli/nn/steps.py."""

from typing import Annotated, Literal

from attncli.spec.base import Count, Kinds, Positive, Spec
from attncli.spec.norms import LayerNorm, NoNorm, RmsNorm


class _Over(Spec):
    over: Literal["head", "projection"] = "head"
    """What is one vector: each head (one gain for all heads), or all heads of a place together (OLMo 2)."""


class QkRmsNorm(_Over, RmsNorm):
    """rms_norm of queries and of keys, each with a gain of its own, after their maps and before they are turned.

    Bounds the scores, so that softmax cannot saturate as the maps grow. Henry et al. 2020, arXiv:2010.04245 (an L2
    norm); Dehghani et al. 2023, arXiv:2302.05442, section 2.1; over each head in Qwen3, over the projection in OLMo 2.
    """


class QkLayerNorm(_Over, LayerNorm):
    """layer_norm of queries and of keys, after their maps and before they are turned.

    Dehghani et al. 2023, arXiv:2302.05442, section 2.1.
    """


QkNorm = Annotated[QkRmsNorm | QkLayerNorm | NoNorm, Kinds("qk_norm")]


class Llama4Temperature(Spec):
    """scores times 1 + scale ln(1 + floor((p + 1) / floor)) for a query at position p: sharper far into a long text.

    Over more keys softmax flattens; the factor holds against it, and is 1 up to `floor`. Llama 4 (Meta 2025), after
    Nakanishi 2025, arXiv:2501.19399 (who multiplies by s ln n for n keys, s learned).
    """

    kind: Literal["llama4"] = "llama4"
    scale: Positive = 0.1
    floor: Count = 8192
    """Positions between one level and the next; in tokens."""


class NoTemperature(Spec):
    """The scores as they are, at every position."""

    kind: Literal["none"] = "none"


class Top(Spec):
    """Each query sees only the `keys` keys that score highest among those that the mask shows it.

    A key that scores exactly as the last of them stays too, so the order of the keys does not matter. No gradient tells
    which keys to choose. Zhao et al. 2019, arXiv:1912.11637, eq. 5.
    """

    kind: Literal["top"] = "top"
    keys: Count


class All(Spec):
    """Each query sees every key that the mask shows it."""

    kind: Literal["none"] = "none"


Select = Annotated[Top | All, Kinds("select")]

LengthTemperature = Annotated[Llama4Temperature | NoTemperature, Kinds("length_temperature")]
