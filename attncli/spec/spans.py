"""How far an attention reaches around a place of its own choice. Mirrored by attncli/nn/spans.py."""

from typing import Annotated, Literal

from attncli.spec.base import Count, Kinds, Spec


class Predicted(Spec):
    """The query predicts the place p = S sigmoid(v . tanh(W q)) that it wants in a text of S keys, positions from 0.

    Keys farther than `half_width` D from p are hidden; then each weight is multiplied by exp(-(k - p)^2 / (2 (D/2)^2)),
    after the normalizer, and rows are not renormalised. Luong et al. 2015, arXiv:1508.04025, eq. 9 and 10: local-p.
    Their local-m is a mask, abs(q - k) <= 10. Each head predicts for itself.
    """

    kind: Literal["predicted"] = "predicted"
    half_width: Count
    """D, in tokens of what is read; 10 in the paper."""


class NoSpan(Spec):
    """As far as the mask lets it."""

    kind: Literal["none"] = "none"


Span = Annotated[NoSpan | Predicted, Kinds("span")]
