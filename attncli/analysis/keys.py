"""Keys that are deleted from a text: whether those that maps point at are those that the model needs.

A key is deleted as padding is: it stands in no document, every mask hides it, and the places of the others stay. Its
importance is the share of attention that it receives, the mean over all heads and queries of all attentions that read
its field; the order is judged as that of heads is (attncli/analysis/importance.py), text by text.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from attncli.analysis.importance import CUTS, RANDOM, Faithfulness
from attncli.analysis.samples import interval, row_probabilities
from attncli.maps.capture import ends_of
from attncli.maps.check import take
from attncli.nn.model import Model
from attncli.nn.view import Record
from attncli.streams import Batch, Stream


def key_field(model: Model) -> str:
    """The field whose keys are deleted: that of the first stack."""
    return next(iter(model.stacks.values())).field


@torch.no_grad()
def received(model: Model, batch: Batch, field: str) -> Tensor:
    """(b n): the mean share that each place of the field receives, 0 where there is no token."""
    ends = ends_of(model)
    total = torch.zeros(batch[field].values.shape, dtype=torch.float64)
    count = torch.zeros(len(total), 1, dtype=torch.float64)

    def tap(record: Record) -> None:
        end = ends[record.address]
        if end.keys != field:
            return
        taken = take(record)
        weights = taken.weights[..., end.ahead :].double().abs() * taken.query_real[:, None, :, None]
        total.add_(weights.sum((1, 2)))
        count.add_(taken.query_real.sum(1, keepdim=True) * weights.shape[1])

    model(batch, tap)
    return total / count.clamp(min=1) * batch[field].real.cpu()


def without_keys(stream: Stream, gone: Tensor) -> Stream:
    """The stream whose places (b n) hold no token for any query."""
    return replace(stream, documents=stream.documents.masked_fill(gone, -1), padded=True, plain=False)


@torch.no_grad()
def faithful_keys(model: Model, batches: Sequence[Batch], *, seed: int = 0) -> Faithfulness:
    """The score of deleting the keys of each text in the order of the attention that they receive."""
    field = key_field(model)
    ordered, random = [], []
    steps = CUTS // 2
    for number, batch in enumerate(batches):
        shares = received(model, batch, field)
        ordered.append(_curve(model, batch, field, shares, steps))
        generator = torch.Generator().manual_seed(seed + number)
        drawn = [torch.rand(shares.shape, generator=generator, dtype=torch.float64) for _ in range(RANDOM)]
        random.append(torch.stack([_curve(model, batch, field, one, steps) for one in drawn]).mean(0))
    one, other = torch.cat(ordered, 1).double(), torch.cat(random, 1).double()
    score, low, high = interval((other - one).mean(0))
    cuts = tuple(range(1, steps))
    return Faithfulness(
        score, low, high, cuts, tuple(one.mean(1).tolist()), tuple(other.mean(1).tolist()), one.shape[1], RANDOM
    )


def _curve(model: Model, batch: Batch, field: str, importance: Tensor, steps: int) -> Tensor:
    """(steps - 1, b): the probability of the right labels without the first 1 / steps, 2 / steps, … of the keys."""
    stream = batch[field]
    real = stream.real.cpu()
    ranks = importance.masked_fill(~real, -1.0).argsort(1, descending=True).argsort(1)
    points = []
    for step in range(1, steps):
        count = (real.sum(1, keepdim=True) * step / steps).round()
        gone = ((ranks < count) & real).to(stream.values.device)
        points.append(row_probabilities(model, batch | {field: without_keys(stream, gone)}))
    return torch.stack(points)
