"""Weights made from what a kernel read (attncli/maps/rebuilding.py), compared with what it gave, some rows at a time.

Compared are the sum of each row, what lies where nothing may be seen, and map · V with the kernel's output.

Shapes: b rows of the batch, h heads, q queries, r queries of a block, k keys, w keys of a block.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from attncli.maps.rebuilding import grouped, rebuilt, tolerance
from attncli.maps.record import Certificate
from attncli.nn.kernels.reference import repeat_heads, wide
from attncli.nn.positions import Relative
from attncli.nn.records import EVERY, Record

BLOCK = 1 << 22
"""Weights of a block, of all heads together."""

NEAR = 1024
"""Keys whose products may be summed up in float32: the rounding of so few, some eps √NEAR / 4, is far below what is
tolerated."""

Align = Callable[[slice], slice]
"""Keys that hold these keys."""


class Measures(NamedTuple):
    """What is measured of rows, each (b h r) or, of one row of the batch, (h r)."""

    row_sum: Tensor
    row_error: Tensor  # |sum - what it is due|, which is 1 unless `by_design` says why not; 0 for an empty row
    output_error: Tensor  # largest of the row's features
    forbidden: Tensor  # largest weight where nothing may be seen
    empty: Tensor  # no key may be seen, or all weights are 0 where the normalizer allows that

    @classmethod
    def joined(cls, parts: Sequence["Measures"]) -> "Measures":
        """Rows under each other."""
        return cls(*(torch.cat(each, -1) for each in zip(*parts, strict=True)))


class Checked(NamedTuple):
    """Some rows of a record. All other keys than those of `weights` have no weight. On the CPU."""

    first: int  # the query of the first row
    start: int  # the first key
    weights: Tensor  # (b h r w), float32 or float64
    measures: Measures
    row_tolerance: Tensor  # (b)
    output_tolerance: Tensor  # (b)
    logs: Tensor | None  # (b h r w) of the weights, where these came of them; any number where a weight is 0


@dataclass(frozen=True)
class Taken:
    """One record, checked, without its queries, keys and values. On the CPU."""

    address: str
    kernel: str
    dtype: str
    weights: Tensor  # (b h q k) float32
    measures: Measures  # (b h q)
    row_tolerance: Tensor  # (b)
    output_tolerance: Tensor  # (b)
    query_real: Tensor  # (b q)
    key_real: Tensor  # (b k)
    by_design: str  # why rows do not sum to 1; empty where they do


def take(record: Record) -> Taken:
    """Rebuild and check the weights of a record, and keep them all."""
    rows, heads, queries = record.output.shape[:3]
    weights = torch.zeros(rows, heads, queries, record.key.shape[2])
    parts = []
    for part in check(record):
        place = slice(part.first, part.first + part.weights.shape[2])
        weights[:, :, place, part.start : part.start + part.weights.shape[3]] = part.weights
        parts.append(part)
    reals = (real_of(record.query_real, rows, queries), real_of(record.key_real, rows, record.key.shape[2]))
    return Taken(
        record.address, record.kernel, dtype_of(record), weights, Measures.joined([part.measures for part in parts]),
        torch.stack([part.row_tolerance for part in parts]).amax(0),
        torch.stack([part.output_tolerance for part in parts]).amax(0), *reals, design_of(record),
    )  # fmt: skip


def dtype_of(record: Record) -> str:
    """The number format in which the kernel computed, as torch writes it."""
    return str(record.output.dtype).removeprefix("torch.")


@torch.no_grad()
def check(
    record: Record, align: Align = lambda keys: keys, *, block: int = BLOCK, logs: bool = False
) -> Iterator[Checked]:
    """The rows of a record from the first to the last; never more than about `block` weights at a time.

    `logs`: with the logarithms of the weights, where these are known.
    """
    if record.attention.weighing.joins_queries:  # no row can be made alone
        record = _joined(record)
    value = wide(record.value.cpu())
    sizes = value.abs().amax(3)
    with torch.autocast(record.query.device.type, enabled=False):  # what the kernel read is not to be rounded again
        for rows in _blocks(record, align, block):
            yield _check(record, value, sizes, rows, align, logs)


def _blocks(record: Record, align: Align, block: int) -> Iterator[slice]:
    """Rows, as many at a time as have about `block` weights with the keys that they may see."""
    queries, keys = record.output.shape[2], range(record.key.shape[2])
    room, first = block // max(1, len(record.query) * record.query.shape[1]), 0

    def fits(rows: int) -> bool:
        return rows * len(keys[align(record.joining.reach(slice(first, min(first + rows, queries))))]) <= room

    while first < max(queries, 1):
        step = more = max(1, room // max(1, len(keys)))
        while first + step < queries and fits(more):
            step, more = more, more + more // 4 + 1
        yield slice(first, min(first + step, queries))
        first += step


def _check(record: Record, value: Tensor, sizes: Tensor, rows: slice, align: Align, asks_logs: bool) -> Checked:
    """`value` (b g k v) on the CPU, in float32 or wider, and `sizes` (b g k) the largest |feature| of each."""
    part, keys = _narrowed(record, rows, align)
    visible, outside = _visible(part), _outside(record, rows, keys)
    weights, total, coarse, logs = rebuilt(part, logs=asks_logs)
    value, sizes = value[:, :, keys], sizes[:, :, keys]
    promised, sees = record.attention.normalizer.row_sum, visible.any(-1).expand(total.shape)
    empty = ~sees if promised == "one" else ~sees | (total == 0)
    due = _due(part, total)
    row_error = ((total - due) / due.abs().clamp(min=1)).abs().masked_fill(empty, 0.0)
    mixed, carried = _mixed(part, weights, value)
    largest = repeat_heads(sizes, mixed.shape[1]) * visible.any(2)
    largest = (largest.amax((1, 2)) if keys.start < keys.stop else largest.new_zeros(len(value))) + carried
    if promised == "any" or record.attention.weighing.difference is not None:
        # rounding grows with what is added up
        largest = largest * weights.abs().sum(-1, dtype=torch.float64).amax((1, 2)).clamp(min=1)
    dtype = record.output.dtype
    return Checked(
        rows.start,
        keys.start,
        weights,
        Measures(
            total,
            row_error,
            (mixed - part.output.cpu().double()).abs().amax(-1),
            torch.maximum(_forbidden(part, weights, visible), outside),
            empty,
        ),
        coarse.masked_fill(empty, 0.0).amax((1, 2)).clamp(min=tolerance(dtype, 1.0)),
        torch.tensor([tolerance(dtype, size) for size in largest.tolist()], dtype=torch.float64),
        logs,
    )


def _narrowed(record: Record, rows: slice, align: Align) -> tuple[Record, slice]:
    """These rows with the keys that they may see, and perhaps some more."""
    keys = align(record.joining.reach(rows))
    part = record.part(rows, keys)
    visible = part.visible
    if visible is None:
        return part, keys
    seen = visible.flatten(0, 2).any(0).nonzero()
    if visible.shape[3] != len(range(part.key.shape[2])):  # all keys alike
        return part, keys
    first, last = (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, 0)
    kept = align(slice(keys.start + first, keys.start + last))
    if kept.stop - kept.start > 0.75 * (keys.stop - keys.start):
        return part, keys
    return part.part(EVERY, slice(kept.start - keys.start, kept.stop - keys.start)), kept


def _outside(record: Record, rows: slice, keys: slice) -> Tensor:
    """(b h r): the largest weight that the kernel gave to a key outside of those that these rows may see."""
    if record.weights is None:
        return torch.zeros(())
    given = record.weights[:, :, rows]
    sides = [side.abs().amax(-1) for side in (given[..., : keys.start], given[..., keys.stop :]) if side.shape[3]]
    return torch.stack(sides).amax(0).cpu().double() if sides else torch.zeros(())


def _forbidden(part: Record, weights: Tensor, visible: Tensor) -> Tensor:
    """(b h r): the largest weight where nothing may be seen."""
    masked_here = part.lse is not None and part.weights is None and part.key_real is None
    if not weights.shape[3] or masked_here or bool(visible.all()):
        return torch.zeros(weights.shape[:3], dtype=torch.float64)
    return weights.masked_fill(visible, 0.0).abs().amax(-1).double()


def _mixed(part: Record, weights: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """(b h r v) the mixture of values (b g w v), and (b) the largest number that the position adds to it.

    NEAR keys are multiplied in their own width, and what they give is added up in float64.
    """
    dtype = torch.promote_types(weights.dtype, value.dtype)
    weights, value = weights.to(dtype), value.to(dtype)
    mixed = torch.zeros(*weights.shape[:3], value.shape[3], dtype=torch.float64)
    for first in range(0, weights.shape[3], NEAR):
        near = slice(first, first + NEAR)
        mixed += grouped(weights[..., near], value[:, :, near])
    if type(part.attention.position).carry is Relative.carry:
        return mixed, torch.zeros(len(value), dtype=torch.float64)
    both: Tensor = part.attention.mixture(part, weights.double())
    return both, (both - mixed).abs().nan_to_num(0.0).amax((1, 2, 3))


def design_of(record: Record) -> str:
    """Why the rows of a record do not sum to 1; "" where they do."""
    if record.attention.normalizer.row_sum == "any":
        why: str = record.attention.normalizer.by_design
        return why
    if record.total is None:
        return ""
    weighing = record.attention.weighing
    why = "a sink takes its share" if weighing.sink is not None else "its heads are mixed"
    why = why if weighing.difference is None else "a share of a second map is taken away"
    return why if record.attention.span is None else "its span takes a share"


def _joined(record: Record) -> Record:
    """A record with what can only be made of all its queries at once."""
    with torch.autocast(record.query.device.type, enabled=False):
        if record.weights is None and record.lse is None:
            record = record._replace(weights=record.attention.weights(record))
        if record.attention.normalizer.row_sum == "any":
            again: Tensor = record.attention.weights(record, dtype=record.query.dtype)
            record = record._replace(total=again.double().sum(-1))
    return record


def _due(part: Record, total: Tensor) -> Tensor:
    """(b h r): what each row of weights must sum to.

    Where the normalizer promises no sum, it is what the reference makes of what the kernel read, in the same dtype:
    wider scores would have other last places, which half types would show in the sum.
    """
    if part.attention.normalizer.row_sum == "any" and not part.attention.weighing.joins_queries:
        again: Tensor = part.attention.weights(part, dtype=part.query.dtype)
        return again.cpu().double().sum(-1)
    return torch.ones_like(total) if part.total is None else part.total.cpu().double()


def certificate(
    measures: Measures, *, row_tolerance: float, output_tolerance: float, not_finite: int, rows: tuple[str, ...],
    by_design: str,
) -> Certificate:  # fmt: skip
    """The certificate of one map, of what was measured of its rows (h q); `rows` names the queries."""
    row_sum, row_error, output_error, forbidden, empty = measures
    sums = row_sum[~empty]
    share = torch.maximum(row_error / row_tolerance, output_error / max(output_tolerance, 1e-300))
    # NaN is worse than any number.
    place = int(torch.where(share.isnan(), math.inf, share).argmax()) if share.numel() else 0
    head, query = divmod(place, max(1, len(rows)))
    return Certificate(
        row_sum_error=_largest(row_error),
        row_sum_tolerance=row_tolerance,
        output_error=_largest(output_error),
        output_tolerance=output_tolerance,
        forbidden_weight=_largest(forbidden),
        empty_rows=int(empty.sum()),
        not_finite=not_finite,
        worst=f"head {head}, query {query} {rows[query][:40]!r}" if rows else "",
        least_row_sum=float(sums.min()) if sums.numel() else 0.0,
        most_row_sum=_largest(sums),
        by_design=by_design,
    )


def _largest(numbers: Tensor) -> float:
    """torch's maximum, which is NaN where one number is."""
    return float(numbers.max()) if numbers.numel() else 0.0


def real_of(real: Tensor | None, rows: int, places: int) -> Tensor:
    """Bool (b n), on the CPU: where a token stands."""
    return torch.ones(rows, places, dtype=torch.bool) if real is None else real.cpu().expand(rows, places)


def _visible(part: Record) -> Tensor:
    """Broadcast to (b h r w): mask, documents and padding together."""
    visible, real = part.visible, part.key_real
    whole = torch.ones(1, 1, 1, 1, dtype=torch.bool) if visible is None else visible.cpu()
    seen = whole if real is None else whole & real.cpu()[:, None, None, :]
    return seen.expand(*seen.shape[:3], part.key.shape[2])
