"""Maps of a text while it is generated, stitched across whatever the search reordered.

Each call of the model computes one row of every map, for all beams at once. A hypothesis knows the row of the running
batch in which each of its tokens was computed, so its map is put together from those. The law that tests this, and that
`replay_error` measures: reading the finished text at once (teacher forcing) gives the same map, to rounding.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from attncli.maps.capture import Ends, Pieces, ends_of, keys_of, learned, tokens_of
from attncli.maps.check import BLOCK, check, real_of
from attncli.maps.record import AttentionMap
from attncli.maps.steps import Steps, Stitched
from attncli.maps.summary import cell_of
from attncli.maps.taking import Axes, Plan
from attncli.nn.model import Model
from attncli.nn.records import Record, Tap
from attncli.streams import Batch, stream


class Hypothesis(Protocol):
    """What attncli.decoding hands back of one text."""

    @property
    def tokens(self) -> list[int]: ...

    @property
    def rows(self) -> list[int]: ...

    @property
    def finished(self) -> bool: ...

    @property
    def log_probability(self) -> float: ...

    @property
    def pruned(self) -> bool: ...


Search = Callable[[Tap], Sequence[Sequence[Hypothesis]]]
"""Runs a search with the tap that it is given: attncli.decoding.decode with all else bound."""


@dataclass(frozen=True)
class Text:
    """A hypothesis as the model read and wrote it."""

    prompt: list[int]
    hypothesis: Hypothesis
    eos: int
    widest: int
    """Places of the longest prompt of the batch: the others are padded to it on the left."""

    @property
    def written(self) -> list[int]:
        """Tokens that it wrote, EOS among them."""
        return [*self.hypothesis.tokens, *([self.eos] if self.hypothesis.finished else [])]

    @property
    def read(self) -> list[int]:
        """Tokens that the model read: the prompt, and all it wrote but the last."""
        return self.prompt + self.written[:-1]

    def row_of(self, place: int) -> int:
        """Row of the running batch in which the query at a place was computed, padding of the prompt counted."""
        return self.hypothesis.rows[max(0, place - self.widest + 1)]


@dataclass(frozen=True)
class Written:
    """One hypothesis with its maps, and by address their rows as they were computed."""

    text: Text
    maps: tuple[AttentionMap, ...]
    rows: dict[str, Stitched]


def capture_generated(
    model: Model, batch: Batch, pieces: Pieces, search: Search, *, bos: int, eos: int, only: str = "*",
    plan: Plan | None = None,
) -> list[list[Written]]:  # fmt: skip
    """For each row of the batch its hypotheses, best first, each with its maps.

    As in attncli.decoding, a `text` stream holds prompts that are continued; else each text starts from BOS. `plan`
    says what is kept of the maps; rows of steps that its budget has no room for wait in a file.
    """
    plan = plan or Plan()
    steps = Steps(only, room=plan.budget.size // 4, block=plan.budget.block)
    found = search(steps)
    prompts = batch.get("text")
    whole = []
    for row, hypotheses in enumerate(found):
        prompt, widest = [bos], 1
        if prompts is not None:
            prompt, widest = prompts.values[row][prompts.real[row]].tolist(), int(prompts.real.sum(1).max())
        texts = [Text(prompt, hypothesis, eos, widest) for hypothesis in hypotheses if hypothesis.rows]
        whole.append([_written(model, steps, batch, row, text, pieces, plan) for text in texts])
    return whole


def _written(model: Model, steps: Steps, batch: Batch, row: int, text: Text, pieces: Pieces, plan: Plan) -> Written:
    ends, maps, rows = ends_of(model), [], {}
    for address, said in steps.said.items():
        end = ends[address]
        if end.stack == model.head_stack:
            # the rows of one hypothesis, from the batch rows in which they were computed
            last = len(text.hypothesis.rows) + text.widest - 1
            rows[address] = Stitched.of(steps, address, text.row_of, last)
            axes = _axes(end, batch, row, text, pieces)
        else:
            rows[address] = Stitched.of(steps, address, lambda _: row, None)
            queries, keys = tokens_of(batch, end.queries, row, pieces), keys_of(batch, end, row, pieces)
            axes = Axes(end.kind, queries, keys, None, end.ahead)
        running = plan.begin(address, steps.pieces[address][0].shape[1], axes)
        for block in rows[address].blocks(cell=cell_of(len(axes.keys))):
            every = [torch.ones(count, dtype=torch.bool) for count in block.weights.shape[2:]]
            running.add(block, 0, *every)
        maps.append(running.map(said))
    plan.sample += 1
    return Written(text, tuple(maps), rows)


def _axes(ends: Ends, batch: Batch, row: int, text: Text, pieces: Pieces) -> Axes:
    """What the map of a text that was written joins."""
    assert ends.queries is not None
    queries = tuple(pieces(ends.queries, text.read))
    keys = (*learned(ends), *queries) if ends.kind == "self" else keys_of(batch, ends, row, pieces)
    writes = tuple(pieces(ends.queries, [*text.prompt[1:], *text.written]))
    steps = tuple(max(0, place - len(text.prompt) + 1) for place in range(len(text.read)))
    return Axes(ends.kind, queries, keys, writes, ends.ahead, steps)


class Replay:
    """A tap that compares the maps of a text that is read at once with those that were stitched, block by block."""

    def __init__(self, written: Written, block: int) -> None:
        self.maps = {one.address: one for one in written.maps}
        self.rows, self.block = written.rows, block
        self.done = dict.fromkeys(self.maps, 0)
        self.worst = 0.0

    def __call__(self, record: Record) -> None:
        if record.address not in self.maps:
            return
        queries, keys = record.output.shape[2], record.key.shape[2]
        asked, read = real_of(record.query_real, 1, queries)[0], real_of(record.key_real, 1, keys)[0]
        for part in check(record, block=self.block):
            real = asked[part.first : part.first + part.weights.shape[2]]
            some = read[part.start : part.start + part.weights.shape[3]]
            made = pad(part.weights[0].float()[:, real][..., some], (int(read[: part.start].sum()), 0))
            self._compare(record.address, made)

    def _compare(self, address: str, made: Tensor) -> None:
        first = self.done[address]
        last = self.done[address] = first + made.shape[1]
        known = self.maps[address].weights
        if known is not None:
            blocks = [(first, torch.from_numpy(known[:, first:last]))]
        else:
            blocks, at = [], first
            for block in self.rows[address].blocks(first, last):
                blocks.append((at, pad(block.weights[0], (block.start, 0))))
                at += block.weights.shape[2]
        for at, stitched in blocks:
            replayed = made[:, at - first : at - first + stitched.shape[1]]
            width = max(stitched.shape[2], replayed.shape[2])
            one, other = (pad(each, (0, width - each.shape[2])) for each in (stitched, replayed))
            largest = other.abs().amax(-1).clamp(min=torch.finfo(torch.float32).tiny)
            apart = (one - other).abs().amax(-1) / largest
            if apart.numel():  # a NaN must not hide behind a comparison
                self.worst = max(self.worst, float(apart.nan_to_num(nan=math.inf, posinf=math.inf).max()))


@torch.inference_mode()
def replay_error(model: Model, batch: Batch, row: int, written: Written, *, block: int = BLOCK) -> float:
    """Largest difference between stitched weights and those of the finished text read at once, relative to the
    largest weight of the row, which may be below 0; `block` weights are compared at a time."""
    writer = model.stacks[model.head_stack].field
    device = next(iter(batch.values())).values.device
    one = {name: field.select(torch.tensor([row], device=device)) for name, field in batch.items() if name != "labels"}
    numbers = (one.get(writer) or next(iter(one.values()))).of_rows()
    replay = Replay(written, block)
    model(one | {writer: stream([written.text.read], pad=0).to(device).with_rows(numbers)}, replay)
    return replay.worst
