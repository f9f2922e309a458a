"""The products of a linear map by oneDNN, for the many rows of a training step on the CPU.

    y = x W' + b;  dx = dy W;  dW = dy' x;  db = sum dy

torch gives a product of float32 to MKL. oneDNN's, which has torch's linear map for other types, takes 0.80 to 0.95 of
its time for y, where it adds b as it writes, and for dx; for dW, which adds up over the rows, MKL's is faster. Sums are
in float32 in another order, which changes last places as another batch would. Shapes: x (… i), W (j i), b (j).
One derivative only.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from attncli.nn.function import Function

FEWEST = 768
"""Rows below which torch's own product is as fast, since oneDNN lays the weights in blocks in each call."""

THERE: bool = torch.backends.mkldnn.is_available()
"""Whether torch was built with oneDNN."""


def serves(x: Tensor, weight: Tensor) -> bool:
    """Whether the products of these are faster so; a type that autocast chooses is left to torch.

    In a compiled graph each call decides for itself, so that one graph does for batches of any size.
    """
    plain = x.dtype is torch.float32 and weight.dtype is torch.float32 and x.device.type == "cpu"
    many = torch.compiler.is_compiling() or _many(x)
    return plain and many and THERE and not torch.is_autocast_enabled("cpu")


def _many(x: Tensor) -> bool:
    return x.numel() >= FEWEST * x.shape[-1]


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + b (… j), without a derivative. The weight may be a transposed view: it is laid in blocks anyway."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


@torch.library.custom_op("attncli::product", mutates_args=())
def compiled_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same as one step of a compiled graph: torch's compiler knows this product with constant weights alone."""
    return product(x, weight, bias) if _many(x) else F.linear(x, weight, bias)


@compiled_product.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))


@torch.library.custom_op("attncli::product_gradients", mutates_args=())
def compiled_gradients(of_y: Tensor, x: Tensor, weight: Tensor) -> list[Tensor]:
    """Those of x, W and b, as one step: a sum over rows that the compiler writes itself is ten times as slow."""
    rows = of_y.reshape(-1, len(weight))
    of_x = product(of_y, weight.mT) if _many(x) else of_y @ weight
    return [of_x, rows.mT @ x.reshape(-1, x.shape[-1]), rows.sum(0)]


@compiled_gradients.register_fake
def _(of_y: Tensor, x: Tensor, weight: Tensor) -> list[Tensor]:
    return [torch.empty_like(x), torch.empty_like(weight), of_y.new_empty(len(weight))]


class _Affine(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return compiled_product(x, weight, bias) if torch.compiler.is_compiling() else product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        if torch.compiler.is_compiling():
            made = compiled_gradients(of_y, x, weight)
            return tuple(each if wanted else None for each, wanted in zip(made, ctx.needs_input_grad, strict=True))
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = of_y.reshape(-1, len(weight))
        return (
            product(of_y, weight.mT) if of_x else None,
            rows.mT @ x.reshape(-1, x.shape[-1]) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W' + b (… j), by torch's own product where that is as fast."""
    if not serves(x, weight):
        return F.linear(x, weight, bias)
    out: Tensor = _Affine.apply(x, weight, bias)
    return out
