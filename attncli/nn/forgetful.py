"""Keys that are left out of some steps of training. Mirrors `key_dropout` of attncli/spec/attention.py."""

import torch
from torch import Tensor, nn

from attncli.nn.view import View


class KeyDropout(nn.Module):
    """While training, each key of a row is hidden from all its queries with chance r, r ~ U(0, most) for each row.

    The first token of a text is never hidden, and in attention to itself (`own`) no token is from itself. Layers of one
    pass that hide alike hide the same keys. Liu et al. 2022, arXiv:2210.13432.
    """

    def __init__(self, *, most: float, own: bool) -> None:
        super().__init__()
        self.most = most
        self.own = own

    def forward(self, visible: Tensor | None, view: View, *, rows: int) -> Tensor | None:
        """What is left of what is visible (broadcast to (b h q k))."""
        if not self.training:
            return visible
        key = ("kept keys", self.most)
        if key not in view.drawn:
            view.drawn[key] = self._drawn(rows, view.key_positions)
        kept: Tensor = view.drawn[key]
        if self.own:
            kept = kept | (view.query_positions.unsqueeze(2) == view.key_positions.unsqueeze(1)).unsqueeze(1)
        return kept if visible is None else visible & kept

    def _drawn(self, rows: int, positions: Tensor) -> Tensor:
        """(b 1 1 k): true where a key is kept."""
        share = self.most * torch.rand(rows, 1, device=positions.device)
        kept = torch.rand(rows, positions.shape[1], device=positions.device) >= share
        return (kept | (positions == 0))[:, None, None, :]
