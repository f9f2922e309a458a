"""How the scores of one query become weights over its keys. Mirrored by attncli/nn/normalizers.py."""

from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Count, Kinds, Positive, Real, Spec


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

    Peters et al. 2019, arXiv:1905.05702, eq. 10. `alpha: learned` is one number a head between 1.01 and 2 that starts
    at 1.5: Correia et al. 2019, arXiv:1909.00015, section 3.2, who let it come as near to 1 as a sigmoid can.
    """

    kind: Literal["entmax"] = "entmax"
    alpha: Annotated[float, Field(gt=1, le=8, strict=True)] | Literal["learned"] = 1.5


class Normmax(Spec):
    """The p of the simplex that makes p . s - |p|_alpha largest: sparse, and the more even the more keys it keeps.

    Santos et al. 2024, arXiv:2402.13725, section 3, on the norm entropy of Blondel et al. 2020, arXiv:1901.02324: p is
    [s - l]_+ ^ (1 / (alpha - 1)) over its sum, with the threshold l at which the numerators have an alpha-norm of 1
    (entmax has one at which they sum to 1). One key takes all where its score is ahead by 1, as in sparsemax.
    """

    kind: Literal["normmax"] = "normmax"
    alpha: Annotated[float, Field(gt=1, le=8, strict=True)] = 2.0


class Budget(Spec):
    """The point nearest to the scores of those with 0 <= p <= 1 that sum to `keys`: no key may take more than 1.

    clamp(s - tau, 0, 1): a query chooses about `keys` keys, and rows sum to that number, or to the number of keys where
    a row sees no more; a budget of 1 is sparsemax. Santos et al. 2024, arXiv:2402.13725, section 4: k-subsets.
    """

    kind: Literal["budget"] = "budget"
    keys: Count = 2


class Hard(Spec):
    """1 at the largest score, 0 elsewhere; the first of equal ones takes all. The gradient is that of softmax.

    The straight-through estimator of Bengio et al. 2013, arXiv:1308.3432, section 4, on a softmax in place of a
    sigmoid: without it no gradient would reach the scores.
    """

    kind: Literal["hard"] = "hard"


class Gumbel(Spec):
    """softmax((s + g) / temperature), each g drawn anew as -ln(-ln u) while training; without g in evaluation.

    Jang et al. 2017, arXiv:1611.01144, eq. 2, and Maddison et al. 2017, arXiv:1611.00712: the largest s + g is a draw
    from the softmax of s, and the temperature says how near a row comes to that one key.
    """

    kind: Literal["gumbel"] = "gumbel"
    temperature: Positive = 1.0


class Sigmoid(Spec):
    """1 / (1 + exp(offset - s)): each key is weighed alone, and a row may sum to any number.

    Ramapuram et al. 2024, arXiv:2409.04431, eq. 3, whose b is -offset. Without an offset a row's sum would grow with
    its length; `log_visible` is the logarithm of the number of keys that the row sees, where they take the length.
    """

    kind: Literal["sigmoid"] = "sigmoid"
    offset: Literal["log_visible"] | Real = "log_visible"


class Pointwise(Spec):
    """f(s) / the number of keys that the row sees, or f(s) itself: each key is weighed alone.

    Wortsman et al. 2023, arXiv:2309.08586, section 3, with f = relu over the length; relu_squared as So et al. 2021,
    arXiv:2109.08668.
    """

    kind: Literal["pointwise"] = "pointwise"
    activation: Literal["relu", "relu_squared", "softplus"] = "relu"
    divide_by: Literal["visible", "one"] = "visible"


class Signed(Spec):
    """sign(s) exp|s| / sum exp|s|: a key whose score is below 0 is taken away from the mixture, the lower the more.

    The sizes of a row sum to 1, the weights to any number between -1 and 1; a score of 0 has no weight. Lv et al. 2024,
    arXiv:2411.07176 (Cog attention), who keep softmax in the first and the last layer.
    """

    kind: Literal["signed"] = "signed"


class Queries(Spec):
    """exp(s_qk) / sum_q exp(s_qk), then each row over its sum: the queries compete for the keys.

    Slot attention, Locatello et al. 2020, arXiv:2006.15055, algorithm 1 (who add 1e-8 to the sum; here it is made of
    logarithms and cannot vanish). Every query takes part in the weights of all others: it is for stacks that read a
    whole text at once.
    """

    kind: Literal["queries"] = "queries"


class ForwardAttention(Spec):
    """a_k ~ (a'_k + a'_{k-1}) softmax(s)_k, where a' are the last step's weights: a key stays, or the next one follows.

    Zhang et al. 2018, arXiv:1807.06736, eq. 8 and 9. The first step starts from the first key. For speech and other
    pairs that are read in order; any score goes with it. Its decoder runs step by step.
    """

    kind: Literal["forward"] = "forward"


class MovingWindow(Spec):
    """softmax; outside of training over `keys` keys alone, from the one that weighed most in the last step on: a writer
    that can skip nothing and never goes back. Ping et al. 2018 (Deep Voice 3), arXiv:1710.07654, section 3.5.

    The first step starts from the first key. Training is plain softmax. Its decoder runs step by step.
    """

    kind: Literal["moving_window"] = "moving_window"
    keys: Count = 3


class Monotonic(Spec):
    """p = sigmoid(s): keys are tried one by one from the last one on, and k is stopped at with chance p_k.

    Raffel et al. 2017, arXiv:1704.00784, section 2.4. Training takes the expectation, a_k = p_k q_k with
    q_k = (1 - p_{k-1}) q_{k-1} + a'_k, so a row may sum to less than 1: nobody stopped. Its decoder runs step by step.
    """

    kind: Literal["monotonic"] = "monotonic"
    noise: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)] = 1.0
    """Standard deviation of what is added to the scores while training, which drives p to 0 or 1."""
    evaluation: Literal["hard", "expected"] = "hard"
    """Outside of training: the first key from the last one on with p >= 1/2 and no other, or the expectation."""


Normalizer = Annotated[
    Softmax
    | Sum
    | Sparsemax
    | Entmax
    | Normmax
    | Budget
    | Hard
    | Gumbel
    | Sigmoid
    | Pointwise
    | Signed
    | Queries
    | ForwardAttention
    | MovingWindow
    | Monotonic,
    Kinds("normalizer"),
]

SEQUENTIAL = (ForwardAttention, MovingWindow, Monotonic)
"""Normalizers that read the weights of earlier steps."""
