"""How the scores of one query become weights over its keys. Mirrored by attncli/nn/normalizers.py."""

from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Kinds, Spec


class Softmax(Spec):
    """exp(s) / sum exp(s)."""

    kind: Literal["softmax"] = "softmax"


class Sum(Spec):
    """f(s) / sum f(s): plain normalization, as in section 3.1.2 of the founding article with f = relu.

    Weights need scores that are not negative, so f makes them so. A row whose sum is 0 gives zeros.
    """

    kind: Literal["sum"] = "sum"
    activation: Literal["relu", "absolute", "square", "softplus"] = "relu"


class Sparsemax(Spec):
    """The point of the simplex that is nearest to the scores; many weights are exactly 0.

    Martins & Astudillo 2016, arXiv:1602.02068, eq. 2.
    """

    kind: Literal["sparsemax"] = "sparsemax"


class Entmax(Spec):
    """[(alpha - 1) s - tau]_+ ^ (1 / (alpha - 1)), between softmax (alpha to 1) and sparsemax (alpha = 2) and beyond.

    Peters et al. 2019, arXiv:1905.05702, eq. 10.
    """

    kind: Literal["entmax"] = "entmax"
    alpha: Annotated[float, Field(gt=1, le=8, strict=True)] = 1.5


Normalizer = Annotated[Softmax | Sum | Sparsemax | Entmax, Kinds("normalizer")]
