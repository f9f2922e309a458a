"""What every way of decoding shares: prompts, limits, the running model, and the hypotheses that come out.

Row r of the running batch is one text under way (a beam). Rows whose sentence is done leave the batch at once, so a
step costs what the texts under way cost; `Hypothesis.rows` says in which row each step of a text was computed. Where
the model allows it and no tap looks on, the beams of a sentence are branches of one row of the cache, so that nothing
is moved when some die and others split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attncli.errors import InputError, WorkError
from attncli.nn.cache import Cache
from attncli.nn.model import Model
from attncli.nn.view import Tap
from attncli.streams import Batch, Stream, stream


@dataclass(frozen=True)
class Signs:
    """Ids that decoding treats apart."""

    bos: int
    eos: int
    pad: int


@dataclass(frozen=True)
class Hypothesis:
    """One text that was written."""

    tokens: list[int]
    """What was written, without BOS and EOS; of a language model, without the prompt."""
    score: float
    """What it was ranked by."""
    log_probability: float
    """Natural logarithm of the model's probability of these tokens (and EOS, where finished), given what it read."""
    finished: bool
    """Whether it ended with EOS rather than at the limit of length."""
    rows: list[int]
    """Row of the running batch in which each step was computed: one for each token, and one for EOS."""
    pruned: bool = False
    """Whether the search gave it up."""


@dataclass
class Writing:
    """A model in the middle of a text: its cache, and the tokens it reads next."""

    model: Model
    cache: Cache
    tokens: Stream
    limits: list[int]
    """Tokens that each sentence may write, EOS among them."""
    signs: Signs
    tap: Tap | None
    beams: int | None = None
    """Texts under way of each sentence, where they are branches of one row of the cache; None: each has its own."""
    branched: bool = False

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self.tokens.values.device

    def log_probabilities(self) -> Tensor:
        """(r c) of the next token of every row; PAD and BOS are never written. Reads the waiting tokens."""
        scores = self._scores(())
        self._check(scores)
        return scores

    def likeliest(self, count: int, *, barred: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(r count) log-probability and id of the best next tokens of every row; some ids may be barred."""
        scores = self._scores(barred)
        value, index = best(scores, min(count, scores.shape[-1]))
        self._check(value)  # of a row with a NaN all are, and a NaN counts as the largest
        if self.beams is not None and not self.branched:
            value, index = (x.repeat_interleave(self.beams, 0) for x in (value, index))
        return value, index

    def _scores(self, barred: Sequence[int]) -> Tensor:
        logits = self.model.step(self.tokens, self.cache, self.tap)
        logits = logits.flatten(0, 1) if self.branched else logits[:, -1]
        scores = logits.float().log_softmax(-1)
        scores[:, [self.signs.bos, self.signs.pad, *barred]] = -torch.inf
        return scores

    def _check(self, scores: Tensor) -> None:
        if bool(scores.isnan().any()):
            raise WorkError(
                "the model's output is not a number (NaN), so there is no likeliest token",
                help="evaluate an earlier checkpoint, or train again with a smaller learning rate",
            )

    def append(self, tokens: Tensor, rows: Tensor) -> None:
        """Go on with row rows[i] as row i, which reads tokens[i] next."""
        if self.beams is not None:
            self._branch(tokens.view(-1, self.beams), rows.view(-1, self.beams), self.beams)
            return
        if len(rows) != len(self.tokens.values) or not torch.equal(rows, torch.arange(len(rows), device=rows.device)):
            self.cache.reorder(rows)
        self.tokens = self.cache.next(tokens.unsqueeze(1))

    def _branch(self, tokens: Tensor, rows: Tensor, beams: int) -> None:
        """Tokens (a w) that go on where rows (a w) ended; the rows of a sentence stand together, and stay so."""
        sentences = rows[:, 0] // beams
        if len(sentences) != len(self.tokens.values):
            self.cache.reorder(sentences)
        self.tokens, self.branched = self.cache.branch(tokens, rows % beams), True


def begin(
    model: Model, batch: Batch, *, rows: int, signs: Signs, wanted: int | None, max_length: int, tap: Tap | None
) -> Writing:
    """Let the model read its sources, `rows` rows for each sentence; the prompts wait to be read.

    A sentence may write `wanted` tokens, but no more than fit: the stack has max_length places, the prompt fills some,
    and the last token written takes none.
    """
    prompts = prompts_of(batch, signs)
    longest = max(map(len, prompts))
    if longest > max_length:
        raise InputError(
            f"a prompt of {longest} tokens does not fit: the model has {max_length} positions",
            help="shorten the prompt",
        )
    room = [max_length - len(prompt) + 1 for prompt in prompts]
    limits = room if wanted is None else [min(wanted, places) for places in room]
    beams = rows if rows > 1 and tap is None and model.branches else None
    if beams:
        rows = 1
    repeated = [prompt for prompt in prompts for _ in range(rows)]
    uneven = any(len(prompt) != longest for prompt in prompts)
    device = next(iter(batch.values())).values.device
    read = batch.get("text") or next(iter(batch.values()))
    numbers = {name: each.repeat_interleave(rows, 0) for name, each in read.of_rows().items()}
    tokens = stream(repeated, pad=signs.pad, left=uneven).to(device).with_rows(numbers)
    cache = model.start(batch, rows=rows, capacity=longest + (max(limits) - 1) * (beams or 1), tap=tap)
    return Writing(model, cache, tokens, limits, signs, tap, beams)


def prompts_of(batch: Batch, signs: Signs) -> list[list[int]]:
    """What each sentence starts from: its text in a language model, else BOS."""
    if (text := batch.get("text")) is None:
        return [[signs.bos]] * len(next(iter(batch.values())).values)
    return [values[real].tolist() for values, real in zip(text.values, text.real, strict=True)]


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row (… c) and where they stand, largest first; of equals the one that stands first.

    torch.topk alone leaves open which of several equals it takes.
    """
    values, index = _largest(scores, min(count + 1, scores.shape[-1]))
    if values.shape[-1] > count:
        last, next_one = values[..., count - 1], values[..., count]
        if bool(((last == next_one) & (last > -torch.inf)).any()):
            index = _first_of_equals(scores, last.unsqueeze(-1), count)
        index = index[..., :count]
    index = index.sort(-1).values
    values, order = scores.gather(-1, index).sort(dim=-1, descending=True, stable=True)
    return values, index.gather(-1, order)


BLOCK = 32
"""Scores of which the largest is found at once."""


def _largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row (… c), and where they stand. Of a long row they are looked for in those blocks
    whose own largest are the largest, and behind the last whole block.
    """
    blocks = scores.shape[-1] // BLOCK
    if blocks < 4 * count:
        return scores.topk(count, -1)
    tops = scores[..., : blocks * BLOCK].reshape(*scores.shape[:-1], blocks, BLOCK).amax(-1)
    within, behind = torch.arange(BLOCK, device=scores.device), torch.arange(blocks * BLOCK, scores.shape[-1])
    places = (tops.topk(count, -1).indices.unsqueeze(-1) * BLOCK + within).flatten(-2)
    places = torch.cat((places, behind.to(scores.device).expand(*places.shape[:-1], -1)), -1)
    values, order = scores.gather(-1, places).topk(count, -1)
    return values, places.gather(-1, order)


def _first_of_equals(scores: Tensor, threshold: Tensor, count: int) -> Tensor:
    above, level = scores > threshold, scores == threshold
    chosen = above | (level & (level.cumsum(-1) <= count - above.sum(-1, keepdim=True)))
    return chosen.nonzero()[:, -1].view(*scores.shape[:-1], count)


def precise(device: torch.device) -> torch.dtype:
    """float64 for sums of log-probabilities, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def index_of(numbers: Sequence[int], device: torch.device) -> Tensor:
    """Row numbers as an index."""
    return torch.tensor(numbers, dtype=torch.long, device=device)
