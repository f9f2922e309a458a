"""Positions that are added to embeddings. Mirrors attncli/spec/positions/absolute.py."""

from typing import assert_never

import torch
from torch import Tensor, nn

from attncli.spec.positions import absolute as spec


class Absolute(nn.Module):
    """Base of the absolute kinds; itself the kind that changes nothing."""

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Embeddings (b n d) and positions (b|1 n) to embeddings (b n d)."""
        return x


class Sinusoidal(Absolute):
    """sin and cos of position * base^(-2i / d). Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    `interleaved` is the paper's table (sin, cos, sin, cos, …); `concatenated` that of its authors' code.
    """

    def __init__(self, *, d_model: int, base: float, layout: str) -> None:
        super().__init__()
        self.layout = layout
        self.rates = [base ** (-2 * i / d_model) for i in range(d_model // 2)]

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        rates, back = torch.tensor(self.rates, device=x.device, dtype=torch.float64), None
        if len(positions) > 1 and x.device.type == "cpu" and not torch.compiler.is_compiling():
            positions, back = torch.unique(positions, return_inverse=True)  # rows of a batch stand at the same few
        angle = positions.double().unsqueeze(-1) * rates
        waves = (angle.sin(), angle.cos())
        table = torch.stack(waves, -1).flatten(-2) if self.layout == "interleaved" else torch.cat(waves, -1)
        table = table.to(x.dtype)
        return x + (table if back is None else table[back])


class Learned(Absolute):
    """A learned vector for each position below max_length. Gehring et al. 2017, arXiv:1705.03122, section 3.1."""

    def __init__(self, *, d_model: int, max_length: int) -> None:
        super().__init__()
        self.table = nn.Embedding(max_length, d_model)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        added: Tensor = self.table(positions)
        return x + added


def build_absolute(position: spec.Absolute, *, d_model: int, max_length: int) -> Absolute:
    """The module of an absolute position."""
    match position:
        case spec.NoPosition():
            return Absolute()
        case spec.Sinusoidal():
            return Sinusoidal(d_model=d_model, base=position.base, layout=position.layout)
        case spec.Learned():
            return Learned(d_model=d_model, max_length=max_length)
        case _:
            assert_never(position)
