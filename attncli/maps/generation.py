"""Maps of a text while it is generated, stitched across whatever the search reordered.

Each call of the model computes one row of every map, for all beams at once. A hypothesis knows the row of the running
batch in which each of its tokens was computed, so its map is put together from those. The law that tests this, and that
`replay_error` measures: reading the finished text at once (teacher forcing) gives the same map, to rounding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from attncli.maps.capture import Ends, Part, Pieces, Recorder, ends_of, joined, keys_of, learned, tokens_of
from attncli.maps.check import Taken
from attncli.maps.record import AttentionMap
from attncli.nn.model import Model
from attncli.nn.records import Tap
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
    """One hypothesis with its maps."""

    text: Text
    maps: tuple[AttentionMap, ...]


def capture_generated(
    model: Model, batch: Batch, pieces: Pieces, search: Search, *, bos: int, eos: int, only: str = "*"
) -> list[list[Written]]:
    """For each row of the batch its hypotheses, best first, each with its maps.

    As in attncli.decoding, a `text` stream holds prompts that are continued; else each text starts from BOS.
    """
    recorder = Recorder(only)
    found = search(recorder)
    prompts = batch.get("text")
    whole = []
    for row, hypotheses in enumerate(found):
        prompt, widest = [bos], 1
        if prompts is not None:
            prompt, widest = prompts.values[row][prompts.real[row]].tolist(), int(prompts.real.sum(1).max())
        texts = [Text(prompt, hypothesis, eos, widest) for hypothesis in hypotheses if hypothesis.rows]
        whole.append([Written(text, _maps(model, recorder, batch, row, text, pieces)) for text in texts])
    return whole


def _maps(
    model: Model, recorder: Recorder, batch: Batch, row: int, text: Text, pieces: Pieces
) -> tuple[AttentionMap, ...]:
    ends = ends_of(model)
    maps = []
    for address, taken in recorder.taken.items():
        end = ends[address]
        if end.stack == model.head_stack:
            maps.append(_stitched(taken, end, batch, row, text, pieces))
        else:
            queries, keys = tokens_of(batch, end.queries, row, pieces), keys_of(batch, end, row, pieces)
            maps.append(joined([Part.of(one, row) for one in taken], taken[0], end, queries=queries, keys=keys))
    return tuple(maps)


def _stitched(taken: list[Taken], ends: Ends, batch: Batch, row: int, text: Text, pieces: Pieces) -> AttentionMap:
    """The rows of one hypothesis, from the batch rows in which they were computed."""
    assert ends.queries is not None
    parts, place, last = [], 0, len(text.hypothesis.rows) + text.widest - 1
    for one in taken:
        if place < last:
            parts.append(Part.of(one, text.row_of(place)))
        place += one.weights.shape[2]
    queries = tuple(pieces(ends.queries, text.read))
    keys = (*learned(ends), *queries) if ends.kind == "self" else keys_of(batch, ends, row, pieces)
    writes = tuple(pieces(ends.queries, [*text.prompt[1:], *text.written]))
    steps = tuple(max(0, place - len(text.prompt) + 1) for place in range(len(text.read)))
    return joined(parts, taken[0], ends, queries=queries, keys=keys, writes=writes, steps=steps)


@torch.inference_mode()
def replay_error(model: Model, batch: Batch, row: int, written: Written, *, only: str = "*") -> float:
    """Largest difference between stitched weights and those of the finished text read at once, relative to the
    largest weight of the row, which may be below 0."""
    recorder = Recorder(only)
    writer = model.stacks[model.head_stack].field
    device = next(iter(batch.values())).values.device
    one = {name: field.select(torch.tensor([row], device=device)) for name, field in batch.items() if name != "labels"}
    numbers = (one.get(writer) or next(iter(one.values()))).of_rows()
    model(one | {writer: stream([written.text.read], pad=0).to(device).with_rows(numbers)}, recorder)
    worst = 0.0
    for stitched in written.maps:
        parts = [Part.of(taken, 0) for taken in recorder.taken[stitched.address]]
        replayed = torch.cat([part.weights for part in parts], 1).numpy()
        largest = np.maximum(np.abs(replayed).max(-1, initial=0.0), np.finfo(np.float32).tiny)
        difference = np.abs(replayed - stitched.whole()).max(-1, initial=0.0) / largest
        # A NaN must not hide behind a comparison.
        worst = float(np.maximum(worst, np.where(np.isnan(difference), np.inf, difference).max(initial=0.0)))
    return worst
