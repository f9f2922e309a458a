"""What an indexer leaves of the keys, told in plain Python. Part of attncli/checking/oracle.py."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from attncli.checking.oracle_kinds import gaze_of
from attncli.checking.oracle_steps import over_heads
from attncli.reference.attention import Projections, Visible, split
from attncli.reference.indexer import index_scores, narrowed
from attncli.reference.vectors import Matrix, Vector, affine

Turn = Callable[[Vector, int, str, int], list[float]]


def scores_of(indexer: Any, x: Tensor, memory: Tensor, turn: Turn | None) -> list[list[float]]:
    """Index scores (q k) of states x (q d) over memory (k d)."""
    turned = turn or (lambda vector, at, side, head: list(vector))
    keys = [turned(affine(each, indexer.key.weight.tolist()), k, "key", 0) for k, each in enumerate(memory.tolist())]
    found = []
    for q, state in enumerate(x.tolist()):
        queries = split(affine(state, indexer.query.weight.tolist()), indexer.heads)
        weights = affine(state, indexer.weight.weight.tolist())
        found.append(index_scores([turned(each, q, "query", 0) for each in queries], weights, keys))
    return found


def windowed(module: Any, maps: Projections, x: Matrix, length: int, turn: Turn | None, visible: Visible) -> Visible:
    """What is visible within the window that each query of states x (q d) predicts in each head."""
    norm, gazes = over_heads(module.query_norm), []
    for q, state in enumerate(x):
        parts = norm(split(affine(state, maps.query, maps.query_bias), module.heads))
        turned = parts if turn is None else [turn(part, q, "query", head) for head, part in enumerate(parts)]
        gazes.append([gaze_of(module.span, head, part, length) for head, part in enumerate(turned)])
    return lambda q, k, h: visible(q, k, h) and gazes[q][h][k] > 0


def seen_through(indexer: Any, x: Tensor, memory: Tensor, turn: Turn | None, visible: Visible) -> Visible:
    """What is visible to queries of x where the indexer has chosen."""
    return narrowed(visible, scores_of(indexer, x, memory, turn), keys=indexer.keys)
