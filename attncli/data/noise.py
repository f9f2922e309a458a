"""What a masked language model has to restore.

Of the tokens of a text, each is chosen with probability `rate` (at least one a text); of those chosen 80 % become the
mask, 10 % a token drawn from all that are not special, and 10 % stay. The labels are the chosen tokens as they were.
Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1 and appendix A.1; there, too, a text has at least one.
"""

from dataclasses import replace

import torch
from torch import Tensor

from attncli.streams import IGNORE, Stream


def corrupt(
    text: Stream, *, rate: float, mask: int, special: Tensor, ordinary: Tensor, generator: torch.Generator
) -> tuple[Stream, Stream]:
    """The text (b n) with noise, and its labels (b n).

    special: ids that are never chosen. ordinary: ids that may replace one.
    """
    eligible = text.real & ~torch.isin(text.values, special)
    draw = torch.rand(text.values.shape, generator=generator).masked_fill(~eligible, 2.0)
    chosen = eligible & ((draw < rate) | (draw == draw.amin(1, keepdim=True)))
    how = torch.rand(text.values.shape, generator=generator)
    others = ordinary[torch.randint(len(ordinary), text.values.shape, generator=generator)]
    values = text.values.masked_fill(chosen & (how < 0.8), mask)
    values = torch.where(chosen & (how >= 0.8) & (how < 0.9), others, values)
    labels = torch.where(chosen, text.values, IGNORE)
    return replace(text, values=values), replace(text, values=labels)
