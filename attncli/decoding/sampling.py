"""Tokens drawn at random from the model's distribution.

p(token) is softmax(log-probability / temperature), cut to the top_k likeliest tokens, then to the smallest set of
likeliest tokens whose share of what is left reaches top_p (Holtzman et al. 2020, arXiv:1904.09751, section 3.1), and
renormalised. Each sentence has random numbers of its own, so what is written for it does not depend on its neighbours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from attncli.decoding.greedy import write
from attncli.decoding.writing import Hypothesis, Signs, begin, best, index_of, precise
from attncli.nn.model import Model
from attncli.nn.view import Tap
from attncli.spec.seeds import mix
from attncli.spec.training import Sample
from attncli.streams import Batch

COLDEST = 1e-30
"""Below it a temperature would be flushed to zero; the likeliest token takes all long before."""


def sample(
    model: Model,
    batch: Batch,
    decoding: Sample,
    *,
    signs: Signs,
    max_length: int,
    tap: Tap | None,
    seed: int,
    numbers: Sequence[int] | None,
) -> list[list[Hypothesis]]:
    """One text for each sentence; the score is the log-probability under the model itself, uncut, at temperature 1.

    `numbers` are the sentences' places in the whole input, from which (with the seed) their random numbers follow;
    their places in the batch where not given.
    """
    writing = begin(
        model, batch, rows=1, signs=signs, wanted=decoding.max_length, max_length=max_length, tap=tap
    )  # fmt: skip
    numbers = range(len(writing.limits)) if numbers is None else numbers
    uniform = [
        torch.rand(limit, generator=torch.Generator().manual_seed(mix(seed, "sample", number)), dtype=torch.float64)
        for limit, number in zip(writing.limits, numbers, strict=True)
    ]

    def choose(scores: Tensor, sentences: list[int], step: int) -> Tensor:
        now = torch.stack([uniform[sentence][step] for sentence in sentences])
        return draw(
            scores, now, temperature=decoding.temperature, top_k=decoding.top_k, top_p=decoding.top_p
        )  # fmt: skip

    return write(writing, choose)


def draw(scores: Tensor, uniform: Tensor, *, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """(r): for each row of log-probabilities (r c) the token at which the sum of mass passes uniform (r), in [0, 1)."""
    index = None
    if top_k is not None:
        scores, index = best(scores, min(top_k, scores.shape[-1]))
    elif top_p is not None:
        scores, index = scores.sort(dim=-1, descending=True, stable=True)
    scores = scores.to(precise(scores.device))
    mass = ((scores - scores.max(-1, keepdim=True).values) / max(temperature, COLDEST)).softmax(-1)
    if top_p is not None:
        before = torch.nn.functional.pad(mass.cumsum(-1), (1, -1))
        mass = mass.masked_fill(before >= top_p, 0.0)  # nothing lies before the first, so it always stays
    place = _passes(mass, uniform.to(mass))
    return place if index is None else index.gather(-1, place.unsqueeze(-1)).squeeze(-1)


def _passes(mass: Tensor, uniform: Tensor) -> Tensor:
    """(r): the first place where the running sum of mass (r c) exceeds uniform times the whole; never one of mass 0."""
    reached = mass.cumsum(-1)
    place = torch.searchsorted(reached, uniform.unsqueeze(-1) * reached[:, -1:], right=True).squeeze(-1)
    places = index_of(range(mass.shape[-1]), mass.device)
    last = torch.where(mass > 0, places, 0).max(-1).values  # rounding may put the product at the whole itself
    return torch.minimum(place, last)
