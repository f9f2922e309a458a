"""Positions that what the tokens hold takes part in. Mirrored by attncli/nn/positions/contents.py.

What such a kind adds to a score is part of it: it is scaled with it, and precedes soft_cap.
"""

from typing import Literal

from attncli.spec.base import Count, Spec
from attncli.spec.positions.biases import Share


class Shaw(Spec):
    """(q . (k + a_d)) scale, with a learned vector a for each distance d = k - q, cut to ±max_distance; `both`: and
    sum_k w (v + b_d), with vectors b of the values. Shaw et al. 2018, arXiv:1803.02155, section 3. All heads read
    one table.
    """

    kind: Literal["shaw"] = "shaw"
    max_distance: Count
    on: Literal["keys", "both"] = "both"
    share: Share = "layer"
    """Who has tables of its own: the stack or each layer."""


class TransformerXl(Spec):
    """((q + u) . k + (q + w) . W r_d) scale, with d = q - k, r the sinusoidal vector (d_model) of the distance, sines
    first. Dai et al. 2019, arXiv:1901.02860, section 3.3.

    u and w are vectors of each head, W a map of each layer. Exact for keys on both sides.
    """

    kind: Literal["transformer_xl"] = "transformer_xl"
    share: Share = "stack"
    """Who has u and w of its own: the stack (as the authors) or each layer."""


class Disentangled(Spec):
    """(q . k + q . K_d + k . Q_d') scale / sqrt(3): content to content, to position, and position to content.
    He et al. 2021, arXiv:2006.03654, eq. 4.

    K = P W_K and Q = P W_Q are maps of each layer, P a learned table (2 max_distance, d_model) of the stack, read at
    row max_distance + distance, cut to the table. d is q - k; d' is k - q in the paper, and q - k in the authors'
    released code: two different models, since K and Q have one P.
    """

    kind: Literal["disentangled"] = "disentangled"
    max_distance: Count
    key_distance: Literal["paper", "released"] = "paper"
    """Which way the distance of the third term is counted."""


class Bank(Spec):
    """(x_q R) . p_d added to the score, with d = q - k from 0 to extent - 1, and nothing at other distances: the state
    that asks says how much each of d_bank learned profiles of the distance counts. Inkling 2026: code without a paper.

    R (d_model, heads d_bank) is of each head, the profiles p of all heads of a layer; they start at 0.
    """

    kind: Literal["bank"] = "bank"
    extent: Count
    """Distances that have a number of their own; in tokens."""
    d_bank: Count = 16
    """Profiles that a head mixes."""


class Cope(Spec):
    """q . e_p added to the scores s, with p = sum of sigmoid(s) over the keys that are seen from the key to the query:
    the model says what it counts. Golovneva et al. 2024, arXiv:2405.18719, eq. 3 to 5, and their listing.

    Between whole positions e is interpolated; p is cut at maximum. e is one table a layer for all heads; the added
    product is not scaled. Needs a causal mask.
    """

    kind: Literal["cope"] = "cope"
    maximum: Count
    """The last position that is told apart; the table has one row more."""


class Forgetting(Spec):
    """sum of ln f_t over t = k + 1 … q added to the scores, with f_t = sigmoid(x_t W + b), a number a head: each token
    says how much of its past is kept. Lin et al. 2025, arXiv:2503.02130, section 3. Needs a causal mask.
    """

    kind: Literal["forgetting"] = "forgetting"
