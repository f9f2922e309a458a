"""How well a query fits a key. Mirrored by attncli/nn/scores.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Count, Derived, Fault, Kinds, Positive, Spec


class ScaledDot(Spec):
    """scale q.k, with scale 1/sqrt(d_head) unless another is written. Vaswani et al. 2017, arXiv:1706.03762, eq. 1.

    `scale: learned` is one number a head that starts at 1/sqrt(d_head).
    """

    kind: Literal["scaled_dot"] = "scaled_dot"
    scale: Annotated[Positive | Literal["learned"], Derived("1/sqrt(d_head)")]


class Dot(Spec):
    """q.k, unscaled. Luong et al. 2015, arXiv:1508.04025, eq. 8 "dot"."""

    kind: Literal["dot"] = "dot"


class Cosine(Spec):
    """temperature cos(q, k). Henry et al. 2020, arXiv:2010.04245, eq. 4; one temperature a head where it is learned."""

    kind: Literal["cosine"] = "cosine"
    temperature: Positive | Literal["learned"] = "learned"


class General(Spec):
    """q W k, unscaled, with a W for each head. Luong et al. 2015, arXiv:1508.04025, eq. 8 "general"."""

    kind: Literal["general"] = "general"


class BiasedDot(Spec):
    """(q.k + w_q.q + w_v.v) / sqrt(d_head): the founding article's "additive" attention (4.1.2).

    The query term is the same for every key of a row, so softmax cancels it; the value term moves the weights.
    """

    kind: Literal["biased_dot"] = "biased_dot"


class Trilinear(Spec):
    """w_q.q + w_k.k + w.(q * k) with three vectors a head, q * k feature by feature.

    Seo et al. 2017, arXiv:1611.01603, eq. 1: w.[q; k; q * k] with w cut in three. The query term is the same for every
    key of a row, so softmax cancels it.
    """

    kind: Literal["trilinear"] = "trilinear"


class Distance(Spec):
    """-|q - k|^2 / sqrt(d_head): the nearest key weighs most. Kim et al. 2021, arXiv:2006.04710, section 3.2 (L2).

    Unlike a dot product it cannot be raised by longer keys alone. They also tie the maps of query and key, which makes
    the attention Lipschitz; here the maps are free.
    """

    kind: Literal["distance"] = "distance"


class Synthesizer(Spec):
    """W relu(q) + b: one score for each key position from the query alone. Tay et al. 2020, arXiv:2005.00743, eq. 4.

    Their dense form, whose first map is the query map of the attention: no key is looked at, and none is made.
    """

    kind: Literal["synthesizer"] = "synthesizer"
    max_length: Count
    """Keys that the table has; a longer input is refused."""


class Additive(Spec):
    """w.tanh(Q q + K k), each head with its own Q, K and w. Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2."""

    kind: Literal["additive"] = "additive"
    d_hidden: Annotated[Count, Derived("d_head")]
    """Width of the tanh layer of one head."""


class Location(Spec):
    """W q: one score for each key position, whatever the key holds. Luong et al. 2015, arXiv:1508.04025, eq. 9."""

    kind: Literal["location"] = "location"
    max_length: Count
    """Keys that the table has; a longer input is refused."""


class Coverage(Spec):
    """w.tanh(Q q + K k + u c + b) where c is the sum of the weights that the key had in the steps before this one.

    See et al. 2017, arXiv:1704.04368, eq. 10 to 13; Tu et al. 2016, arXiv:1601.04811. The decoder learns what it has
    read already; the loss, sum over the keys of min(weight, c) at each predicted token, makes reading it again dear.
    """

    kind: Literal["coverage"] = "coverage"
    d_hidden: Annotated[Count, Derived("d_head")]
    """Width of the tanh layer of one head."""
    loss: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)] = 1.0
    """Factor of the coverage loss, which is added to the task's and reported by the attention's address."""


class LocationAware(Spec):
    """w.tanh(Q q + K k + U f + b) where f is the last step's weights around the key, convolved.

    Chorowski et al. 2015, arXiv:1506.07503, eq. 8 and 9. Before the first step every key of the row has one weight;
    padding has none. The gradient flows through the weights of earlier steps.
    """

    kind: Literal["location_aware"] = "location_aware"
    d_hidden: Annotated[Count, Derived("d_head")]
    """Width of the tanh layer of one head."""
    channels: Count = 10
    """Kernels of the convolution of one head."""
    kernel_size: Count = 31
    """Keys that a kernel covers, its centre among them; odd."""

    def faults(self) -> Iterator[Fault]:
        if self.kernel_size % 2 == 0:
            rule = f"a kernel of {self.kernel_size} keys has no centre"
            yield Fault(("kernel_size",), rule, f"write kernel_size: {self.kernel_size + 1}")


Score = Annotated[
    ScaledDot
    | Dot
    | Cosine
    | General
    | BiasedDot
    | Trilinear
    | Distance
    | Additive
    | Location
    | Synthesizer
    | Coverage
    | LocationAware,
    Kinds("score"),
]

SEQUENTIAL = (Coverage, LocationAware)
"""Scores that read the weights of earlier steps."""
