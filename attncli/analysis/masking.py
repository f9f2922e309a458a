"""Heads that are masked while a model runs: the mixture of head h, as the output map reads it, times xi_h.

    output = sum_h xi_h c_h W_h;   xi_h = 1 as the model is, 0 without the head

Michel et al. 2019, arXiv:1905.10650, eq. 1.

The factor falls on what context norm, head scale and gate have made of the mixture, so that a head with factor 0 gives
nothing, and the bias of the output map stays. Kernels and cache run as ever.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from attncli.nn.attention import Attention
from attncli.nn.model import Model
from attncli.nn.second import TwiceProjected
from attncli.nn.view import Record

Factors = Mapping[str, Tensor]
"""By address: (h), or (b h) where each row of the batch has its own."""


def headed(model: Model) -> dict[str, Attention]:
    """The attentions whose heads reach an output map, by address: second projections end in that of the first."""
    found = model.attentions()
    inner = {id(one.second) for one in found.values() if isinstance(one, TwiceProjected)}
    return {address: one for address, one in found.items() if id(one) not in inner}


def unseen(record: Record) -> None:
    """A tap that looks at nothing: with one, the rows of a batch stay together, and so do their factors."""


@contextmanager
def scaled(model: Model, factors: Factors) -> Iterator[None]:
    """Within, each head's mixture is multiplied by its factor."""
    attentions = headed(model)
    with ExitStack() as hooks:
        for address, factor in factors.items():
            hooks.enter_context(_hooked(attentions[address].ending, factor))
        yield


@contextmanager
def _hooked(ending: nn.Module, factor: Tensor) -> Iterator[None]:
    def scale(module: nn.Module, given: Any, mixed: Tensor) -> Tensor:
        return mixed * factor.to(mixed)[..., None, None]

    handle = ending.register_forward_hook(scale)
    try:
        yield
    finally:
        handle.remove()
