"""One number a head: what kind of map it is. Means over the queries that see a key; a head with none has 0 everywhere.

With w (q k) the shares of one head (each row of weights over its sum, which is 1 unless the normalizer promises none),
p(q) the place a query stands at among the keys, and m the mean row:

    entropy       mean_q  - sum_k w log w                            nats: 0 looks at one key, log K at all alike
    information   H(m) - entropy                                     nats: what the query tells of the place looked at
    distance      mean_q  sum_k w |p(q) - k|                         tokens
    diagonal      mean_q  sum_k w [ |p(q) - k| <= 1/2 ]              share on the query's own place
    first         mean_q  w[q, 0]                                    share on the first key
    peak          mean_q  max_k w                                    largest share of a row

`information` is the mutual information between the query and the key drawn from its row: a head that always looks at
the same key has none however sharp it is, one that aligns two texts has much. p(q) = q in self-attention; between two
texts it is the same relative place, q (K - 1) / (Q - 1).

Sources: entropy and distance as Clark et al. 2019, arXiv:1906.04341, sections 3 and 3.3; first as their separator mass.
"""

import numpy as np
from numpy.typing import NDArray

from attncli.maps.record import AttentionMap, Kind

STATISTICS = ("entropy", "information", "distance", "diagonal", "first", "peak")
"""The names, in the order to show."""

Numbers = NDArray[np.float64]


def statistics(attention: AttentionMap) -> dict[str, Numbers]:
    """Each statistic of every head, (head,)."""
    weights = np.abs(attention.weights.astype(np.float64))  # a difference of maps has weights below 0
    heads, queries, keys = weights.shape
    total = weights.sum(-1)
    seen = total > 0  # (h q)
    weights = weights / np.where(seen, total, 1.0)[:, :, None]
    own = weights[:, :, attention.ahead :]  # of the keys that stand at a place
    keys = own.shape[2]
    away = np.abs(_places(attention.kind, queries, keys)[:, None] - np.arange(keys)[None, :])  # (q k)

    def mean(rows: Numbers) -> Numbers:
        averaged: Numbers = np.where(seen, rows, 0.0).sum(-1) / np.maximum(seen.sum(-1), 1)
        return averaged

    entropy = mean(_entropy(weights))
    average = weights.sum(1) / np.maximum(seen.sum(-1), 1)[:, None]
    return {
        "entropy": entropy,
        "information": np.maximum(_entropy(average) - entropy, 0.0),
        "distance": mean((own * away).sum(-1)),
        "diagonal": mean((own * (away <= 0.5)).sum(-1)),
        "first": mean(own[:, :, 0]) if keys else np.zeros(heads),
        "peak": mean(weights.max(-1)) if keys else np.zeros(heads),
    }


def _entropy(weights: Numbers) -> Numbers:
    entropy: Numbers = -(weights * np.log(np.where(weights > 0, weights, 1.0))).sum(-1)
    return entropy


def _places(kind: Kind, queries: int, keys: int) -> Numbers:
    places = np.arange(queries, dtype=np.float64)
    return places if kind == "self" else places * max(keys - 1, 0) / max(queries - 1, 1)


def most_telling(attentions: tuple[AttentionMap, ...]) -> tuple[AttentionMap, int]:
    """The map and head whose queries tell most about where they look; cross-attention first, where there is one."""
    candidates = [a for a in attentions if a.kind == "cross"] or list(attentions)
    scored = [(float(value), a, head) for a in candidates for head, value in enumerate(statistics(a)["information"])]
    _, attention, head = max(scored, key=lambda entry: entry[0])
    return attention, head
