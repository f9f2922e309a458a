"""Keys and values made of a narrow latent a token. Mirrors Latent of attncli/spec/attention.py.

    c = norm(W m);  r = turn(W_r m);  k_h = [U_h c, r];  v_h = U'_h c;  c' = norm(W' x);  q_h = [Q_h c', turn(R_h c')]

DeepSeek-AI 2024, arXiv:2405.04434, section 2.1. What `read` gives, and a cache keeps, is r and c; a call of `attend`
makes the keys and values of all heads of them, or compares and mixes the latents as they are, whichever is less work:

    q . (U c) = (U'q) . c;  sum_k w_k (U' c_k) = U' (sum_k w_k c_k)
 Popular code turns neighbouring features (layout interleaved).
"""

import torch
from torch import Tensor, nn

from attncli.nn.affine import Linear
from attncli.nn.attention import Asked, Attention, Projected
from attncli.nn.kernels.plan import Wanted
from attncli.nn.kernels.reference import wide
from attncli.nn.norms import build_norm
from attncli.nn.placing import build_position, turned
from attncli.nn.positions import Relative
from attncli.nn.positions.rotary import Rotary
from attncli.nn.scores import Product
from attncli.nn.serving import Ready
from attncli.nn.steps import Ending
from attncli.nn.view import View
from attncli.nn.weighing import Weighing, build_weighing
from attncli.spec import attention as spec
from attncli.spec.masks import Mask
from attncli.spec.norms import RmsNorm


class LatentAttention(Attention):
    """An attention whose keys (b h k d_head+d_rotary) and values (b h k d_value) come of latents (b 1 k kv_rank)."""

    def __init__(
        self, *, d_query: int, d_memory: int, d_output: int, heads: int, q_rank: int | None, kv_rank: int,
        d_head: int, d_rotary: int, d_value: int, bias: bool, scale: float, query_norm: nn.Module, kv_norm: nn.Module,
        position: Relative, mask: Mask, weighing: Weighing, dropout: float,
        kernel: Wanted,
    ) -> None:  # fmt: skip
        wide = d_head + d_rotary
        super().__init__(
            d_query=d_query, d_memory=d_memory, d_output=d_output, heads=heads, kv_heads=heads, maps_a_head=1,
            d_head=wide, d_key=d_head + d_rotary * position.widens, d_value=d_value,
            projections=("output",), bias=("output",) if bias else (),
            query_norm=nn.Identity(), key_norm=nn.Identity(), value_norm=nn.Identity(), value_residual=None,
            persistent=None, score=Product(scale=scale), position=position, mask=mask, weighing=weighing, span=None,
            key_dropout=None, indexer=None,
            ending=Ending(norm=nn.Identity(), scale=nn.Identity()), gate=None, dropout=dropout, steps=(),
            kernel=kernel, shared=False, on_attention=False, short=None, watch=None,
        )  # fmt: skip
        self.widths = [d_head, d_rotary, d_value]
        self.kv_rank = kv_rank
        self.query_down = nn.Identity() if q_rank is None else Linear(d_query, q_rank, bias=bias)
        self.query_latent_norm = query_norm
        self.query_up = Linear(d_query if q_rank is None else q_rank, heads * wide, bias=False)
        self.kv_down = Linear(d_memory, kv_rank + d_rotary, bias=bias)
        self.kv_latent_norm = kv_norm
        self.kv_up = Linear(kv_rank, heads * (d_head + d_value), bias=False)

    def ask(self, x: Tensor, view: View) -> Asked:
        query = self.query_up(self.query_latent_norm(self.query_down(x)))
        plain, turning = torch.split(self._heads(query), self.widths[:2], -1)
        asked = torch.cat((plain, turned(self.position, turning, view, "query")), -1)
        return Asked(asked, None, demand=self.position.demand(x))

    def read(self, memory: Tensor, view: View, first: Tensor | None = None) -> Projected:
        """The shared key, turned (b 1 k d_rotary), and the latent (b 1 k kv_rank)."""
        latent, shared = torch.split(self.kv_down(memory).unsqueeze(1), [self.kv_rank, self.widths[1]], -1)
        return turned(self.position, shared, view, "key"), self.kv_latent_norm(latent), *self.position.keep(memory)

    def attend(self, asked: Asked, projected: Projected, view: View) -> Tensor:
        """As every attention; a tap, which is told keys and values, has them made."""
        queries, keys = asked.query.shape[2], projected[0].shape[2]
        if self.training or view.tap is not None or not self.absorbs(queries, keys):
            return super().attend(asked, projected, view)
        return self.end(self._absorbed(asked, projected, view), asked)

    def absorbs(self, queries: int, keys: int) -> bool:
        """Whether few queries meet a past whose latents take fewer multiplications than its keys and values would, and
        nothing but a product, which may be turned, asks for those."""
        turns = type(self.position) is Relative or isinstance(self.position, Rotary)
        if type(self.kv_up) is not Linear or not turns or queries >= keys:
            return False
        d_head, _, d_value = self.widths
        made = (d_head + d_value) * self.kv_rank
        return queries * (made + 2 * keys * self.kv_rank) < keys * (made + queries * (d_head + d_value))

    def _absorbed(self, asked: Asked, projected: Projected, view: View) -> Tensor:
        """Mixtures (b h q d_value) by way of all weights, with the maps from the latent in the query and behind it."""
        assert isinstance(self.score, Product)
        shared, latent, *_ = projected
        d_head, d_rotary, d_value = self.widths
        maps = self.kv_up.weight.view(self.heads, d_head + d_value, -1)
        of_key, of_value = torch.split(maps, [d_head, d_value], 1)
        plain, turning = torch.split(self.position.ask(asked.query), [d_head, d_rotary * self.position.widens], -1)
        query = torch.cat((torch.matmul(plain, of_key.to(plain.dtype)), turning), -1)
        key = torch.cat((latent, shared), -1)
        seen = self._seen(Ready(query, key, latent, (), view, asked.query))
        scores = wide(_with_all(query, key.squeeze(1).mT)) * self.score.scale
        weights = self.weighing(scores, seen).weights.to(latent.dtype)
        mixed: Tensor = torch.matmul(_with_all(weights, latent.squeeze(1)), of_value.mT.to(latent.dtype))
        return mixed

    def ready(self, asked: Asked, projected: Projected, view: View) -> Ready:
        shared, latent, *kept = projected
        d_head, _, d_value = self.widths
        plain, value = torch.split(self._heads(self.kv_up(latent.squeeze(1))), [d_head, d_value], -1)
        key = torch.cat((plain, shared.expand(-1, self.heads, -1, -1)), -1)
        return super().ready(asked, (key, value, *kept), view)

    def _heads(self, x: Tensor) -> Tensor:
        """(b n heads*e) to (b heads n e)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


def _with_all(x: Tensor, read: Tensor) -> Tensor:
    """x (b h q i) times what all heads read (b i j), without a copy of that for each head."""
    return torch.matmul(x.flatten(1, 2), read).view(*x.shape[:3], -1)


def build_latent(
    attention: spec.Latent, *, d_query: int, d_memory: int, d_output: int, position: Relative | None = None
) -> LatentAttention:
    """The module of a latent attention."""
    ranks = (attention.q_rank, attention.kv_rank)
    norms = [nn.Identity() if rank is None else build_norm(RmsNorm(), width=rank) for rank in ranks]
    return LatentAttention(
        d_query=d_query, d_memory=d_memory, d_output=d_output, heads=attention.heads, q_rank=attention.q_rank,
        kv_rank=attention.kv_rank, d_head=attention.d_head, d_rotary=attention.d_rotary, d_value=attention.d_value,
        bias=attention.bias, scale=(attention.d_head + attention.d_rotary) ** -0.5, query_norm=norms[0],
        kv_norm=norms[1], position=position or build_position(attention, d_model=d_query), mask=attention.mask,
        weighing=build_weighing(attention, depth=0), dropout=attention.dropout, kernel=attention.kernel,
    )  # fmt: skip
