"""Feed-forward maps that a router chooses between. Mirrors Experts of attncli/spec/feedforward.py.

Letters: t tokens, d width, x experts, a active experts of a token.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from attncli.nn.feedforward import Feedforward, build_feedforward
from attncli.spec import feedforward as spec


class Router(nn.Module):
    """Scores, the experts that each token is sent to, and their weights; float32 or wider, whatever the states are."""

    def __init__(
        self, *, d_model: int, experts: int, active: int, bias: bool, score: Literal["softmax", "sigmoid"],
        normalize: Literal["selected", "all"], scale: float, groups: int, active_groups: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.map = nn.Linear(d_model, experts, bias=bias)
        self.active, self.scale = active, scale
        self.score, self.normalize = score, normalize
        self.groups, self.active_groups = groups, active_groups

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """States (t d) to scores (t x), the chosen experts (t a) and their weights (t a)."""
        with torch.autocast(x.device.type, enabled=False):
            wide = x if x.dtype == torch.float64 else x.float()
            bias = None if self.map.bias is None else self.map.bias.to(wide.dtype)
            logits = nn.functional.linear(wide, self.map.weight.to(wide.dtype), bias)
            scores = logits.softmax(1) if self.score == "softmax" else logits.sigmoid()
            chosen = self._allowed(scores).topk(self.active, 1).indices
            weights = scores.gather(1, chosen)
            if self.normalize == "selected":
                weights = weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
            return scores, chosen, weights * self.scale

    def _allowed(self, scores: Tensor) -> Tensor:
        """The scores, -1 in groups that are not among the best."""
        if self.groups == 1:
            return scores
        grouped = scores.view(len(scores), self.groups, -1)
        strength = grouped.topk(min(2, grouped.shape[2]), 2).values.sum(2)
        best = strength.topk(self.active_groups, 1).indices
        closed = torch.ones_like(strength, dtype=torch.bool).scatter(1, best, False)
        return grouped.masked_fill(closed.unsqueeze(2), -1).flatten(1)


class Experts(nn.Module):
    """sum_a weight_a expert_a(x), with a shared map added. Each expert runs once, on the tokens sent to it.

    Cost: the active experts of each token; every expert is called, if need be with no rows, so that it has a gradient.
    """

    def __init__(
        self, *, router: Router, experts: list[Feedforward], shared: Feedforward | None, balance: float | None
    ) -> None:
        super().__init__()
        self.router = router
        self.experts = nn.ModuleList(experts)
        self.shared = shared
        self.balance = balance
        self.address = ""

    def forward(self, x: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """States (b n d) to states (b n d), and the balance loss over the real places (b n)."""
        tokens = x.flatten(0, 1)
        scores, chosen, weights = self.router(tokens)
        order = chosen.flatten().argsort(stable=True)
        places = order // self.router.active
        counts = chosen.flatten().bincount(minlength=len(self.experts)).tolist()
        parts = torch.split(tokens[places], counts)
        made = torch.cat([expert(part) for expert, part in zip(self.experts, parts, strict=True)])
        weighed = made * weights.flatten()[order].unsqueeze(1).to(made.dtype)
        output = torch.zeros_like(tokens, dtype=made.dtype).index_add(0, places, weighed).view_as(x)
        if self.shared is not None:
            output = output + self.shared(x)
        if self.balance is None:
            return output, None
        return output, self.balance * self._imbalance(scores, chosen, None if real is None else real.flatten())

    def _imbalance(self, scores: Tensor, chosen: Tensor, real: Tensor | None) -> Tensor:
        """x sum_e f_e P_e, 1 where all experts are used alike; scores that are no shares are made shares first."""
        if real is not None:
            scores, chosen = scores[real], chosen[real]
        shares = scores / scores.sum(1, keepdim=True)
        used = chosen.flatten().bincount(minlength=scores.shape[1]).to(shares.dtype) / max(chosen.numel(), 1)
        return scores.shape[1] * (used * shares.mean(0)).sum()


def build_experts(experts: spec.Experts, *, d_model: int) -> Experts:
    """The module of a feed-forward branch of experts."""
    router = experts.router
    return Experts(
        router=Router(
            d_model=d_model, experts=experts.experts, active=experts.active, bias=router.bias, score=router.score,
            normalize=router.normalize, scale=router.scale, groups=router.groups, active_groups=router.active_groups,
        ),
        experts=[build_feedforward(experts.expert, d_model=d_model) for _ in range(experts.experts)],
        shared=None if experts.shared is None else build_feedforward(experts.shared, d_model=d_model),
        balance=experts.balance.weight if isinstance(experts.balance, spec.Auxiliary) else None,
    )  # fmt: skip
