"""One number a head: what kind of map it is. Means over the queries that see a key; a head with none has 0 everywhere.

With w (q k) the shares of one head (each row of weights over its sum, which is 1 unless the normalizer promises none),
p(q) the place a query stands at among the keys, and m the mean row:

    entropy       mean_q  - sum_k w log w                            nats: 0 looks at one key, log K at all alike
    information   H(m) - entropy                                     nats: what the query tells of the place looked at
    distance      mean_q  sum_k w |p(q) - k|                         tokens
    diagonal      mean_q  sum_k w [ |p(q) - k| <= 1/2 ]              share on the query's own place
    first         mean_q  w[q, 0]                                    share on the first key
    peak          mean_q  max_k w                                    largest share of a row
    coverage      mean_k  min(1, sum_q w)                            how much of the keys is looked at

`information` is the mutual information between the query and the key drawn from its row: a head that always looks at
the same key has none however sharp it is, one that aligns two texts has much. p(q) = q in self-attention; between two
texts it is the same relative place, q (K - 1) / (Q - 1).

A key that gets a share of 1 or more of all rows together is covered; where there are fewer queries than keys the most
is Q / K. They are made block by block (attncli/maps/reducing.py), so a map of any length has them.

Sources: entropy and distance as Clark et al. 2019, arXiv:1906.04341, sections 3 and 3.3; first as their separator mass;
coverage as in the penalty of Wu et al. 2016, arXiv:1609.08144, eq. 14, without its logarithm.
"""

from attncli.maps.record import AttentionMap
from attncli.maps.summary import STATISTICS, Numbers

__all__ = ["STATISTICS", "most_telling", "statistics"]


def statistics(attention: AttentionMap) -> dict[str, Numbers]:
    """Each statistic of every head, (head,)."""
    return attention.summary.statistics


def most_telling(attentions: tuple[AttentionMap, ...]) -> tuple[AttentionMap, int]:
    """The map and head whose queries tell most about where they look; cross-attention first, where there is one."""
    candidates = [a for a in attentions if a.kind == "cross"] or list(attentions)
    scored = [(float(value), a, head) for a in candidates for head, value in enumerate(statistics(a)["information"])]
    _, attention, head = max(scored, key=lambda entry: entry[0])
    return attention, head
