"""Features of queries and keys, which are positive or 0. Part of attncli/nn/linear.py.

    favor: f(x)_i = exp(w_i . x / d^(1/4) - |x|^2 / (2 sqrt(d)))

Choromanski et al. 2021, arXiv:2009.14794, section 2.3 (positive features) and 2.4 (orthogonal directions). A factor
that all features of a query have, or all features of all keys, leaves with the sum by which weights are divided; it is
chosen so that nothing overflows.
"""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

from attncli.nn.kernels.reference import wide
from attncli.nn.positions import Side
from attncli.nn.view import View
from attncli.spec.seeds import mix

HIGHEST = 40.0
"""Exponent that no feature of a key passes: sums of e^40 stay far below the largest float32, e^88."""


class Feature(nn.Module):
    """f of queries or keys (b h n e), as (b h n f)."""

    def forward(self, x: Tensor, view: View, side: Side) -> Tensor:
        raise NotImplementedError("a kind of feature gives its own")


class Plain(Feature):
    """elu(x) + 1, max(x, 0) or e^x of each number."""

    def __init__(self, *, kind: Literal["elu", "relu", "exp"]) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor, view: View, side: Side) -> Tensor:
        match self.kind:
            case "elu":
                return nn.functional.elu(x) + 1
            case "relu":
                return x.relu()
            case "exp":
                return x.exp()


class Favor(Feature):
    """Positive random features of orthogonal directions, in float32 or wider.

    `redraws`: while training, directions of a pass are new, and drawn by torch's generator as dropout is.
    """

    def __init__(self, *, features: int, d_head: int, seed: int, layer: int, redraws: bool) -> None:
        super().__init__()
        self.sizes = (features, d_head)
        self.draw = mix(seed, "directions", layer)
        self.redraws = redraws

    def directions(self, view: View) -> Tensor:
        """W (f e) of one pass, in float64 on the CPU."""
        if self.redraws and self.training:
            return view.once((id(self), "directions"), lambda: drawn(*self.sizes, None))
        return fixed(*self.sizes, self.draw)

    def forward(self, x: Tensor, view: View, side: Side) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = wide(x)
            directions = self.directions(view)
            width = x.shape[3]
            asked = torch.matmul(x, (directions * width**-0.25).to(x.device, x.dtype).T)
            if side == "query":  # |q|^2 is one number for all features of a query
                return (asked - asked.amax(-1, keepdim=True).detach()).exp()
            most = float(directions.square().sum(1).max()) / 2  # of w . x - |x|^2 / 2, over all x
            size = x.square().sum(-1, keepdim=True) / (2 * width**0.5)
            found: Tensor = (asked - size - max(0.0, most - HIGHEST)).exp()
            return found


def drawn(features: int, width: int, seed: int | None) -> Tensor:
    """W (f e) of a seed, or of torch's own generator: blocks of `width` directions each, the last one cut."""
    generator = None if seed is None else torch.Generator("cpu").manual_seed(seed)
    shape = (-(-features // width), width, width)
    return orthogonal(torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu"))[:features]


def orthogonal(blocks: Tensor) -> Tensor:
    """Rows (blocks·width width) as long as those of the blocks, and orthogonal within a block.

    Gram and Schmidt's directions do not depend on the rows' lengths, which so remain independent of them: each row is
    a standard normal vector.
    """
    q, r = torch.linalg.qr(blocks.mT)
    directions = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    rows: Tensor = directions.mT * blocks.norm(dim=-1, keepdim=True)
    return rows.flatten(0, 1)


fixed = lru_cache(maxsize=256)(drawn)
"""W of a seed, kept because every step of writing asks for it again."""
