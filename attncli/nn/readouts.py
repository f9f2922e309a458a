"""What a step of a recurrent decoder gives to the head: context c, state s and token x to features (… d).

The kinds are those of `readout` in attncli/spec/recurrent.py; `state` needs no module. Each works on one
step (b d) or on all at once (b n d), through `linear`: x, W, b to x W' + b.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear

Map = Callable[[Tensor, Tensor, Tensor | None], Tensor]
SQUASH: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": F.relu, "none": lambda x: x}


class DenseReadout(nn.Module):
    """activation(W c + U s + b), W and U side by side in one map. Luong et al. 2015, arXiv:1508.04025, eq. 5.

    gate source: z W c + U s · target: W c + z U s · both: z W c + (1 - z) U s, where z = sigmoid(G [x; s; c] + g).
    Tu et al. 2017, arXiv:1608.05859, eq. 5 to 8; the bias b is outside of the gate.
    """

    reads_previous = False

    def __init__(
        self, *, d_context: int, d_state: int, d_token: int, d_hidden: int, activation: str, gate: str
    ) -> None:
        super().__init__()
        self.d_context = d_context
        self.map = Linear(d_context + d_state, d_hidden)
        self.kind = gate
        self.gate = Linear(d_token + d_state + d_context, d_hidden) if gate != "none" else None
        self.squash = activation
        self.activation = SQUASH[activation]

    def forward(self, context: Tensor | None, state: Tensor, token: Tensor, linear: Map) -> Tensor:
        joined = state if context is None else torch.cat((context, state), -1)
        if self.gate is None or context is None:
            return self.activation(linear(joined, self.map.weight, self.map.bias))
        gate = self.gate(torch.cat((token, state, context), -1)).sigmoid()
        source = F.linear(context, self.map.weight[:, : self.d_context])
        target = F.linear(state, self.map.weight[:, self.d_context :])
        if self.kind != "target":
            source = gate * source
        if self.kind != "source":
            target = (gate if self.kind == "target" else 1 - gate) * target
        return self.activation(source + target + self.map.bias)


class MaxoutReadout(nn.Module):
    """max over pieces of W [c; s; x] + b. Goodfellow et al. 2013, arXiv:1302.4389, with neighbouring rows as pieces."""

    def __init__(
        self, *, d_context: int, d_state: int, d_token: int, d_hidden: int, pieces: int, previous: bool
    ) -> None:
        super().__init__()
        self.map = Linear(d_context + d_state + d_token, d_hidden * pieces)
        self.pieces = pieces
        self.reads_previous = previous

    def forward(self, context: Tensor | None, state: Tensor, token: Tensor, linear: Map) -> Tensor:
        parts = (state, token) if context is None else (context, state, token)
        mapped = linear(torch.cat(parts, -1), self.map.weight, self.map.bias)
        return mapped.view(*mapped.shape[:-1], -1, self.pieces).amax(-1)


Readout = DenseReadout | MaxoutReadout
