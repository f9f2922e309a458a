"""Rows of like length in passes of their own, so that little padding is computed: rows never see each other.

Which rows go together is chosen from the lengths alone: the cut with the fewest places, padding included, where one
more pass counts as much as PASS places. It is found over at most BINS widths, in BINS^2 steps.
Shapes: b rows, n places.
"""

from bisect import bisect_left

import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn.states import Memory, States
from attncli.streams import Stream

PASS = 128
BINS = 16


def rows_together(lengths: list[int]) -> list[list[int]]:
    """The rows of each pass, the shortest first."""
    step = -(-max(lengths) // BINS)
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    edges = [step * (bin + 1) for bin in range(BINS)]
    ends = [bisect_left(order, edge + 1, key=lambda row: lengths[row]) for edge in edges]
    best: list[tuple[int, int]] = []  # (places and passes up to the end of a bin, the bin before its pass)
    for last, end in enumerate(ends):
        widest = lengths[order[end - 1]] if end else 0
        starts = [(0, 0, -1)] + [(best[bin][0], ends[bin], bin) for bin in range(last)]
        best.append(min((cost + (PASS + (end - start) * widest) * (end > start), bin) for cost, start, bin in starts))
    passes, last = [], BINS - 1
    while last >= 0:
        before = best[last][1]
        passes.append(order[ends[before] if before >= 0 else 0 : ends[last]])
        last = before
    return [rows for rows in reversed(passes) if rows]


def groups_of(tokens: Stream) -> list[list[int]] | None:
    """The passes of a padded stream on the CPU; None where one is best, or where asking would make a device wait."""
    apart = tokens.padded and tokens.plain and not tokens.packed and tokens.values.device.type == "cpu"
    if not apart or torch.compiler.is_compiling():
        return None
    lengths: list[int] = tokens.lengths.tolist()
    if not lengths or len(lengths) * tokens.values.shape[1] - sum(lengths) <= PASS:
        return None
    groups = rows_together(lengths)
    return groups if len(groups) > 1 else None


def chosen(tokens: Stream, index: Tensor) -> Stream:
    """Some rows, as wide as the longest of them."""
    if not tokens.plain or tokens.packed:
        return tokens.select(index)
    lengths = tokens.lengths[index]
    width = max(int(lengths.max()), 1)
    return tokens.select(index).cut(width, padded=bool((lengths < width).any()))


def read_by(memory: Memory, index: Tensor) -> Memory:
    """What some rows read of other stacks."""
    found = {}
    for name, states in memory.items():
        stream = chosen(states.stream, index)
        found[name] = States(states.values[index, : stream.values.shape[1]], stream)
    return found


def joined(parts: list[Tensor], groups: list[list[int]], width: int) -> Tensor:
    """The states (b n d) of all rows in their order, 0 behind the places of a group."""
    padded = [F.pad(part, (0, 0, 0, width - part.shape[1])) for part in parts]
    order = torch.tensor([row for rows in groups for row in rows])
    return torch.cat(padded).index_select(0, order.argsort())
