"""The rows of maps that come step by step: kept in memory while there is room, then in a file, and put together after.

A search computes a row of every map for all its texts at once, and which of these will be wanted shows at its end. So
all of them are kept as they come; of the text that is asked for, its own are read back some at a time, in order.
"""

import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from attncli.errors import WorkError
from attncli.maps.check import Checked, Measures, check, design_of, dtype_of, real_of
from attncli.maps.taking import Said
from attncli.nn.records import Record

NUMBERS = len(Measures._fields)
"""What is measured of a row."""


class Piece(NamedTuple):
    """Rows of one call: where they lie in the file, and which they are."""

    offset: int
    shape: tuple[int, int, int, int]  # b h r w
    start: int  # the first key
    place: int  # of the first row among all that the stack was asked for, padding counted


class Steps:
    """A tap that keeps the rows of every call, by address, in the order of the calls."""

    def __init__(self, only: str = "*", *, room: int, block: int) -> None:
        """`room`: bytes that may stay in memory; `block`: weights that may be made at a time."""
        self.only, self.block = only, block
        self.said: dict[str, Said] = {}
        self.pieces: dict[str, list[Piece]] = {}
        self._end: dict[str, int] = {}
        self._size = 0
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=room)  # noqa: SIM115 (it lives as long as its reader)

    def __call__(self, record: Record) -> None:
        if not fnmatchcase(record.address, self.only):
            return
        if record.address not in self.said:
            self.said[record.address] = Said(record.address, record.kernel, dtype_of(record), design_of(record))
        rows, _, queries = record.output.shape[:3]
        real = real_of(record.query_real, rows, queries), real_of(record.key_real, rows, record.key.shape[2])
        pieces, place = self.pieces.setdefault(record.address, []), self._end.get(record.address, 0)
        for part in check(record, block=self.block):
            b, h, r, w = part.weights.shape
            pieces.append(Piece(self._size, (b, h, r, w), part.start, place + part.first))
            self._write(part, real[0][:, part.first : part.first + r], real[1][:, : part.start + w])
        self._end[record.address] = place + queries

    def _write(self, part: Checked, asked: Tensor, read: Tensor) -> None:
        numbers = torch.stack([each.double() for each in part.measures], -1)  # (b h r n)
        tolerances = torch.stack((part.row_tolerance, part.output_tolerance), -1)
        try:
            self._file.seek(self._size)
            for each in (part.weights.float(), numbers, tolerances, asked, read):
                self._size += self._file.write(each.contiguous().numpy().tobytes())
        except OSError as error:
            rule = f"the maps of what was written so far are beyond the budget, and the file for them failed: {error}"
            raise WorkError(rule, help="write less, narrow --only, give a larger --budget, or set TMPDIR") from None

    def rows(self, piece: Piece, row: int) -> tuple[Checked, Tensor]:
        """One row of the batch of a piece, without its padding, and which of its queries (r) are real."""
        b, h, r, w = piece.shape
        sizes = {"weights": 4 * h * r * w, "numbers": 8 * NUMBERS * h * r, "tolerances": 16, "asked": r,
                 "read": piece.start + w}  # fmt: skip
        found, offset = {}, piece.offset
        for name, size in sizes.items():
            self._file.seek(offset + row * size)
            found[name] = bytearray(self._file.read(size))
            offset += b * size
        weights = _tensor(found["weights"], np.float32, 1, h, r, w)
        numbers = _tensor(found["numbers"], np.float64, 1, h, r, NUMBERS)
        asked, read = _tensor(found["asked"], np.bool_, r), _tensor(found["read"], np.bool_, piece.start + w)
        row_tolerance, output_tolerance = _tensor(found["tolerances"], np.float64, 2, 1)
        measures = [each[:, :, asked] for each in numbers.unbind(-1)]
        return Checked(
            piece.place, int(read[: piece.start].sum()), weights[:, :, asked][..., read[piece.start :]],
            Measures(measures[0], measures[1], measures[2], measures[3], measures[4] > 0),
            row_tolerance, output_tolerance, None,
        ), asked  # fmt: skip


@dataclass(frozen=True)
class Stitched:
    """The rows of one text of a search, in order, from the rows of the batch in which they were computed."""

    steps: Steps
    found: list[tuple[Piece, int]]
    """Each with the row of the batch."""
    firsts: list[int]
    """The number of the first row of each, padding left out."""

    @classmethod
    def of(cls, steps: Steps, address: str, row_of: Callable[[int], int], last: int | None) -> "Stitched":
        """Those in front of place `last`; `row_of` tells the row of the batch of a place."""
        found, firsts, count = [], [], 0
        for piece in steps.pieces[address]:
            if last is None or piece.place < last:
                row = row_of(piece.place)
                found.append((piece, row))
                firsts.append(count)
                count += int(steps.rows(piece, row)[1].sum())
        return cls(steps, found, firsts)

    def blocks(self, first: int = 0, last: int | None = None, *, cell: int = 1) -> Iterator[Checked]:
        """Rows from `first` to before `last`, some at a time, each block with keys from a whole `cell` on."""
        waiting: list[Checked] = []
        rows, low, high = 0, 0, 0
        place = max(0, bisect_right(self.firsts, first) - 1)
        for (piece, row), at in zip(self.found[place:], self.firsts[place:], strict=True):
            if last is not None and at >= last:
                break
            part, _ = self.steps.rows(piece, row)
            part = _some(part, max(0, first - at), None if last is None else last - at)
            _, heads, more, width = part.weights.shape
            left, right = min(low, part.start), max(high, part.start + width)
            if waiting and heads * (rows + more) * (right - left) > self.steps.block:
                yield _together(waiting, low // cell * cell, high)
                waiting, rows = [], 0
            if not waiting:
                left, right = part.start, part.start + width
            rows, low, high = rows + more, left, right
            waiting.append(part)
        if waiting:
            yield _together(waiting, low // cell * cell, high)


def _tensor(raw: bytearray, dtype: type[np.generic], *shape: int) -> Tensor:
    return torch.from_numpy(np.ndarray(shape, dtype, raw))


def _some(part: Checked, first: int, last: int | None) -> Checked:
    rows = slice(first, last)
    return part._replace(
        weights=part.weights[:, :, rows], measures=Measures(*(each[:, :, rows] for each in part.measures))
    )


def _together(parts: list[Checked], low: int, high: int) -> Checked:
    """Rows under each other, with the keys from `low` to before `high`; those that a part did not have are 0."""
    weights = [pad(each.weights, (each.start - low, high - each.start - each.weights.shape[3])) for each in parts]
    return Checked(
        parts[0].first, low, torch.cat(weights, 2), Measures.joined([each.measures for each in parts]),
        torch.stack([each.row_tolerance for each in parts]).amax(0),
        torch.stack([each.output_tolerance for each in parts]).amax(0), None,
    )  # fmt: skip
