"""Retention: products of queries and keys that fall with their distance, and no normalizer. Mirrors
attncli/spec/retention.py.

    weights = (turn(q) . turn(k) / sqrt(d_head)) g^(q - k);  output = (silu(x W) * norm(weights v)) W_o

Sun et al. 2023, arXiv:2307.08621, eq. 5 to 8. kernels/retention.py gives the outputs without weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.attention import Asked, Projected
from attncli.nn.kernels import retention
from attncli.nn.normalizers import Pointwise
from attncli.nn.norms import build_norm
from attncli.nn.placing import build_position
from attncli.nn.positions import Relative
from attncli.nn.running import Running
from attncli.nn.scores import Product
from attncli.nn.view import View
from attncli.nn.weighing import Seen, Weighed, Weighing
from attncli.spec.masks import Mask
from attncli.spec.retention import Retention as Spec


def decay_of(heads: int) -> Tensor:
    """g of each head, 1 - 2^(-5 - h), in float64."""
    return 1 - 2.0 ** (-5 - torch.arange(heads, dtype=torch.float64, device="cpu"))


class Decayed(Weighing):
    """Scores times g^(q - k), and 0 where nothing is seen."""

    def __init__(self, *, heads: int) -> None:
        super().__init__(
            temperature=None, cap=None, before=None, selective=None, select=None, sink=None,
            normalizer=Pointwise(activation="relu", divides=False), reach=None, after=None, difference=None,
        )  # fmt: skip
        self.heads = heads

    def forward(self, logits: Tensor, seen: Seen) -> Weighed:
        rates = decay_of(self.heads).to(logits.device, logits.dtype).view(-1, 1, 1)
        away = (seen.query_positions.unsqueeze(-1) - seen.key_positions.unsqueeze(-2)).unsqueeze(1)
        weights = logits * rates ** away.clamp(min=0)
        return Weighed(weights if seen.visible is None else weights.masked_fill(~seen.visible, 0.0), None)


class Retention(Running):
    """An attention of fixed decay."""

    REASON = "weights fall by a fixed factor a place: one sum serves every query"

    def __init__(
        self, *, d_query: int, d_memory: int, d_output: int, heads: int, d_head: int, d_value: int, bias: bool,
        position: Relative, mask: Mask, context_norm: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__(
            d_query=d_query, d_memory=d_memory, d_output=d_output, heads=heads, d_head=d_head,
            d_key=d_head * position.widens, d_value=d_value, bias=bias, score=Product(scale=d_head**-0.5),
            position=position, mask=mask, weighing=Decayed(heads=heads), context_norm=context_norm,
        )  # fmt: skip
        self.swish = Linear(d_query, heads * d_value, bias=False)

    def ask(self, x: Tensor, view: View) -> Asked:
        gate = F.silu(self.swish(x)).reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)
        return Asked(super().ask(x, view).query, gate)

    def absorb(self, before: Tensor | None, read: Projected, start: int) -> Tensor:
        key, value = (x[:, :, start:] for x in read)
        return retention.absorbed(before, key, value, self._decay(key))

    def run(self, query: Tensor, key: Tensor, value: Tensor, state: Tensor | None) -> Tensor:
        assert isinstance(self.score, Product)
        return retention.attend(query, key, value, self._decay(key), state=state) * self.score.scale

    def _decay(self, like: Tensor) -> Tensor:
        return decay_of(self.heads).to(like.device)


def build_retention(attention: Spec, *, d_query: int, d_memory: int, d_output: int) -> Retention:
    """The module of a retention."""
    return Retention(
        d_query=d_query, d_memory=d_memory, d_output=d_output, heads=attention.heads, d_head=attention.d_head,
        d_value=attention.d_value, bias=attention.bias, position=build_position(attention, d_model=d_query),
        mask=attention.mask, context_norm=build_norm(attention.context_norm, width=attention.d_value),
    )  # fmt: skip
