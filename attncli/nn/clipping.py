"""Bounding the scores of a head by its maps, after an optimizer step. Mirrors `qk_clip` of attncli/spec/attention.py.

    s = max scale q . k of the step;  where s > tau: W_q and W_k by (tau / s)^(1/2), or W_q by tau / s

Kimi Team 2025 (K2), arXiv:2507.20534, section 2.1. A key that other heads, layers or the values read too is left as it
is, as the paper leaves the turned key that all heads share.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from attncli.nn.attention import Attention


@torch.no_grad()
def clip_maps(attentions: Iterable[Attention]) -> None:
    """Scale the maps of every head whose largest score of the step was above its tau, and forget the step.

    Attentions that share their weights are scaled once, by the largest score of them all.
    """
    found: dict[int, tuple[Attention, Tensor]] = {}
    for attention in attentions:
        watch = attention.watch
        if watch is None or watch.largest is None:
            continue
        weight = attention.query.weight
        assert isinstance(weight, Tensor)
        largest = found[id(weight)][1].maximum(watch.largest) if id(weight) in found else watch.largest
        found[id(weight)] = (attention, largest)
        watch.largest = None
    for attention, largest in found.values():
        assert attention.watch is not None
        factor = (attention.watch.tau / largest).clamp(max=1)
        if attention.watch.own_key:
            factor = factor.sqrt()
            _scale(attention.key, factor)
        _scale(attention.query, factor)


def _scale(map: nn.Module, factor: Tensor) -> None:
    """Multiply the rows of each head, and their bias."""
    for parameter in map.parameters():
        rows = parameter.view(len(factor), -1)
        rows.mul_(factor.to(rows).unsqueeze(1))
