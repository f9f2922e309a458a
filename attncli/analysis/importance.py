"""How much the model needs each head, by two measures, and whether the order that they give is what the model does.

    masked    d_h = mean over samples of L(x; xi_h = 0) - L(x)          nats a label: what is lost without the head
    gradient  I_h = mean over samples of |dL(x) / dxi_h| at xi = 1      Michel et al. 2019, arXiv:1905.10650, eq. 2

xi_h is the factor on a head (attncli/analysis/masking.py). Intervals are 1.96 standard errors over samples. Michel et
al. divide I by its length in each layer before they compare layers; here it is as eq. 2 has it. Agreement is Spearman's
rank correlation of both measures, its interval the middle 95 % of 200 draws of the samples with replacement.

Faithfulness is measured by deletion: heads are masked one after the other, the most important first, and in orders
drawn at random. With p(k) the mean probability of the right labels without the first k of H heads,

    score = mean over k = 1 … H - 1 of p_random(k) - p_ordered(k)

which is 0 where the order tells no more than chance, and near p(0) where the first head decides all. The order comes
of every second sample, and the score of the others, so that an order cannot know the samples that judge it. Samek et
al. 2017, arXiv:1509.06321, eq. 12 (their order of regions); DeYoung et al. 2020, arXiv:1911.03429, section 4.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from attncli.analysis.masking import headed, scaled
from attncli.analysis.samples import interval, row_losses, row_probabilities
from attncli.nn.model import Model
from attncli.streams import Batch

Progress = Callable[[int, int], None]
RANDOM = 4
"""Orders drawn at random."""
CUTS = 16
"""Steps of a curve at the most: of many heads several leave at once."""
DRAWS = 200
Place = tuple[str, int]


@dataclass(frozen=True)
class Head:
    """What one head is worth."""

    address: str
    head: int
    masked: float
    masked_low: float
    masked_high: float
    gradient: float
    gradient_low: float
    gradient_high: float


@dataclass(frozen=True)
class Faithfulness:
    """The area between two curves of deletion, with its interval over samples."""

    score: float
    low: float
    high: float
    left: tuple[int, ...]
    """k: how many were deleted at each point."""
    ordered: tuple[float, ...]
    random: tuple[float, ...]
    """Mean probability of the right labels at each point."""
    samples: int
    orders: int


@dataclass(frozen=True)
class Importance:
    """Every head, the most important by `masked` first."""

    heads: tuple[Head, ...]
    loss: float
    samples: int
    agreement: float
    agreement_low: float
    agreement_high: float
    faithfulness: Faithfulness

    def json(self) -> dict[str, Any]:
        """All of it, in the words of the field."""
        return asdict(self)


def importance(
    model: Model, batches: Sequence[Batch], *, seed: int = 0, progress: Progress | None = None
) -> Importance:
    """The importance of every head of a model over the rows of batches."""
    heads = [(address, head) for address, one in headed(model).items() for head in range(one.heads)]
    told = _Told(progress, 2 * len(batches) * (len(heads) + 1))
    plain = torch.cat([_losses(model, batch) for batch in batches])
    masked = _masked(model, batches, heads, told) - plain.unsqueeze(1)
    gradient = _gradients(model, batches, heads, told)
    order = masked.mean(0).argsort(descending=True).tolist()
    found = tuple(_head(heads[place], masked[:, place], gradient[:, place]) for place in order)
    judged = masked[::2].mean(0).argsort(descending=True).tolist()
    faithful = faithfulness(
        len(heads), judged, lambda gone: _probabilities(model, batches, [heads[place] for place in gone])[1::2],
        seed=seed, told=told,
    )  # fmt: skip
    agreement = _agreement(masked, gradient, seed)
    return Importance(found, float(plain.mean()), len(plain), *agreement, faithful)


def _head(place: Place, masked: Tensor, gradient: Tensor) -> Head:
    (lost, lost_low, lost_high), (slope, low, high) = interval(masked), interval(gradient)
    return Head(*place, lost, lost_low, lost_high, slope, low, high)


def faithfulness(
    count: int, order: Sequence[int], probabilities: Callable[[Sequence[int]], Tensor], *, seed: int,
    told: "_Told | None" = None,
) -> Faithfulness:  # fmt: skip
    """The score of an order of `count` things; `probabilities` gives (samples) without those named."""
    generator = torch.Generator().manual_seed(seed)
    cuts = sorted({round(count * step / min(count, CUTS)) for step in range(1, min(count, CUTS))})
    orders = [list(order)] + [torch.randperm(count, generator=generator).tolist() for _ in range(RANDOM)]
    curves = []
    for one in orders:
        curves.append(torch.stack([probabilities(one[:cut]) for cut in cuts]) if cuts else torch.zeros(1, 2))
        if told is not None:
            told.add(1)
    ordered, random = curves[0].double(), torch.stack(curves[1:]).double().mean(0)
    score, low, high = interval((random - ordered).mean(0))
    means = tuple(ordered.mean(1).tolist()), tuple(random.mean(1).tolist())
    return Faithfulness(score, low, high, tuple(cuts), *means, ordered.shape[1], RANDOM)


@torch.no_grad()
def _losses(model: Model, batch: Batch) -> Tensor:
    return row_losses(model, batch).double()


def _factors(model: Model, gone: Sequence[Place]) -> dict[str, Tensor]:
    device = next(model.parameters()).device
    attentions = headed(model)
    found = {address: torch.ones(attentions[address].heads, device=device) for address, _ in gone}
    for address, head in gone:
        found[address][head] = 0.0
    return found


def _masked(model: Model, batches: Sequence[Batch], heads: Sequence[Place], told: "_Told") -> Tensor:
    """(samples heads): the loss without each head."""
    columns = []
    for place in heads:
        with scaled(model, _factors(model, [place])):
            columns.append(torch.cat([_losses(model, batch) for batch in batches]))
        told.add(len(batches))
    return torch.stack(columns, 1)


@torch.no_grad()
def _probabilities(model: Model, batches: Sequence[Batch], gone: Sequence[Place]) -> Tensor:
    with scaled(model, _factors(model, gone)):
        return torch.cat([row_probabilities(model, batch) for batch in batches])


def _gradients(model: Model, batches: Sequence[Batch], heads: Sequence[Place], told: "_Told") -> Tensor:
    """(samples heads): |dL(x) / dxi_h|, of each row its own."""
    rows = []
    attentions = headed(model)
    for batch in batches:
        count = len(batch["labels"].values)
        device = next(model.parameters()).device
        factors = {
            address: torch.ones(count, one.heads, device=device, requires_grad=True)
            for address, one in attentions.items()
        }
        with torch.enable_grad(), scaled(model, factors):
            total = row_losses(model, batch).sum()
            found = torch.autograd.grad(total, list(factors.values()), allow_unused=True)
        by_address = dict(zip(factors, found, strict=True))
        columns = [by_address[address] for address, _ in heads]
        rows.append(torch.stack([
            torch.zeros(count, device=device) if each is None else each[:, head].abs()
            for each, (_, head) in zip(columns, heads, strict=True)
        ], 1))  # fmt: skip
        told.add(1)
    return torch.cat(rows).double()


def _agreement(masked: Tensor, gradient: Tensor, seed: int) -> tuple[float, float, float]:
    """Rank correlation of |masked| and gradient, and the middle 95 % of it over draws of the samples."""
    from torchmetrics.functional import spearman_corrcoef

    if masked.shape[1] < 2:
        return float("nan"), float("nan"), float("nan")

    def of(rows: Tensor) -> float:
        return float(spearman_corrcoef(masked[rows].mean(0).abs(), gradient[rows].mean(0)))

    generator = torch.Generator().manual_seed(seed)
    draws = sorted(of(torch.randint(len(masked), (len(masked),), generator=generator)) for _ in range(DRAWS))
    return of(torch.arange(len(masked))), draws[round(0.025 * DRAWS)], draws[round(0.975 * DRAWS) - 1]


class _Told:
    """Counts what is done for somebody who waits."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, count: int) -> None:
        self.done = min(self.done + count, self.total)
        if self.progress is not None:
            self.progress(self.done, self.total)
