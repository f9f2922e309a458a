"""Linear maps in 8-bit integers, for answering on the CPU.

    W_ji ~ s_j W8_ji, once;  x_ni ~ t_n x8_ni, of each call;  y_nj = t_n s_j sum_i x8_ni W8_ji + b_j

with integers from -127 to 127, the scales s = max|W_j| / 127 and t = max|x_n| / 127, and sums in 32 bits: symmetric
quantization of each output's weights and of each token (Dettmers et al. 2022, arXiv:2208.07339, section 2.1).
A token's scale is its own, so an answer does not hang on what is answered beside it.
"""

import torch
from torch import Tensor, nn

from attncli.nn.packed import maps_of

LEAST = 4096
"""Weights below which a map is left alone: the products are too small to be worth the rounding of their inputs."""


class Int8:
    """The product of a linear map (… i) to (… j), in place of its `forward`; its parameters stay as they are."""

    def __init__(self, linear: nn.Linear) -> None:
        weight = linear.weight.detach()
        self._scales = weight.abs().amax(1).clamp(min=1e-12) / 127  # (j)
        self._weight = (weight / self._scales.unsqueeze(1)).round().to(torch.int8).t()
        self._bias = None if linear.bias is None else linear.bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        scales = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127  # (n 1)
        sums = torch._int_mm((rows / scales).round().to(torch.int8), self._weight)
        out = sums.to(x.dtype).mul_(scales).mul_(self._scales)
        return (out if self._bias is None else out.add_(self._bias)).view(*x.shape[:-1], -1)


def quantize(model: nn.Module) -> int:
    """Let every linear map that is large enough compute in 8 bits; returns how many weights that are.

    Maps whose weights are read without calling them (of tables, of recurrent cells), and those that do more than
    multiply, stay as they are.
    """
    count = 0
    for linear in maps_of(model):
        if linear.weight.numel() >= LEAST:
            # an instance's own `forward` is what a module's call runs; the parameters and their names stay
            linear.__dict__["forward"] = Int8(linear)
            count += linear.weight.numel()
    return count
