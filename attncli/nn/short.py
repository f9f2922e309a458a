"""Short convolution over the places of a text, after the maps of an attention. Mirrors `short_convolution` of
attncli/spec/attention.py.

    y_n = sum_j c_j x_(n-j), j from 0 to w - 1, or from -(w - 1) / 2 to (w - 1) / 2; x of another text is 0

So et al. 2021, arXiv:2109.08668 (multi-dconv-head attention): every feature of every head has weights of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from attncli.nn.view import View
from attncli.spec.attention import MultiHead
from attncli.spec.fixed import Projection


class Short(nn.Module):
    """Weights (w c) of queries, keys and values, the place itself first, then those before, then those behind it.

    What a writer is given begins with up to w - 1 inputs of earlier steps; outputs are those of the places of the view.
    Cost: w multiplications a number, which are sums of shifted tensors.
    """

    def __init__(self, *, width: int, centred: bool, widths: dict[Projection, int]) -> None:
        super().__init__()
        self.before = (width - 1) // 2 if centred else width - 1
        self.behind = width - 1 - self.before
        start = torch.full((width, 1), 0.5 / width)
        start[0] = 0.5
        self.weights = nn.ParameterDict({name: nn.Parameter(start.repeat(1, wide)) for name, wide in widths.items()})

    def forward(self, name: Projection, x: Tensor, view: View) -> Tensor:
        """(b n c) of maps to the same shape, or without the earlier inputs in front."""
        if name not in self.weights:
            return x[:, -view.query_positions.shape[1] :]
        weights: Tensor = self.weights[name].to(x.dtype)
        documents = None if view.texts is None else view.texts[:, -x.shape[1] :]
        if documents is not None:
            x = x.masked_fill((documents < 0).unsqueeze(2), 0.0)  # padding is no text, whatever stands there
        found = x * weights[0]
        for place, shift in enumerate([*range(1, self.before + 1), *range(-1, -self.behind - 1, -1)], 1):
            if abs(shift) < x.shape[1]:
                found = found + _shifted(x, documents, shift) * weights[place]
        return found[:, -view.query_positions.shape[1] :]


def _shifted(x: Tensor, documents: Tensor | None, by: int) -> Tensor:
    """What stands `by` places before each (behind it, if that is negative) in the same text; 0 where nothing does."""
    moved = pad(x, (0, 0, by, -by))
    if documents is None:
        return moved
    return moved.masked_fill((pad(documents, (by, -by), value=-1) != documents).unsqueeze(2), 0.0)


def build_short(attention: MultiHead, *, query: int, key: int, value: int) -> Short | None:
    """The convolution of an attention whose maps give so many features in all; None where there is none.

    Keys and values of another layer come convolved; values that are the keys, and keys that no one compares, have none.
    """
    if attention.short_convolution is None:
        return None
    widths: dict[Projection, int] = {"query": query}
    if attention.kv_from is None:
        if attention.score.kind not in ("location", "synthesizer"):
            widths["key"] = key
        if attention.values == "own":
            widths["value"] = value
    return Short(
        width=attention.short_convolution, centred=attention.mask.causal(heads=attention.heads) is not None,
        widths=widths,
    )  # fmt: skip
