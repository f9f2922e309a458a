"""Normalization of a vector of features. Mirrored by attncli/nn/norms.py."""

from typing import Annotated, Literal

from attncli.spec.base import Bool, Kinds, Positive, Spec


class RmsNorm(Spec):
    """x / sqrt(mean(x^2) + epsilon) g. Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4."""

    kind: Literal["rms_norm"] = "rms_norm"
    epsilon: Positive = 1e-6
    gain: Literal["plain", "one_plus"] = "plain"
    """`one_plus` multiplies by 1 + g with g from 0, as Gemma does: weight decay then draws the gain to 1, not to 0."""


class LayerNorm(Spec):
    """(x - mean) / sqrt(variance + epsilon) g + b. Ba et al. 2016, arXiv:1607.06450, eq. 4."""

    kind: Literal["layer_norm"] = "layer_norm"
    epsilon: Positive = 1e-5
    bias: Bool = True


class ScaleNorm(Spec):
    """x / max(|x|, epsilon) g with one number g for all features, from sqrt(d_model). Nguyen & Salazar 2019,
    arXiv:1910.05895, eq. 3."""

    kind: Literal["scale_norm"] = "scale_norm"
    epsilon: Positive = 1e-5


class DynamicTanh(Spec):
    """tanh(alpha x) g + b with one learned number alpha: no statistics of x at all. Zhu et al. 2025, arXiv:2503.10622,
    eq. 3."""

    kind: Literal["dyt"] = "dyt"
    alpha: Positive = 0.5
    """Where alpha starts."""


class NoNorm(Spec):
    """The vector as it is."""

    kind: Literal["none"] = "none"


Norm = Annotated[RmsNorm | LayerNorm | ScaleNorm | DynamicTanh | NoNorm, Kinds("norm")]
NormPlace = Literal["pre", "post", "sandwich", "output", "none"]
"""pre x + f(norm(x)) (Xiong et al. 2020, arXiv:2002.04745); post norm(x + f(x)) (Vaswani et al. 2017); sandwich
x + norm(f(norm(x))), two norms (Ding et al. 2021, arXiv:2105.13290, section 2.4); output x + norm(f(x)) (Liu et al.
2022, arXiv:2111.09883, section 3.2; OLMo 2); none x + f(x)."""
