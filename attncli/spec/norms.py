"""Normalization of a vector of features. Mirrored by attncli/nn/norms.py."""

from typing import Annotated, Literal

from attncli.spec.base import Bool, Kinds, Positive, Spec


class RmsNorm(Spec):
    """x / sqrt(mean(x^2) + epsilon) g. Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4."""

    kind: Literal["rms_norm"] = "rms_norm"
    epsilon: Positive = 1e-6


class LayerNorm(Spec):
    """(x - mean) / sqrt(variance + epsilon) g + b. Ba et al. 2016, arXiv:1607.06450, eq. 4."""

    kind: Literal["layer_norm"] = "layer_norm"
    epsilon: Positive = 1e-5
    bias: Bool = True


class NoNorm(Spec):
    """The vector as it is."""

    kind: Literal["none"] = "none"


Norm = Annotated[RmsNorm | LayerNorm | NoNorm, Kinds("norm")]
NormPlace = Literal["pre", "post"]
"""pre x + f(norm(x)) (Xiong et al. 2020, arXiv:2002.04745); post norm(x + f(x)) (Vaswani et al. 2017)."""
