"""How far an attention reaches. Mirrored by attncli/nn/spans.py."""

from typing import Annotated, Literal

from pydantic import Field

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


class Adaptive(Spec):
    """Each head learns how far it looks: weights times m(x) = clamp((ramp + z - x) / ramp, 0, 1), divided by their sum.

    x = |q - k| in tokens, and z the span of the head, learned between 0 and `maximum`, 0 at the start. `loss` times
    the mean span of the heads is added to the task's loss, so that a head keeps no span that it does not use.
    Sukhbaatar et al. 2019, arXiv:1905.07799, eq. 3 to 5; their code divides by the sum plus 1e-8, this by the sum.
    """

    kind: Literal["adaptive"] = "adaptive"
    maximum: Count
    """The longest span; in tokens."""
    ramp: Count = 32
    """Tokens beyond the span over which weights fade to 0."""
    loss: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)] = 2e-6
    """For each token of span."""


class NoSpan(Spec):
    """As far as the mask lets it."""

    kind: Literal["none"] = "none"


Span = Annotated[NoSpan | Predicted | Adaptive, Kinds("span")]
