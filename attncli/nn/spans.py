"""How far an attention reaches around a place of its own choice. Mirrors attncli/spec/spans.py."""

from typing import NamedTuple, assert_never

import torch
from torch import Tensor, nn

from attncli.nn.view import View
from attncli.spec import spans as spec


class Reach(NamedTuple):
    """What a span lets through, and by what it multiplies the weights."""

    window: Tensor  # bool (b h q k)
    factor: Tensor  # (b h q k)


class Predicted(nn.Module):
    """p = S sigmoid(v . tanh(W q)); |k - p| <= D; exp(-(k - p)^2 / (2 (D/2)^2)), with a W and v for each head.

    S is the length of the text that the query reads, in tokens. Luong et al. 2015, arXiv:1508.04025, eq. 9 and 10. The
    gradient reaches p through the factor alone, since the window has an edge. In float32 or wider.
    """

    def __init__(self, *, heads: int, width: int, half_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, width, width))
        self.vector = nn.Parameter(torch.empty(heads, width))
        self.half_width = half_width

    def centres(self, query: Tensor, lengths: Tensor) -> Tensor:
        """(b h q): the place that each query (b h q e) wants among `lengths` (b|1 q|1) keys."""
        hidden = torch.tanh(torch.einsum("bhqe,hea->bhqa", query, self.weight.to(query.dtype)))
        chosen = torch.einsum("bhqa,ha->bhq", hidden, self.vector.to(query.dtype))
        wide = torch.promote_types(chosen.dtype, torch.float32)
        return chosen.to(wide).sigmoid() * lengths.unsqueeze(1).to(wide)

    def forward(self, query: Tensor, key_positions: Tensor, lengths: Tensor) -> Reach:
        """The reach of queries (b h q e) over keys at positions (b|1 k)."""
        away = key_positions[:, None, None, :] - self.centres(query, lengths).unsqueeze(3)
        return Reach(away.abs() <= self.half_width, torch.exp(-2 * (away / self.half_width).square()))


def read_lengths(view: View) -> Tensor:
    """(b|1 q|1): keys of the text that each query reads."""
    if view.packed and view.query_documents is not None and view.key_documents is not None:
        return (view.query_documents.unsqueeze(2) == view.key_documents.unsqueeze(1)).sum(2)
    if view.lengths is None:
        return torch.full((1, 1), view.key_positions.shape[1], device=view.key_positions.device)
    return view.lengths.unsqueeze(1)


def build_span(span: spec.Span, *, heads: int, width: int) -> Predicted | None:
    """The module of a span, or none."""
    match span:
        case spec.NoSpan():
            return None
        case spec.Predicted():
            return Predicted(heads=heads, width=width, half_width=span.half_width)
        case _:
            assert_never(span)
