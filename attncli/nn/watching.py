"""The largest score of each head over one optimizer step, for clipping.py. Part of attncli/nn/attention.py."""

import torch
from torch import Tensor

ROWS = 256
"""Queries whose scores are made at a time."""


class Watch:
    """What the passes of one step leave for its end: the one thing that an attention keeps between calls.

    Cost: the lengths of queries and keys, since |q| |k| bounds their product; scores are made only of heads for which
    that bound is above tau, a block of queries at a time.
    """

    def __init__(self, *, tau: float, own_key: bool) -> None:
        self.tau = tau
        self.own_key = own_key  # a head's key is read by no other
        self.largest: Tensor | None = None  # (h)

    @torch.no_grad()
    def look(self, query: Tensor, key: Tensor, visible: Tensor | None, real: Tensor | None) -> None:
        """Queries (b h q e), with their scale, and keys (b h k e); `real` (b q) tells queries that are no padding."""
        query, key = (x if x.dtype == torch.float64 else x.float() for x in (query, key))
        if real is not None:
            query = query.masked_fill(~real[:, None, :, None], 0.0)
        most = query.norm(dim=-1).amax((0, 2)) * key.norm(dim=-1).amax((0, 2))
        high = (most > self.tau).nonzero().flatten()
        if not len(high):
            return
        largest = torch.zeros_like(most)
        seen = None if visible is None else visible.expand(-1, query.shape[1], -1, -1)[:, high]
        for start in range(0, query.shape[2], ROWS):
            rows = slice(start, start + ROWS)
            scores = query[:, high, rows] @ key[:, high].mT
            if seen is not None:
                scores = scores.masked_fill(~seen[:, :, rows], 0.0)
            largest[high] = largest[high].maximum(scores.amax((0, 2, 3)))
        self.largest = largest if self.largest is None else self.largest.maximum(largest)
