"""Linear maps with weights laid as the CPU's kernel reads them, while texts are written.

A step of decoding multiplies some hundred rows at the most, so that what it costs to read the weights counts. oneDNN's
product reads them in blocks of its own; laid so once, a product of 160 rows takes 0.75 to 0.95 of the time of torch's
linear map, whose library lays them anew in each call. To lay them takes about the time of a step, and their memory
again while it lasts. Many rows are worth it in each call: kernels/affine.py. Sums are in float32 in another order,
which changes last places as another batch would.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from attncli.nn.affine import Linear
from attncli.nn.kernels.affine import product

FEWEST = 4
"""Rows of a step below which torch's own product is as fast."""


class Packed:
    """The product of a linear map (… i) to (… j), in place of its `forward`; its parameters stay as they are."""

    def __init__(self, linear: nn.Linear) -> None:
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._bias = None if linear.bias is None else linear.bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        return product(x, self._weight, self._bias)


def maps_of(model: nn.Module) -> Iterator[nn.Linear]:
    """The linear maps that compute as torch's do: of their own `forward` nothing is known here."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and type(module).forward in (nn.Linear.forward, Linear.forward):
            yield module


@contextmanager
def packed(model: nn.Module, *, rows: int) -> Iterator[None]:
    """Let the linear maps of a model compute so, where steps have so many rows and the machine and the type allow it.

    Weights that change meanwhile would not be seen. Those that compute in another way already are left alone.
    """
    chosen: list[nn.Linear] = []
    there: bool = torch.backends.mkldnn.is_available()
    if there and rows >= FEWEST and not torch.is_autocast_enabled("cpu"):
        for linear in maps_of(model):
            weight = linear.weight
            if weight.device.type == "cpu" and weight.dtype is torch.float32 and "forward" not in linear.__dict__:
                # an instance's own `forward` is what a module's call runs; the parameters and their names stay
                linear.__dict__["forward"] = Packed(linear)
                chosen.append(linear)
    try:
        yield
    finally:
        for linear in chosen:
            del linear.__dict__["forward"]
