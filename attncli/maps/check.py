"""Weights rebuilt from what a kernel read, and compared with what it gave.

A fused kernel never holds its weights. With the final query, key and bias, and the log-sum-exp L that the kernel itself
divided by, a weight is exp(score - L): the sum of a row is then no construction but a test, and so is map · V against
the kernel's output. Both are computed in float64 from the tensors that the kernel read.

Shapes: b rows of the batch, h heads, q queries, k keys.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from attncli.maps.record import Certificate
from attncli.nn.kernels.reference import repeat_heads, wide
from attncli.nn.scores import Product
from attncli.nn.view import Record

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
"""Errors that rounding explains, for sums around 1 and for outputs relative to max |V|; half types have 2 ulp."""


@dataclass(frozen=True)
class Taken:
    """One record, checked, without its queries, keys and values. On the CPU."""

    address: str
    kernel: str
    dtype: str
    weights: Tensor  # (b h q k) float32
    row_sum: Tensor  # (b h q)
    row_error: Tensor  # (b h q) |sum - what it is due|, which is 1 unless `by_design` says why not; 0 for an empty row
    output_error: Tensor  # (b h q) largest of the row's features
    forbidden: Tensor  # (b h q) largest weight where nothing may be seen
    empty: Tensor  # (b h q) no key may be seen, or all weights are 0 where the normalizer allows that
    row_tolerance: Tensor  # (b)
    output_tolerance: Tensor  # (b)
    query_real: Tensor  # (b q)
    key_real: Tensor  # (b k)
    by_design: str  # why rows do not sum to 1; empty where they do


@torch.no_grad()
def take(record: Record) -> Taken:
    """Rebuild and check the weights of a record; cost: a few times b h q k float64."""
    heads, queries = record.output.shape[1:3]
    keys = record.key.shape[2]
    rows = len(record.query)
    with torch.autocast(record.query.device.type, enabled=False):  # what the kernel read is not to be rounded again
        weights, total, coarse = rebuilt(record)
    value = repeat_heads(record.value.cpu().double(), heads)
    visible = _visible(record, rows, heads, queries, keys)
    promised, sees = record.attention.normalizer.row_sum, visible.any(-1)
    empty = ~sees if promised == "one" else ~sees | (total == 0)
    due, by_design = _due(record, total)
    row_error = ((total - due) / due.abs().clamp(min=1)).abs().masked_fill(empty, 0.0)
    mixed = record.attention.mixture(record, weights)
    output_error = (mixed - record.output.cpu().double()).abs().amax(-1)
    carried = (mixed - weights @ value).abs().nan_to_num(0.0).amax((1, 2, 3))  # what the position adds to the mixture
    largest = (value.abs().amax((1, 3)) * visible.any(2).any(1)).amax(-1) + carried
    if promised == "any" or record.attention.weighing.difference is not None:
        largest = largest * weights.abs().sum(-1).amax((1, 2)).clamp(min=1)  # rounding grows with what is added up
    return Taken(
        record.address,
        record.kernel,
        str(record.output.dtype).removeprefix("torch."),
        weights.float(),
        total,
        row_error,
        output_error,
        weights.masked_fill(visible, 0.0).abs().amax(-1),
        empty,
        coarse.masked_fill(empty, 0.0).amax((1, 2)).clamp(min=tolerance(record.output.dtype, 1.0)),
        torch.tensor([tolerance(record.output.dtype, size) for size in largest.tolist()], dtype=torch.float64),
        _real(record.query_real, rows, queries),
        _real(record.key_real, rows, keys),
        by_design,
    )


def _due(record: Record, total: Tensor) -> tuple[Tensor, str]:
    """(b h q): what each row of weights must sum to, and why that is not 1; "" where it is.

    Where the normalizer promises no sum, it is what the reference makes of what the kernel read, in the same dtype:
    wider scores would have other last places, which half types would show in the sum.
    """
    if record.attention.normalizer.row_sum == "any":
        again: Tensor = record.attention.weights(record, dtype=record.query.dtype)
        return again.cpu().double().sum(-1), record.attention.normalizer.by_design
    if record.total is None:
        return torch.ones_like(total), ""
    weighing = record.attention.weighing
    why = "a sink takes its share" if weighing.sink is not None else "its heads are mixed"
    why = why if weighing.difference is None else "a share of a second map is taken away"
    return record.total.cpu().double(), why if record.factor is None else "its span takes a share"


class Rebuilt(NamedTuple):
    """Weights in float64, with what their rows summed to as the kernel divided them."""

    weights: Tensor  # (b h q k)
    total: Tensor  # (b h q)
    coarse: Tensor  # (b h q) error of a sum that the last places of scores and L explain


def rebuilt(record: Record) -> Rebuilt:
    """The weights that the kernel made, else exp(score - L), else the reference's.

    Scores and L are rounded numbers. Where they are large, their own last places are more than the tolerance of a row
    (4 eps |L| > 1e-5, |L| above 21 in float32): that is the tolerance there, and the row is divided by its sum.
    """
    score = record.attention.score
    if record.weights is not None or record.lse is None or not isinstance(score, Product):
        read = torch.promote_types(record.query.dtype, torch.float32)
        made = record.attention.weights(record, dtype=read) if record.weights is None else record.weights
        weights = made.cpu().double()
        return Rebuilt(weights, weights.sum(-1), torch.zeros(weights.shape[:3], dtype=weights.dtype))
    asked = score.ask(record.query)
    if record.temperature is not None:
        asked = (asked * record.temperature).to(asked.dtype)
    key = repeat_heads(record.key.to(asked.dtype), asked.shape[1])
    logits = (wide(asked) @ wide(key).transpose(2, 3) * score.scale).cpu().double()
    if record.bias is not None:
        logits = logits + record.bias.to(asked.dtype).cpu().double()
    lse = record.lse.cpu().double()
    weights = (logits - lse.unsqueeze(-1)).exp()
    if record.visible is not None:
        weights = weights.masked_fill(~record.visible.cpu(), 0.0)
    total = weights.sum(-1)
    coarse = (4 * torch.finfo(record.lse.dtype).eps * lse.abs()).expm1()
    divisor = torch.where((coarse > tolerance(record.lse.dtype, 1.0)) & (total > 0), total, 1.0)
    return Rebuilt(weights / divisor.unsqueeze(-1), total, coarse)


def tolerance(dtype: torch.dtype, size: float) -> float:
    """The error that rounding explains in numbers up to `size`: see TOLERANCE."""
    if dtype in TOLERANCE:
        return TOLERANCE[dtype] * size
    return 2 * torch.finfo(dtype).eps * 2.0 ** math.floor(math.log2(size)) if size else 0.0


def certificate(
    weights: Tensor,
    row_sum: Tensor,
    row_error: Tensor,
    output_error: Tensor,
    forbidden: Tensor,
    empty: Tensor,
    *,
    row_tolerance: float,
    output_tolerance: float,
    rows: tuple[str, ...],
    by_design: str,
) -> Certificate:
    """The certificate of one map: weights (h q k), the rest (h q); `rows` names the queries."""
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
        not_finite=int((~weights.isfinite()).sum()),
        worst=f"head {head}, query {query} {rows[query][:40]!r}" if rows else "",
        least_row_sum=float(sums.min()) if sums.numel() else 0.0,
        most_row_sum=_largest(sums),
        by_design=by_design,
    )


def _largest(numbers: Tensor) -> float:
    """torch's maximum, which is NaN where one number is."""
    return float(numbers.max()) if numbers.numel() else 0.0


def _real(real: Tensor | None, rows: int, places: int) -> Tensor:
    return torch.ones(rows, places, dtype=torch.bool) if real is None else real.cpu().expand(rows, places)


def _visible(record: Record, rows: int, heads: int, queries: int, keys: int) -> Tensor:
    """(b h q k) of mask, documents and padding."""
    real = _real(record.key_real, rows, keys)[:, None, None, :]
    seen = real if record.visible is None else record.visible.cpu() & real
    return seen.expand(rows, heads, queries, keys)
