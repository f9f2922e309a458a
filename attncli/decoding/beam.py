"""Beam search: the likeliest sentences of a search over `size` texts at a time.

score = log-probability / length ** length_penalty, where length counts the tokens written, EOS among them (Wu et al.
2016, arXiv:1609.08144, has ((5 + length) / 6) in its place). At each step the 2 size best continuations are found; of
the first `size` those with EOS are finished, and the `size` best others run on. Texts that are cut at the limit are
ranked with the finished ones.

A sentence ends when no running text can still beat its worst finished one. A log-probability s <= 0 only falls, so
a text that ends at length L has at most s / L ** penalty; over the lengths still possible that is largest at the
longest (penalty >= 0) or at the shortest (penalty < 0). Popular code stops earlier, at `size` finished texts, and may
miss a better one.

Shapes: a sentences under way · w beams a sentence (size) · r = a w rows of the running batch · c ids · n texts kept.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from attncli.decoding.writing import Hypothesis, Signs, Writing, begin, best, index_of, precise
from attncli.nn.model import Model
from attncli.nn.view import Tap
from attncli.spec.training import Beam
from attncli.streams import Batch


def beam(
    model: Model, batch: Batch, decoding: Beam, *, signs: Signs, max_length: int, tap: Tap | None, pruned: bool = False
) -> list[list[Hypothesis]]:
    """The n_best texts of each sentence, best first; of equals the one that was finished first.

    `pruned`: behind them the texts that the search gave up, the likeliest first: those that no beam went on with, those
    under way when it ended, and finished ones that others outdid.
    """
    writing = begin(
        model, batch, rows=decoding.size, signs=signs, wanted=decoding.max_length, max_length=max_length, tap=tap
    )  # fmt: skip
    search = _Search(writing, decoding, pruned=pruned)
    while search.sentences:
        search.step()
    for found, lost in zip(search.found, search.lost, strict=True):
        found += sorted(lost, key=lambda text: -text.log_probability)
    return search.found


class _Pool(NamedTuple):
    """The best texts so far, each told by its last step: (a n), or what is offered to it."""

    score: Tensor  # -inf where there is none
    log_probability: Tensor
    step: Tensor  # when the last token was written
    row: Tensor  # in which row of the running batch
    token: Tensor  # the last token

    def merged(self, *offers: "_Pool") -> "_Pool":
        """As many as before, the best of both; of equals the older."""
        joined = _Pool(*(torch.cat(parts, 1) for parts in zip(self, *offers, strict=True)))
        _, index = best(joined.score, self.score.shape[1])
        return _Pool(*(part.gather(1, index) for part in joined))

    def of(self, sentences: Tensor) -> "_Pool":
        return _Pool(*(part[sentences] for part in self))


class _Search:
    """The state of one beam search; rows of sentences that are done leave the batch."""

    def __init__(self, writing: Writing, decoding: Beam, *, pruned: bool) -> None:
        self.writing = writing
        self.decoding = decoding
        self.pruned = pruned
        count, device = len(writing.limits), writing.device
        self.found: list[list[Hypothesis]] = [[] for _ in range(count)]
        self.lost: list[list[Hypothesis]] = [[] for _ in range(count)]
        self.offered: list[list[tuple[float, float, int, int, int]]] = [[] for _ in range(count)]
        self.sentences = list(range(count))
        self.limits = index_of(writing.limits, device)
        none = torch.full((count, decoding.n_best), -torch.inf, dtype=precise(device), device=device)
        zero = torch.zeros(none.shape, dtype=torch.long, device=device)
        self.pool = _Pool(none, none, zero, zero, zero)
        self.running = torch.full((count, decoding.size), -torch.inf, dtype=precise(device), device=device)
        self.running[:, 0] = 0.0  # the beams of a sentence start alike, so one of them counts
        self.parents: list[list[int]] = []  # for each step: the row that each row of the next batch comes from
        self.tokens: list[list[int]] = []  # … and the token it wrote there

    def step(self) -> None:
        """Read one token a row, choose the continuations, and take leave of the sentences that are done."""
        written, eos, before = len(self.tokens) + 1, self.writing.signs.eos, self.running
        total, row, token = self._candidates(written)
        ends = token == eos
        first = torch.arange(total.shape[1], device=total.device) < self.decoding.size
        finished = self._offer(total.masked_fill(~(ends & first), -torch.inf), row, token, written)
        on = ends.to(torch.int8).sort(dim=-1, stable=True).indices[:, : self.decoding.size]  # others, in order
        self.running, row, token = total.gather(1, on), row.gather(1, on), token.gather(1, on)
        full = (self.limits == written).unsqueeze(1)
        cut = self._offer(self.running.masked_fill(~full, -torch.inf), row, token, written)
        self.pool = self.pool.merged(finished, cut)
        done = self._done(written)
        if self.pruned:
            self._give_up(before, (finished, cut), row, token, done)
        self._advance(done, row, token)

    def _candidates(self, written: int) -> tuple[Tensor, Tensor, Tensor]:
        """(a 2w) log-probability, row and token of the best continuations, best first."""
        size = self.decoding.size
        barred = [self.writing.signs.eos] if written <= self.decoding.min_length else []
        gains, tokens = self.writing.likeliest(2 * size, barred=barred)
        each = gains.shape[-1]
        totals = (self.running.unsqueeze(-1) + gains.view(-1, size, each)).flatten(1)
        total, place = best(totals, min(2 * size, totals.shape[-1]))
        start = torch.arange(len(totals), device=totals.device).unsqueeze(1) * size
        return total, start + place // each, tokens.view(-1, size * each).gather(1, place)

    def _offer(self, log_probability: Tensor, row: Tensor, token: Tensor, written: int) -> _Pool:
        score = self._score(log_probability, torch.tensor(written, device=row.device))
        return _Pool(score, log_probability, torch.full_like(row, written - 1), row, token)

    def _score(self, log_probability: Tensor, length: Tensor) -> Tensor:
        return log_probability / length.to(log_probability.dtype) ** self.decoding.length_penalty

    def _done(self, written: int) -> list[bool]:
        """Whether each sentence is at its limit, or can find nothing better."""
        likeliest = self.running.max(1).values
        soonest = (self.limits.clamp(max=written + 1)).to(likeliest.dtype)
        bound = torch.maximum(self._score(likeliest, soonest), self._score(likeliest, self.limits))
        done: list[bool] = ((self.limits <= written) | (self.pool.score[:, -1] >= bound)).tolist()
        return done

    def _advance(self, done: list[bool], row: Tensor, token: Tensor) -> None:
        if any(done):
            self._take_leave(done)
            going = index_of([place for place, ends in enumerate(done) if not ends], row.device)
            self.sentences = [sentence for sentence, ends in zip(self.sentences, done, strict=True) if not ends]
            self.pool, self.limits, self.running = self.pool.of(going), self.limits[going], self.running[going]
            row, token = row[going], token[going]
        row, token = row.flatten(), token.flatten()
        self.parents.append(row.tolist())
        self.tokens.append(token.tolist())
        if self.sentences:
            self.writing.append(token, row)

    def _give_up(
        self, before: Tensor, offers: tuple[_Pool, _Pool], row: Tensor, token: Tensor, done: list[bool]
    ) -> None:
        """Note the texts that end: those read, of log-probability `before` (a w), or written, of a sentence done."""
        step, size = len(self.tokens), self.decoding.size
        running, rows, tokens = self.running.tolist(), row.tolist(), token.tolist()
        kept = [part.tolist() for part in (self.pool.step, self.pool.row, self.pool.token)]
        for place, sentence in enumerate(self.sentences):
            texts = [text for pool in offers for text in zip(*(part[place].tolist() for part in pool), strict=True)]
            offered = [text for text in texts if text[0] > -torch.inf]
            self.offered[sentence] += offered
            under_way = zip(running[place], rows[place], tokens[place], strict=True)
            going = [(p, r, t) for p, r, t in under_way if p > -torch.inf]
            read = {r for _, r, _ in going} | {text[3] for text in offered}
            ended = [
                (p, p, step - 1, self.parents[-1][place * size + j], self.tokens[-1][place * size + j])
                for j, p in enumerate(before[place].tolist())
                if step and p > -torch.inf and place * size + j not in read
            ]
            if done[place]:
                held = set(zip(*(part[place] for part in kept), strict=True))
                ended += [text for text in self.offered[sentence] if text[2:] not in held]
                cut = {text[2:] for text in offered}
                ended += [(p, p, step, r, t) for p, r, t in going if (step, r, t) not in cut]
            self.lost[sentence] += [replace(self._hypothesis(*text), pruned=True) for text in ended]

    def _take_leave(self, done: list[bool]) -> None:
        kept = [part.tolist() for part in self.pool]
        for place, (sentence, ends) in enumerate(zip(self.sentences, done, strict=True)):
            if ends:
                texts = zip(*(part[place] for part in kept), strict=True)
                found = [self._hypothesis(*text) for text in texts if text[0] > -torch.inf]
                self.found[sentence] = found or [Hypothesis([], -torch.inf, -torch.inf, False, [])]  # nothing possible

    def _hypothesis(self, score: float, log_probability: float, step: int, row: int, last: int) -> Hypothesis:
        """Follow a text back from its last token."""
        finished = last == self.writing.signs.eos
        tokens, rows = ([] if finished else [last]), [row]
        for before in range(step - 1, -1, -1):
            tokens.append(self.tokens[before][row])
            row = self.parents[before][row]
            rows.append(row)
        return Hypothesis(tokens[::-1], score, log_probability, finished, rows[::-1])
