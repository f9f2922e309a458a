"""Scores that read the weights of earlier steps, so that their decoder must run step by step.

Their kinds are those of attncli/spec/scores.py; normalizers of this sort are in attncli/nn/sequential.py.
Shapes: trail (b h k), what a kind keeps of earlier weights; logits and weights (b h 1 k) of the one query of a step.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.scores import Pair, Score


class _Trailed(Score):
    """w . tanh(Q q + K k + what the trail adds + b), with weights for each head."""

    reads = frozenset({"query", "key", "previous"})
    sequential = True

    def __init__(self, *, heads: int, d_query: int, d_key: int, d_hidden: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(heads, d_query, d_hidden))
        self.key = nn.Parameter(torch.empty(heads, d_key, d_hidden))
        self.weight = nn.Parameter(torch.empty(heads, d_hidden))
        self.bias = nn.Parameter(torch.empty(heads, d_hidden))

    def read(self, key: Tensor) -> Tensor:
        return torch.einsum("bhke,hea->bhka", key, self.key.to(key.dtype))

    def added(self, trail: Tensor) -> Tensor:
        """(b h k a): what the trail adds inside of the tanh."""
        raise NotImplementedError("a kind gives its own")

    def forward(self, pair: Pair) -> Tensor:
        assert pair.previous is not None, "a sequential score needs its trail"
        kind = pair.query.dtype
        query = torch.einsum("bhqe,hea->bhqa", pair.query, self.query.to(kind))
        key = pair.key + self.added(pair.previous.to(kind)) + self.bias.to(kind).unsqueeze(1)
        hidden = torch.tanh(query.unsqueeze(3) + key.unsqueeze(2))
        return torch.einsum("bhqka,ha->bhqk", hidden, self.weight.to(hidden.dtype))


class Coverage(_Trailed):
    """w . tanh(Q q + K k + u c + b), c_k the sum of the weights that key k had in earlier steps, this one excluded.

    See et al. 2017, arXiv:1704.04368, eq. 10 and 11; a head has a coverage of its own.
    """

    def __init__(self, *, heads: int, d_query: int, d_key: int, d_hidden: int, loss: float) -> None:
        super().__init__(heads=heads, d_query=d_query, d_key=d_key, d_hidden=d_hidden)
        self.coverage = nn.Parameter(torch.empty(heads, 1, d_hidden))
        self.loss = loss

    def added(self, trail: Tensor) -> Tensor:
        return trail.unsqueeze(3) * self.coverage.to(trail.dtype)

    def first(self, real: Tensor, heads: int) -> Tensor:
        return torch.zeros_like(real).unsqueeze(1).expand(-1, heads, -1)

    def next(self, trail: Tensor, weights: Tensor) -> Tensor:
        return trail + weights

    def cost(self, trail: Tensor, weights: Tensor) -> Tensor:
        """(b): loss times sum_k min(a_k, c_k), the mean of the heads. See et al. 2017, eq. 12."""
        return self.loss * torch.minimum(trail, weights).sum(2).mean(1)


class LocationAware(_Trailed):
    """w . tanh(Q q + K k + U f + b), f = F * a the last step's weights, convolved by `channels` kernels a head.

    Chorowski et al. 2015, arXiv:1506.07503, eq. 8 and 9. Before the first step the weights are alike over the real
    keys. Padding has weight 0, so the convolution sees what it sees beyond the ends. The gradient flows through a.
    """

    def __init__(self, *, heads: int, d_query: int, d_key: int, d_hidden: int, channels: int, kernel_size: int) -> None:
        super().__init__(heads=heads, d_query=d_query, d_key=d_key, d_hidden=d_hidden)
        self.kernel = nn.Parameter(torch.empty(heads, kernel_size, channels))
        self.features = nn.Parameter(torch.empty(heads, channels, d_hidden))

    def added(self, trail: Tensor) -> Tensor:
        heads, size, channels = self.kernel.shape
        kernel = self.kernel.to(trail.dtype).transpose(1, 2).reshape(heads * channels, 1, size)
        found = F.conv1d(trail, kernel, padding=size // 2, groups=heads)
        found = found.view(len(trail), heads, channels, -1)
        return torch.einsum("bhck,hca->bhka", found, self.features.to(trail.dtype))

    def first(self, real: Tensor, heads: int) -> Tensor:
        share = real / real.sum(1, keepdim=True).clamp(min=1)
        return share.unsqueeze(1).expand(-1, heads, -1)

    def next(self, trail: Tensor, weights: Tensor) -> Tensor:
        return weights
