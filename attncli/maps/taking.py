"""A tap that reduces each attention while its layer runs, and keeps no more of it than was planned."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor

from attncli.errors import InputError
from attncli.maps.budget import Budget, Choice, shown
from attncli.maps.check import Checked, Measures, certificate, check, design_of, dtype_of, real_of
from attncli.maps.record import AttentionMap, Kind, Rows, Weights
from attncli.maps.reducing import Block, Reducer
from attncli.maps.stores import Store
from attncli.maps.summary import cell_of
from attncli.nn.records import Record


@dataclass(frozen=True)
class Axes:
    """What one map of one row of the batch joins, by name."""

    kind: Kind
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    writes: tuple[str, ...] | None
    ahead: int
    steps: tuple[int, ...] | None = None
    """The call in which each query was computed, where there were several."""


@dataclass(frozen=True)
class Said:
    """What all records of an attention have in common."""

    address: str
    kernel: str
    dtype: str
    by_design: str


@dataclass
class Running:
    """One map of one row of the batch, while its rows pass."""

    axes: Axes
    whole: Weights | None
    """An array (head query key) that takes every row; None where the map is only reduced."""
    rows: Rows | None
    reducer: Reducer | None
    """None where the map is kept whole, which has its summary when somebody asks."""
    measures: Measures
    """(h q) each. They have their place from the start, as all that outlives a block: small tensors between the large
    ones of the blocks would keep the memory of these from being used again."""
    row_tolerance: float = 0.0
    output_tolerance: float = 0.0
    not_finite: int = 0
    place: int = 0

    def add(self, part: Checked, row: int, queries: Tensor, keys: Tensor) -> None:
        """The rows of one row of the batch; `queries` (r) and `keys` (w) tell where tokens stand."""
        weights, found = part.weights[row], Measures(*(each[row] for each in part.measures))
        logs = None if part.logs is None else part.logs[row]
        if not bool(keys.all()):
            weights, logs = weights[:, :, keys], None if logs is None else logs[:, :, keys]
        if not bool(queries.all()):
            weights, logs = weights[:, queries], None if logs is None else logs[:, queries]
            found = Measures(*(each[:, queries] for each in found))
        for held, new in zip(self.measures, found, strict=True):
            held[:, self.place : self.place + weights.shape[1]] = new
        self.row_tolerance = max(self.row_tolerance, float(part.row_tolerance[row]))
        self.output_tolerance = max(self.output_tolerance, float(part.output_tolerance[row]))
        block = Block(weights, self.place, part.start, logs)
        if self.reducer is not None:
            self.reducer.add(block)
        self.not_finite += int((~weights.isfinite()).sum()) if not bool(weights.sum().isfinite()) else 0
        self._keep(block)
        self.place += weights.shape[1]

    def _keep(self, block: Block) -> None:
        weights, first, start, _ = block
        keys, last = slice(start, start + weights.shape[2]), first + weights.shape[1]
        if self.whole is not None:
            self.whole[:, first:last, keys] = weights.float().numpy()
        if self.rows is not None:
            low, high = max(first, self.rows.queries.start), min(last, self.rows.queries.stop)
            if low < high:
                chosen = weights[:, low - first : high - first].float().numpy()
                into = slice(low - self.rows.queries.start, high - self.rows.queries.start)
                for place, head in enumerate(self.rows.heads):
                    self.rows.weights[place, into, keys] = chosen[head]

    def map(self, said: Said) -> AttentionMap:
        """Once all rows were added."""
        proof = certificate(
            self.measures, row_tolerance=self.row_tolerance, output_tolerance=self.output_tolerance,
            not_finite=self.not_finite,
            rows=self.axes.queries, by_design=said.by_design,
        )  # fmt: skip
        axes = self.axes
        assert self.place == len(axes.queries), f"{said.address}: {self.place} rows, {len(axes.queries)} queries"
        return AttentionMap(
            said.address, axes.kind, axes.queries, axes.keys, self.whole, proof, said.kernel, said.dtype,
            axes.writes, axes.steps, axes.ahead, None if self.reducer is None else self.reducer.summary(), self.rows,
        )  # fmt: skip


@dataclass
class Plan:
    """What is kept of the maps beside their summaries.

    Without a choice of rows every map is kept whole for which the budget has room. With one, these rows are kept and no
    others. A store on disk takes what was chosen, or all rows, whatever its size.
    """

    budget: Budget = field(default_factory=Budget)
    choice: Choice | None = None
    store: Store | None = None
    sample: int = 0
    """Number of the text whose maps are taken: part of the name of an array, `0/decoder.1.cross_attention`."""

    def room(self, address: str, heads: int, axes: Axes) -> tuple[Weights | None, Rows | None]:
        """Room for a whole map, and for rows of it. Errors: InputError where chosen rows do not exist or fit."""
        shape, whole = (heads, len(axes.queries), len(axes.keys)), None
        if self.choice is None and self.budget.grant(4 * math.prod(shape)):
            whole = np.zeros(shape, np.float32)
        if self.choice is None and self.store is None:
            return whole, None
        choice = self.choice or Choice()
        chosen, queries = choice.heads_of(heads, address), choice.queries_of(shape[1], address)
        shape = (len(chosen), len(queries), shape[2])
        if self.store is not None:
            about = {"queries": axes.queries, "keys": axes.keys, "heads": chosen, "first": queries.start}
            return whole, Rows(
                chosen, queries, self.store.room(f"{self.sample}/{address}", shape, about), str(self.store.path)
            )
        if not self.budget.grant(4 * math.prod(shape)):
            rule = f"the rows chosen of {address} take {shown(4 * math.prod(shape))}, and half of the budget of " \
                   f"{shown(self.budget.size)} is for all rows"  # fmt: skip
            raise InputError(
                f"--budget: {rule}", help="choose fewer, give a larger --budget, or write them with --rows"
            )
        return whole, Rows(chosen, queries, np.zeros(shape, np.float32))

    def begin(self, address: str, heads: int, axes: Axes) -> Running:
        """A map that waits for its rows. Errors: as of `room`."""
        whole, rows = self.room(address, heads, axes)
        reducer = None
        if whole is None:
            reducer = Reducer(
                heads=heads, queries=len(axes.queries), keys=len(axes.keys), own_text=axes.kind == "self",
                ahead=axes.ahead,
            )  # fmt: skip
        places = (heads, len(axes.queries))
        numbers = [torch.zeros(places, dtype=torch.float64) for _ in range(4)]
        measures = Measures(numbers[0], numbers[1], numbers[2], numbers[3], torch.zeros(places, dtype=torch.bool))
        return Running(axes, whole, rows, reducer, measures)


class Forced:
    """A tap for a batch that is read at once, or place by place; `axes` tells what each row of the batch joins."""

    def __init__(self, plan: Plan, axes: Callable[[str, int, int], Axes], only: str = "*") -> None:
        """`axes` takes an address, a row of the batch, and how many queries the first record of it has."""
        self.plan, self.axes, self.only = plan, axes, only
        self.said: dict[str, Said] = {}
        self.running: dict[str, list[Running]] = {}

    def __call__(self, record: Record) -> None:
        if not fnmatchcase(record.address, self.only):
            return
        rows, heads, queries = record.output.shape[:3]
        keys = record.key.shape[2]
        if record.address not in self.said:
            self.said[record.address] = Said(record.address, record.kernel, dtype_of(record), design_of(record))
            self.running[record.address] = [
                self.plan.begin(record.address, heads, self.axes(record.address, row, queries)) for row in range(rows)
            ]
        running = self.running[record.address]
        real = real_of(record.query_real, rows, queries), real_of(record.key_real, rows, keys)
        cell = cell_of(keys)

        def align(wanted: slice) -> slice:
            # a row's places are counted without its padding: only the first key is the same one in all rows
            if not bool(real[1].all()) or running[0].axes.ahead:
                return slice(0, keys)
            return slice(wanted.start // cell * cell, min(keys, -(-wanted.stop // cell) * cell))

        reduces = any(one.reducer is not None for one in running)
        for part in check(record, align, block=self.plan.budget.block, logs=reduces):
            asked = slice(part.first, part.first + part.weights.shape[2])
            read = slice(part.start, part.start + part.weights.shape[3])
            for row, one in enumerate(running):
                one.add(part, row, real[0][row, asked], real[1][row, read])

    def maps(self, row: int) -> tuple[AttentionMap, ...]:
        """Those of one row of the batch, in the order in which they began."""
        return tuple(self.running[address][row].map(said) for address, said in self.said.items())
