"""Small models whose every probability can be counted by hand, in the form that decoding runs."""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from attncli.streams import Batch, Stream, stream

PAD, UNK, BOS, EOS, A, B = range(6)
SIGNS = {"pad": PAD, "bos": BOS, "eos": EOS}

Ids = tuple[int, ...]
Logits = Callable[[Ids, Ids], Tensor]
"""(source, text so far) -> logits of the next token."""


class History:
    """A cache that keeps the tokens themselves, so that a wrong reorder changes what is written."""

    def __init__(self, sources: list[Ids], capacity: int) -> None:
        self.sources = sources
        self.texts: list[Ids] = [()] * len(sources)
        self.capacity = capacity
        self.width = 0
        self.reorders = 0

    def append(self, tokens: Stream) -> None:
        self.width += tokens.values.shape[1]
        assert self.width <= self.capacity
        assert len(tokens.values) == len(self.texts)
        assert bool(tokens.real[:, -1].all()), "the last place is read, so prompts are padded on the left"
        for row, (values, real, positions) in enumerate(zip(tokens.values, tokens.real, tokens.positions, strict=True)):
            start = len(self.texts[row])
            assert positions[real].tolist() == list(range(start, start + int(real.sum())))
            self.texts[row] += tuple(values[real].tolist())

    def reorder(self, index: Tensor) -> None:
        self.reorders += 1
        self.sources = [self.sources[i] for i in index.tolist()]
        self.texts = [self.texts[i] for i in index.tolist()]

    def next(self, values: Tensor) -> Stream:
        lengths = torch.tensor([len(text) for text in self.texts])
        return Stream(values, torch.ones_like(lengths), lengths.unsqueeze(1), torch.zeros_like(values), padded=False)


class Toy:
    """A model whose next token depends on its source and on all of the text so far, through `logits`."""

    branches = False

    def __init__(self, logits: Logits, max_length: int = 1000) -> None:
        self.logits = logits
        self.max_length = max_length
        self.steps: list[int] = []  # rows of each step
        self.cache: History | None = None
        self.answers: list[list[tuple[Ids, Ids]]] = []  # what each row of each step had read

    def modules(self) -> Iterator[nn.Module]:
        return iter(())

    def start(self, batch: Batch, *, rows: int, capacity: int, tap: object = None) -> History:
        read = batch.get("source", batch.get("text"))
        assert read is not None
        texts = [tuple(values[real].tolist()) for values, real in zip(read.values, read.real, strict=True)]
        sources = texts if "source" in batch else [()] * len(texts)
        self.cache = History([source for source in sources for _ in range(rows)], capacity)
        return self.cache

    def step(self, tokens: Stream, cache: History, tap: object = None) -> Tensor:
        assert int(tokens.positions.max()) < self.max_length
        cache.append(tokens)
        self.steps.append(len(cache.texts))
        self.answers.append(list(zip(cache.sources, cache.texts, strict=True)))
        last = torch.stack([self.logits(*row) for row in zip(cache.sources, cache.texts, strict=True)])
        out = torch.full((*tokens.values.shape, last.shape[-1]), float("nan"))  # no one may look at earlier places
        out[:, -1] = last
        return out


def random_logits(seed: int, vocabulary: int = 6, spread: float = 1.5) -> Logits:
    """Logits that any change of the source or of the text changes."""

    def logits(source: Ids, text: Ids) -> Tensor:
        generator = torch.Generator().manual_seed(hash((seed, source, text)) % 2**62)
        return torch.randn(vocabulary, generator=generator) * spread

    return logits


def fixed(**probability: float) -> Logits:
    """The same distribution at every step: `fixed(A=0.5, EOS=0.5)`."""
    names = {"UNK": UNK, "EOS": EOS, "A": A, "B": B}

    def logits(source: Ids, text: Ids) -> Tensor:
        out = torch.full((6,), -math.inf)
        for name, p in probability.items():
            out[names[name]] = math.log(p)
        return out

    return logits


def sources(*rows: list[int]) -> Batch:
    """A batch of sources, as a translation model reads it."""
    return {"source": stream(list(rows), pad=PAD)}


def prompts(*rows: list[int]) -> Batch:
    """A batch of prompts, as a language model reads it: BOS first, padded on the right."""
    return {"text": stream([[BOS, *row] for row in rows], pad=PAD)}


def every_text(logits: Logits, source: Ids, prompt: Ids, limit: int) -> dict[Ids, float]:
    """log-probability of every text: those that end with EOS within `limit` tokens, and those cut there."""
    words = [UNK, A, B]
    texts: dict[Ids, float] = {}
    for length in range(1, limit + 1):
        for body in itertools.product(words, repeat=length - 1):
            for last in [EOS] + (words if length == limit else []):
                texts[*body, last] = log_probability(logits, source, prompt, (*body, last))
    return texts


def log_probability(logits: Logits, source: Ids, prompt: Ids, text: Ids) -> float:
    """Sum of the log-probabilities of the tokens of a text, one by one."""
    total = 0.0
    for place, token in enumerate(text):
        row = logits(source, prompt + text[:place]).double()
        total += float(row[token] - row.logsumexp(0))
    return total
