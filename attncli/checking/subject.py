"""The model on trial: in float64, its weights drawn so that none hides behind a 0 or a 1, with texts to read."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from attncli.nn.model import Model, build_model, token_fields
from attncli.nn.norms import DynamicTanh, ScaleNorm
from attncli.spec.run import Run
from attncli.spec.seeds import mix
from attncli.spec.sizes import Sizes, sizes_of
from attncli.spec.tasks import Classification, LanguageModel, MaskedLanguageModel, Rewriting, SentencePair, Tagging
from attncli.spec.tokenizer import SPECIALS
from attncli.streams import IGNORE, Batch, Stream, stream, with_made_up_numbers

LENGTHS = (6, 9, 3, 4)
"""Tokens of the rows; each field begins at another one."""
LENGTH = 3.0
"""What is added to the length that a scale_norm gives: states much shorter than a bias would all be that bias."""
SLOPE = 1.0
"""What is added to the alpha of a dyt: small ones in a row would leave little of any state, and of any gradient."""
SPREAD = 0.3
"""Standard deviation of the drawn weights."""

Rows = dict[str, list[list[int]]]


@dataclass(frozen=True)
class Subject:
    """A spec, its model and what it reads."""

    run: Run
    sizes: Sizes
    model: Model
    rows: Rows
    """Ids of each field, row by row; `labels` too."""
    seed: int = 0
    pads: dict[str, int] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Whether the model predicts the tokens that it reads, one after the other."""
        return isinstance(self.run.task, (Rewriting, LanguageModel))

    @property
    def written(self) -> str:
        """The field that the head predicts or reads."""
        return self.run.model.stacks[self.run.task.stack].input.field

    @property
    def places(self) -> bool:
        """Whether there is an output for each place of the field, rather than one for the row."""
        return not isinstance(self.run.task, Classification)

    def batch(self, *chosen: int, left: bool = False, rows: Rows | None = None) -> Batch:
        """The rows named (all without a name), padded on the right or on the left."""
        given = self.rows if rows is None else rows
        numbers = chosen or range(len(next(iter(given.values()))))
        return {
            name: self.carrying(
                stream([texts[number] for number in numbers], pad=IGNORE if name == "labels" else 0, left=left)
            )
            for name, texts in given.items()
        }

    def chunk(self, texts: Sequence[Sequence[int]], start: int, end: int) -> Stream:
        """Places start to end of every text, as a stream that continues a cache."""
        return self.carrying(chunk(texts, start, end))

    def packed(self, groups: Sequence[Sequence[int]]) -> Batch:
        """Several rows in each, one behind the other."""
        return {
            name: self.carrying(packed(texts, groups, pad=IGNORE if name == "labels" else 0))
            for name, texts in self.rows.items()
        }

    def carrying(self, tokens: Stream) -> Stream:
        """The stream with what the masks read of the data."""
        return with_made_up_numbers(tokens, self.run.read_by_masks)

    def copy(self) -> Model:
        """The model with parameters of its own."""
        return copy.deepcopy(self.model)


def subject_of(run: Run, *, seed: int = 0, spread: float = SPREAD) -> Subject:
    """Build the model of a (small) spec for trial."""
    sizes = sizes_of(run, token_fields(run))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, "weights"))
        model = build_model(run, sizes)
    shake(model, seed=seed, spread=spread)
    return Subject(run, sizes, model.double().eval(), _rows(run, sizes, seed), seed)


def shake(module: nn.Module, *, seed: int = 0, spread: float = SPREAD) -> None:
    """Draw every parameter, gains and biases too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(drawn * spread)
        for each in module.modules():
            if isinstance(each, ScaleNorm):
                each.weight.add_(LENGTH)
            elif isinstance(each, DynamicTanh):
                each.alpha.add_(SLOPE)


def _rows(run: Run, sizes: Sizes, seed: int) -> Rows:
    generator = torch.Generator().manual_seed(mix(seed, "rows"))
    rows: Rows = {}
    for turn, stack in enumerate(run.model.stacks.values()):
        name = stack.input.field
        lengths = [max(1, min(LENGTHS[(row + turn) % len(LENGTHS)], stack.max_length)) for row in range(len(LENGTHS))]
        rows.setdefault(name, [_ids(length, sizes.vocabularies[name], generator) for length in lengths])
    rows["labels"] = _labels(run, sizes, rows, generator)
    for task in run.beside:
        rows[task.kind] = [_ids(1, 2, generator) for _ in LENGTHS]
    return rows


def _ids(length: int, count: int, generator: torch.Generator) -> list[int]:
    least = min(len(SPECIALS), count - 1)
    return [int(one) for one in torch.randint(least, count, (length,), generator=generator)]


def _labels(run: Run, sizes: Sizes, rows: Rows, generator: torch.Generator) -> list[list[int]]:
    written = run.model.stacks[run.task.stack].input.field
    match run.task:
        case Classification() | SentencePair():
            return [_ids(1, sizes.labels or 2, generator) for _ in LENGTHS]
        case Tagging():
            return [_ids(len(row), sizes.labels or 2, generator) for row in rows[written]]
        case Rewriting() | LanguageModel():
            return [[*row[1:], *_ids(1, sizes.vocabularies[written], generator)] for row in rows[written]]
        case MaskedLanguageModel():
            return [[IGNORE if at % 2 else token for at, token in enumerate(row)] for row in rows[written]]


def chunk(texts: Sequence[Sequence[int]], start: int, end: int) -> Stream:
    """Places start to end of every text, as a stream that continues a cache."""
    values = torch.tensor([list(text[start:end]) for text in texts])
    rows, width = values.shape
    positions = torch.arange(start, end).expand(rows, width)
    lengths = torch.full((rows,), width)
    return Stream(values, lengths, positions, torch.zeros_like(values), padded=False, plain=start == 0)


def packed(texts: Sequence[Sequence[int]], groups: Sequence[Sequence[int]], *, pad: int) -> Stream:
    """Several texts in each row, one behind the other, then padding."""
    width = max(sum(len(texts[one]) for one in group) for group in groups) + 1
    values = torch.full((len(groups), width), pad)
    positions, documents = torch.zeros_like(values), torch.full_like(values, -1)
    for row, group in enumerate(groups):
        at = 0
        for document, one in enumerate(group):
            place = slice(at, at + len(texts[one]))
            values[row, place] = torch.tensor(list(texts[one]))
            positions[row, place] = torch.arange(len(texts[one]))
            documents[row, place] = document
            at = place.stop
    return Stream(values, (documents >= 0).sum(1), positions, documents, padded=True, packed=True, plain=False)
