"""Feed-forward maps that a router chooses between. Mirrors Experts of attncli/spec/feedforward.py.

Letters: t tokens, d width, x experts, a active experts of a token.
"""

from math import ceil
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from attncli.nn.affine import Linear
from attncli.nn.feedforward import Feedforward, build_feedforward
from attncli.spec import feedforward as spec


class Router(nn.Module):
    """Scores, the experts that each token is sent to, and their weights; float32 or wider, whatever the states are.

    Where `rate` is given, experts are chosen by scores + offset; training moves the offset by its rule, not by descent.
    """

    offset: Tensor | None

    def __init__(
        self, *, d_model: int, experts: int, active: int, bias: bool, score: Literal["softmax", "sigmoid"],
        normalize: Literal["selected", "all"], scale: float, groups: int, active_groups: int, rate: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.map = Linear(d_model, experts, bias=bias)
        self.active, self.scale = active, scale
        self.score, self.normalize = score, normalize
        self.groups, self.active_groups = groups, active_groups
        self.rate = rate
        self.register_buffer("offset", None if rate is None else torch.zeros(experts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """States (t d) to scores (t x), the chosen experts (t a), the likeliest first, and their weights (t a)."""
        with torch.autocast(x.device.type, enabled=False):
            wide = x if x.dtype == torch.float64 else x.float()
            bias = None if self.map.bias is None else self.map.bias.to(wide.dtype)
            logits = nn.functional.linear(wide, self.map.weight.to(wide.dtype), bias)
            scores = logits.softmax(1) if self.score == "softmax" else logits.sigmoid()
            chosen = self._allowed(scores if self.offset is None else scores + self.offset).topk(self.active, 1).indices
            weights = scores.gather(1, chosen)
            if self.normalize == "selected":
                weights = weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
            return scores, chosen, weights * self.scale

    def _allowed(self, scores: Tensor) -> Tensor:
        """What experts are chosen by, with groups that are not among the best closed."""
        if self.groups == 1:
            return scores
        grouped = scores.view(len(scores), self.groups, -1)
        strength = grouped.topk(min(2, grouped.shape[2]), 2).values.sum(2)
        best = strength.topk(self.active_groups, 1).indices
        closed = torch.ones_like(strength, dtype=torch.bool).scatter(1, best, False)
        return grouped.masked_fill(closed.unsqueeze(2), -torch.inf).flatten(1)

    @torch.no_grad()
    def settle(self, load: Tensor) -> None:
        """Move the offset by the choices (x) that fell on each expert in a step: b += rate sign(mean(load) - load)."""
        assert self.offset is not None and self.rate is not None
        self.offset += self.rate * torch.sign(load.sum() - len(load) * load)


class Routed(NamedTuple):
    """What experts give."""

    states: Tensor  # (b n d)
    cost: Tensor | None  # the balance loss, a mean over the real places
    load: Tensor | None  # (x) choices that fell on each expert, where an offset follows them


class Experts(nn.Module):
    """sum_a weight_a expert_a(x), with a shared map added. Each expert runs once, on the tokens sent to it.

    Cost: the active experts of each token; every expert is called, if need be with no rows, so that it has a gradient.
    """

    def __init__(
        self, *, router: Router, experts: list[Feedforward], shared: Feedforward | None, gate: nn.Linear | None,
        capacity: float | None, balance: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.router = router
        self.experts = nn.ModuleList(experts)
        self.shared = shared
        self.shared_gate = gate
        self.capacity = capacity
        self.balance = balance
        self.address = ""

    def forward(self, x: Tensor, real: Tensor | None) -> Routed:
        """States (b n d), whose real places are (b n)."""
        tokens, real = x.flatten(0, 1), None if real is None else real.flatten()
        scores, chosen, weights = self.router(tokens)
        order, counts = self._sent(chosen, real)
        places = order % len(tokens)
        parts = torch.split(tokens[places], counts)
        made = torch.cat([expert(part) for expert, part in zip(self.experts, parts, strict=True)])
        weighed = made * weights.t().flatten()[order].unsqueeze(1).to(made.dtype)
        output = torch.zeros_like(tokens, dtype=made.dtype).index_add(0, places, weighed).view_as(x)
        if self.shared is not None:
            common = self.shared(x)
            output = output + (common if self.shared_gate is None else self.shared_gate(x).sigmoid() * common)
        if real is not None:
            scores, chosen = scores[real], chosen[real]
        cost = None if self.balance is None else self.balance * imbalance(scores, chosen)
        return Routed(output, cost, None if self.router.offset is None else load(chosen, len(self.experts)))

    def _sent(self, chosen: Tensor, real: Tensor | None) -> tuple[Tensor, list[int]]:
        """The choices that are served, expert by expert, and how many are of each expert.

        A choice is a number below a t: first choices of all tokens come first. Padding takes no room.
        """
        choices, experts = chosen.t().flatten(), len(self.experts)
        if self.capacity is None or not self.training:
            return choices.argsort(stable=True), choices.bincount(minlength=experts).tolist()
        tokens = len(chosen)
        if real is not None:
            choices = choices.masked_fill(~real.repeat(self.router.active), experts)
            tokens = int(real.sum())
        room = ceil(self.capacity * self.router.active * tokens / experts)
        counts = choices.bincount(minlength=experts + 1)[:experts].tolist()
        order = choices.argsort(stable=True)[: sum(counts)]
        served = [min(count, room) for count in counts]
        parts = zip(torch.split(order, counts), served, strict=True)
        return torch.cat([part[:most] for part, most in parts]), served


def load(chosen: Tensor, experts: int) -> Tensor:
    """(x) choices that fell on each expert."""
    return chosen.flatten().bincount(minlength=experts)


def imbalance(scores: Tensor, chosen: Tensor) -> Tensor:
    """x sum_e f_e P_e, 1 where all experts are used alike; scores that are no shares are made shares first."""
    shares = scores / scores.sum(1, keepdim=True)
    used = load(chosen, scores.shape[1]).to(shares.dtype) / max(chosen.numel(), 1)
    return scores.shape[1] * (used * shares.mean(0)).sum()


def build_experts(experts: spec.Experts, *, d_model: int) -> Experts:
    """The module of a feed-forward branch of experts."""
    router, balance, shared = experts.router, experts.balance, experts.shared
    return Experts(
        router=Router(
            d_model=d_model, experts=experts.experts, active=experts.active, bias=router.bias, score=router.score,
            normalize=router.normalize, scale=router.scale, groups=router.groups, active_groups=router.active_groups,
            rate=balance.rate if isinstance(balance, spec.Bias) else None,
        ),
        experts=[build_feedforward(experts.expert, d_model=d_model) for _ in range(experts.experts)],
        shared=None if shared is None else build_feedforward(shared, d_model=d_model),
        gate=None if shared is None or shared.gate is None else Linear(d_model, 1, bias=False),
        capacity=experts.capacity,
        balance=balance.weight if isinstance(balance, spec.Auxiliary) else None,
    )  # fmt: skip
