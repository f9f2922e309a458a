"""How much of each input token reaches each place through several layers, by their maps alone.

    A_l = (mean of the heads of layer l + 1) / 2, rows over their sums;   rollout R_l = A_l R_(l-1), R_0 = 1
    flow(i, j) = maximum flow from place i of the last layer to token j, edges of layer l with capacities A_l

Abnar and Zuidema 2020, arXiv:2005.00928, sections 3 and 4. One half stands for the residual connection, whatever its
true share: values, output maps and feed-forward maps are not looked at. Of a cross attention the rollout is R of the
places that ask, before it, times its map, times R of the stack that is read.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attncli.errors import InputError

Matrix = NDArray[np.float64]
TOKENS = 24
"""Tokens up to which flow is computed: it solves a problem for each pair of them."""
UNITS = 10**9
"""Capacities are whole numbers of this share, so that the flow is exact."""


def half_residual(weights: Matrix) -> Matrix:
    """A_l of a map (h q k) in which queries and keys are the same tokens."""
    mean = np.abs(weights).mean(0)
    mean = mean / np.maximum(mean.sum(1, keepdims=True), 1e-300) * (mean.sum(1, keepdims=True) > 0)
    both = mean + np.eye(len(mean))
    result: Matrix = both / both.sum(1, keepdims=True)
    return result


def rollout(maps: Sequence[Matrix]) -> list[Matrix]:
    """R_l (q k) after each of the maps (h q k), first layer first."""
    found: list[Matrix] = []
    for one in maps:
        step = half_residual(one)
        found.append(step if not found else step @ found[-1])
    return found


def flow(maps: Sequence[Matrix], *, place: str = "flow") -> Matrix:
    """(q k): the maximum flow from each place of the last layer to each token. Errors: InputError beyond TOKENS."""
    import networkx

    count = maps[0].shape[1]
    if count > TOKENS:
        raise InputError(
            f"{place}: {count} tokens, and flow is for at most {TOKENS}", help="take rollout, or less text"
        )
    graph = networkx.DiGraph()
    for layer, one in enumerate(maps):
        for i, row in enumerate(np.rint(half_residual(one) * UNITS).astype(int).tolist()):
            graph.add_node((layer + 1, i))
            graph.add_edges_from(
                ((layer + 1, i), (layer, j), {"capacity": share}) for j, share in enumerate(row) if share
            )
    residual = networkx.algorithms.flow.build_residual_network(graph, "capacity")
    found = np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            if (0, j) in graph:
                solved = networkx.algorithms.flow.preflow_push(
                    graph, (len(maps), i), (0, j), residual=residual, value_only=True
                )
                found[i, j] = solved.graph["flow_value"] / UNITS
    return found
