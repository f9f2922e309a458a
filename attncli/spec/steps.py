"""Steps inside one attention that a spec may ask for. Mirrored by attncli/nn/steps.py."""

from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Count, Derived, Kinds, Positive, Spec
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


class Indexer(Spec):
    """A small attention of index heads chooses, for all heads, the `keys` keys that each query sees.

    I_qk = sum_j w_qj relu(a_qj . c_k) / sqrt(heads d_head), with queries a (heads d_head) and weights w of the states
    that ask and one key c (d_head) of each state that is read, turned where the attention's rotary turns its own. Of
    the keys that the mask shows, those with the largest I_qk stay, those that tie with the last one too. No gradient
    passes the choice: `loss` times KL(p || softmax(I)) over the chosen keys is added to the task's loss, p being the
    mean of the heads' weights, and moves the indexer alone. DeepSeek-AI 2025 (V3.2), arXiv:2512.02556, section 2.1, who
    first train it beside full attention: where texts are no longer than `keys`, a run does so by itself.
    """

    kind: Literal["indexer"] = "indexer"
    keys: Annotated[int, Field(ge=2, strict=True)]
    heads: Count = 4
    d_head: Annotated[Count, Derived("d_head of the attention")]
    """Width of an index query and of the index key."""
    loss: Positive = 1.0


class All(Spec):
    """Each query sees every key that the mask shows it."""

    kind: Literal["none"] = "none"


Select = Annotated[Top | Indexer | All, Kinds("select")]

LengthTemperature = Annotated[Llama4Temperature | NoTemperature, Kinds("length_temperature")]
