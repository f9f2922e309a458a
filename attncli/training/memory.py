"""What a stack with a memory carries from batch to batch: a named state, so that a resumed run recalls the same.

A row of a batch goes on where the same row of the batch before ended (attncli/data/plan.py); an epoch begins with an
empty memory. The last batch of an epoch may have fewer rows, the first ones.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from attncli.nn.model import Model
from attncli.nn.stacks import Transformer
from attncli.nn.states import States
from attncli.streams import Batch


class SegmentMemory:
    """The states that the next batch recalls, (b m d) of each attention."""

    def __init__(self, field: str, device: torch.device) -> None:
        self.field, self.device = field, device
        self.kept: tuple[Tensor, ...] = ()

    def given_to(self, batch: Batch) -> Batch:
        """The batch with what it recalls."""
        if not self.kept:
            return batch
        rows = len(batch[self.field].values)
        recalled = tuple(states[:rows] for states in self.kept)
        return {**batch, self.field: replace(batch[self.field], recalled=recalled)}

    def keep(self, parts: Sequence[States]) -> None:
        """Take over what the parts of a batch, which are runs of its rows, have left."""
        self.kept = tuple(torch.cat(states) for states in zip(*(part.left for part in parts), strict=True))

    def clear(self) -> None:
        """Forget all: the next batch begins its texts."""
        self.kept = ()

    def state_dict(self) -> dict[str, Any]:
        """The states by their number."""
        return {f"{number}": states for number, states in enumerate(self.kept)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over states."""
        self.kept = tuple(state[f"{number}"].to(self.device) for number in range(len(state)))


def memory_of(model: Model, device: torch.device) -> SegmentMemory | None:
    """An empty memory; None where no stack has one."""
    stack = model.stacks[model.head_stack]
    remembers = isinstance(stack, Transformer) and stack.segment is not None
    return SegmentMemory(stack.field, device) if remembers else None
