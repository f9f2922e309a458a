"""How far an attention reaches. Mirrors attncli/spec/spans.py."""

from typing import NamedTuple, assert_never

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

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


class Adaptive(nn.Module):
    """Weights times clamp((ramp + z - |q - k|) / ramp, 0, 1), divided by their sum. Sukhbaatar et al. 2019, eq. 3 to 5.

    z = share * maximum for each head, `share` between 0 and 1: `settle` brings it back there after an optimizer step.
    A row whose keys are all out of reach gives zeros. `ahead` keys in front stand at no distance, and a last column
    may be that of a sink: they stay as they are.
    """

    def __init__(self, *, heads: int, maximum: int, ramp: int, loss: float, ahead: int) -> None:
        super().__init__()
        self.maximum = maximum
        self.ramp = ramp
        self.loss = loss
        self.ahead = ahead
        self.share = nn.Parameter(torch.zeros(heads))

    def forward(self, weights: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Weights (b h q k) of keys at (b|1 k), or of one more."""
        distance = (query_positions.unsqueeze(-1) - key_positions[..., self.ahead :].unsqueeze(-2)).abs().unsqueeze(1)
        span = self.maximum * self.share.to(weights.dtype).view(-1, 1, 1)
        reach = ((self.ramp + span - distance) / self.ramp).clamp(0, 1)
        behind = weights.shape[-1] - key_positions.shape[-1]
        left = weights * pad(reach, (self.ahead, behind), value=1.0)
        total = left.sum(-1, keepdim=True)
        return left / torch.where(total > 0, total, torch.ones_like(total))

    def cost(self) -> Tensor:
        """What the spans add to the loss of a token."""
        return self.loss * self.maximum * self.share.mean()

    @torch.no_grad()
    def settle(self) -> None:
        """Bring the spans back into their bounds."""
        self.share.clamp_(0, 1)


def build_predicted(span: spec.Span, *, heads: int, width: int) -> Predicted | None:
    """The module of a span that each query predicts; None for the other kinds."""
    match span:
        case spec.NoSpan() | spec.Adaptive():
            return None
        case spec.Predicted():
            return Predicted(heads=heads, width=width, half_width=span.half_width)
        case _:
            assert_never(span)


def build_adaptive(span: spec.Span, *, heads: int, ahead: int) -> Adaptive | None:
    """The module of a span that each head learns; None for the other kinds."""
    match span:
        case spec.NoSpan() | spec.Predicted():
            return None
        case spec.Adaptive():
            return Adaptive(heads=heads, maximum=span.maximum, ramp=span.ramp, loss=span.loss, ahead=ahead)
        case _:
            assert_never(span)
