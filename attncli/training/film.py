"""The heads while they are trained: a few rows, always the same, looked at every so many steps. Key `train.watch`.

    entropy    mean over rows of weights of H(w) / ln(visible keys): 0 looks at one key, 1 at all alike
    peak       mean largest share of a row
    output     mean |c_h W_h| of what a head adds, over that of the head of its layer that adds most
    nearest    least mean divergence from another head of the attention, in bits (Lin 1991): 0 is a double

One forward pass without gradient over at most ROWS texts, and the last QUERIES rows of each map; nothing is drawn, so
the run that is watched is the run. The film is heads.jsonl, a line a look, and TensorBoard's `heads`.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attncli.nn.model import Model
from attncli.nn.view import Record
from attncli.streams import Batch
from attncli.training.journal import HEADS, Journal, Line, read_lines, written
from attncli.training.parts import split

ROWS, QUERIES = 4, 32
COLLAPSED, UNIFORM, DEAD, DOUBLE = 0.01, 0.99, 1e-3, 1e-3
STEADY = 3
"""Looks in a row that must show a sign before it is an alert: at the start many heads look at all keys alike."""


@dataclass
class Sums:
    """What is summed over the records of one attention: (h) each, (h h) of divergences."""

    entropy: Tensor
    peak: Tensor
    added: Tensor
    divergence: Tensor
    rows: Tensor
    choices: Tensor
    """Rows that see more than one key."""


class Film:
    """Looks at a model, keeps what it sees in the run's folder, and remembers which signs it has seen."""

    def __init__(self, folder: Path, model: Model, batch: Batch, *, step: int) -> None:
        """`step` is where the run stands: what the folder's film says of later looks is cut off."""
        self.model = model
        known = [line for line in read_lines(folder / HEADS) if line["step"] <= step]
        self._journal = Journal(folder / HEADS, sum(len(written(line)) for line in known))
        self.batch = split(batch, -(-len(next(iter(batch.values())).values) // ROWS))[0]
        self.seen: dict[str, int] = {}
        for line in known:
            self._alerts(line["signs"])

    def look(self, step: int) -> Line:
        """One line of the film."""
        training = self.model.training
        self.model.eval()
        sums: dict[str, Sums] = {}

        def tap(record: Record) -> None:
            found = _measured(record)
            if record.address in sums:
                before = vars(sums[record.address])
                found = Sums(**{name: before[name] + value for name, value in vars(found).items()})
            sums[record.address] = found

        try:
            with torch.no_grad():
                self.model(self.batch, tap)
        finally:
            self.model.train(training)
        heads = {address: _statistics(one) for address, one in sums.items()}
        signs = [sign for address, one in heads.items() for sign in _signs(address, one)]
        line: Line = {"step": step, "split": "heads", "heads": heads, "signs": signs, "alerts": self._alerts(signs)}
        self._journal.write(line)
        return line

    def news(self) -> list[str]:
        """Signs that have just become alerts."""
        return [sign for sign, count in self.seen.items() if count == STEADY]

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def _alerts(self, signs: list[str]) -> list[str]:
        """The signs of STEADY looks in a row."""
        self.seen = {sign: self.seen.get(sign, 0) + 1 for sign in signs}
        return [sign for sign, count in self.seen.items() if count >= STEADY]


def _measured(record: Record) -> Sums:
    attention, output = record.attention, record.output
    queries = output.shape[2]
    if not attention.weighing.joins_queries and queries > QUERIES:
        record = record.part(slice(queries - QUERIES, queries))
    weights = attention.weights(record) if record.weights is None else record.weights
    shares = weights.float().abs()
    shares = shares / shares.sum(-1, keepdim=True).clamp(min=1e-30)
    real = torch.ones_like(shares[..., 0]) if record.query_real is None else record.query_real[:, None, :].to(shares)
    visible = record.visible
    count = torch.full_like(shares[..., 0], shares.shape[3]) if visible is None else visible.float().sum(-1)
    count = count.expand(shares.shape[:3])
    looks = real * (shares.sum(-1) > 0.5)
    chooses = looks * (count > 1)
    return Sums(
        entropy=_sum(_entropy(shares) / count.clamp(min=2).log(), chooses),
        peak=_sum(shares.amax(-1), looks),
        added=_sum(_added(attention, record.output), real.expand(shares.shape[:3])),
        divergence=_divergence(shares, looks),
        rows=looks.sum((0, 2)),
        choices=chooses.sum((0, 2)),
    )


def _sum(values: Tensor, counts: Tensor) -> Tensor:
    total: Tensor = (values * counts).sum((0, 2))
    return total


def _entropy(shares: Tensor) -> Tensor:
    found: Tensor = torch.special.entr(shares).sum(-1)
    return found


def _added(attention: Any, output: Tensor) -> Tensor:
    """(b h q): |c_h W_h|; what the output map would add, gates and norms not counted."""
    mixed = output.float()
    if isinstance(attention.output, nn.Linear) and attention.output.in_features == mixed.shape[1] * mixed.shape[3]:
        by_head = attention.output.weight.float().view(-1, mixed.shape[1], mixed.shape[3])
        mixed = torch.einsum("bhqv,dhv->bhqd", mixed, by_head)
    lengths: Tensor = mixed.norm(dim=-1)
    return lengths


def _divergence(shares: Tensor, looks: Tensor) -> Tensor:
    """(h h): the sum over rows of the divergence of every two heads, in bits."""
    own = _entropy(shares)
    found = []
    for head in range(shares.shape[1]):
        middle = _entropy((shares + shares[:, head : head + 1]) / 2) - (own + own[:, head : head + 1]) / 2
        found.append(_sum(middle.clamp(min=0), looks) / math.log(2))
    return torch.stack(found)


def _statistics(sums: Sums) -> dict[str, list[float]]:
    rows, choices = sums.rows.clamp(min=1), sums.choices.clamp(min=1)
    apart = sums.divergence / rows + torch.diag(torch.full_like(rows, torch.inf))
    values = {
        "entropy": torch.where(sums.choices > 0, sums.entropy / choices, 0.5),
        "peak": sums.peak / rows,
        "output": sums.added / sums.added.amax().clamp(min=1e-30),
        "nearest": apart.amin(1).clamp(max=1),
    }
    return {name: [round(number, 6) for number in column.tolist()] for name, column in values.items()}


def _signs(address: str, one: dict[str, list[float]]) -> list[str]:
    found: dict[str, list[int]] = defaultdict(list)
    for head, (entropy, output, nearest) in enumerate(zip(one["entropy"], one["output"], one["nearest"], strict=True)):
        signs = {
            "looks at one key alone (collapsed)": entropy < COLLAPSED,
            "looks at all keys alike (uniform)": entropy > UNIFORM,
            "adds nothing (dead)": output < DEAD,
            "does what another head does (duplicated)": nearest < DOUBLE,
        }
        for sign, shows in signs.items():
            if shows:
                found[sign].append(head)
    return [f"{address}:{head} {sign}" for sign, heads in found.items() for head in heads]
