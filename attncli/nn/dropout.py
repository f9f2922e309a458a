"""Dropout: each unit is 0 with probability p, else multiplied by 1 / (1 - p).

Srivastava et al. 2014, section 4, in the form that leaves the mean alone. On the CPU a mask costs more than what it is
multiplied by, since torch draws a number for each unit there; here sixteen bits decide a unit, four units a draw, and
torch's generator gives the seed alone of one that draws twice as fast, numpy's SFC64. So p is taken to the nearest
2^-16, and 1 / (1 - p) is that of the p taken: the mean stays exact.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 2**16


def drop(x: Tensor, rate: float, training: bool) -> Tensor:
    """x with some units dropped; x itself where nothing is."""
    if not training or not rate:
        return x
    fallen = round(rate * LEVELS)
    if x.device.type != "cpu" or not 0 < fallen < LEVELS or torch.compiler.is_compiling():
        return F.dropout(x, rate)
    return x * _mask(x, fallen, None)


def mask(like: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """What `drop` multiplies by, drawn from a generator of its own."""
    fallen = round(rate * LEVELS)
    if like.device.type != "cpu" or not 0 < fallen < LEVELS:
        return torch.empty_like(like).bernoulli_(1 - rate, generator=generator).div_(1 - rate)
    return _mask(like, fallen, generator)


def _mask(x: Tensor, fallen: int, generator: torch.Generator | None) -> Tensor:
    """0 in `fallen` of LEVELS places, else what keeps the mean."""
    units = x.numel()
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    draws = torch.from_numpy(np.random.SFC64(seed).random_raw(-(-units // 4)).view(np.int16))
    levels = draws[:units].view(x.shape)
    kept = torch.empty(x.shape, dtype=x.dtype)
    return torch.ge(levels, fallen - LEVELS // 2, out=kept).mul_(LEVELS / (LEVELS - fallen))
