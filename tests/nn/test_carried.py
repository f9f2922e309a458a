"""Masks that read integers of tokens and samples: ints are tensors, packed is apart, cached is whole."""

import dataclasses

import pytest
import torch
from torch import Tensor

from attncli.nn.attention import Attention
from attncli.nn.model import Model
from attncli.nn.view import view_of_self
from attncli.spec.masks import parse
from attncli.streams import Stream, stream
from tests import catalogue
from tests.nn import oracle
from tests.nn.models import SOURCES, TARGETS, build, packed, transformer

CLOSE = {"rtol": 1e-9, "atol": 1e-10}
SHARED = frozenset({"prefix_length", "part"})
CAUSAL = [mask for mask in catalogue.DATA_MASKS if parse(mask).leaks() is None]


def carrying(tokens: Stream, samples: Tensor) -> Stream:
    """The stream with what the catalogue gives; `samples` (b n) numbers the sample of each place."""
    pairs = zip(tokens.positions.flatten().tolist(), samples.expand_as(tokens.values).flatten().tolist(), strict=True)
    each = [catalogue.carried(place, sample) for place, sample in pairs]
    carried = {name: torch.tensor([one[name] for one in each]).view_as(tokens.values) for name in each[0]}
    return dataclasses.replace(tokens, carried=carried, shared=SHARED)


@pytest.mark.parametrize("mask", catalogue.DATA_MASKS)
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_tensors_see_what_ints_see(mask, left):
    lengths, rule = [7, 2, 5], parse(mask)
    tokens = carrying(stream([[1] * length for length in lengths], pad=0, left=left), torch.arange(3).unsqueeze(1))
    seen = view_of_self(tokens).visible(rule, 4).expand(3, 4, 7, 7)
    for row, n in enumerate(lengths):
        real = tokens.real[row]
        for head in range(4):
            expected = [
                [
                    rule.allows(q, k, h=head, q_length=n, k_length=n, document_q=0, document_k=0,
                                carried=catalogue.carried_by_pair(q, k, n, row))
                    for k in range(n)
                ]
                for q in range(n)
            ]  # fmt: skip
            assert seen[row, head][real][:, real].tolist() == expected


@pytest.mark.parametrize("mask", catalogue.DATA_MASKS)
@torch.no_grad()
def test_an_attention_is_what_the_reference_says(mask):
    module: Attention = oracle.attention(mask=mask)
    tokens = carrying(stream([[1] * 6] * 2, pad=0), torch.tensor([[1], [2]]))
    x = torch.randn(2, 6, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = module(x, x, view_of_self(tokens))
    for row, sample in enumerate((1, 2)):

        def visible(q: int, k: int, h: int, sample: int = sample) -> bool:
            return bool(module.mask.allows(q, k, h=h, q_length=6, k_length=6, document_q=0, document_k=0,
                                           carried=catalogue.carried_by_pair(q, k, 6, sample)))  # fmt: skip

        expected = torch.tensor(oracle.outputs(module, x[row], x[row], visible).output, dtype=torch.float64)
        torch.testing.assert_close(found[row], expected, **CLOSE)


def encoded(model: Model, tokens: Stream) -> Tensor:
    return model.encoder(tokens, {}).values


@pytest.mark.parametrize("mask", catalogue.DATA_MASKS)
@torch.no_grad()
def test_packed_documents_are_separate_rows(mask):
    model = reading(mask)
    packs = ((0, 1), (3, 2, 0))
    rows = packed(packs, SOURCES)
    samples = torch.full_like(rows.values, 0)
    for row, pack in enumerate(packs):
        samples[row] = torch.tensor(pack)[rows.documents[row].clamp(min=0)]
    together = encoded(model, carrying(rows, samples))
    for row, pack in enumerate(packs):
        place = 0
        for one in pack:
            alone = encoded(model, carrying(stream([SOURCES[one]], pad=0), torch.tensor([[one]])))[0]
            torch.testing.assert_close(together[row, place : place + len(alone)], alone, **CLOSE)
            place += len(alone)


def reading(mask: str, side: str = "encoder") -> Model:
    """A model in whose encoder (or decoder) the mask stands."""
    model = build(transformer())
    stack = getattr(model, side)
    for layer in stack.layers:
        layer.attention.body.mask = parse(mask)
    return model


@pytest.mark.parametrize("mask", CAUSAL)
@pytest.mark.parametrize("cuts", [(3, 4, 5, 6), (4, 6), (6,)], ids=["tokens", "chunks", "at once"])
@torch.no_grad()
def test_cached_decoding_equals_the_whole_text(mask, cuts):
    """Where the first chunk holds the prompt, whose tokens see each other; every row but the first is told apart."""
    model = reading(mask, "decoder")
    texts = [TARGETS[1], [2, 5, 7, 6, 18, 4], [2, 16, 6, 9, 9, 3]]
    samples = torch.arange(3).unsqueeze(1)
    source = stream([SOURCES[row] for row in (0, 1, 3)], pad=0)
    target = carrying(stream(texts, pad=0), samples)
    expected = model({"source": source, "target": target})
    cache, logits, start = model.start({"source": source}, capacity=6), [], 0
    for end in cuts:
        at = slice(start, end)
        part = target._each(lambda tensor, at=at: tensor[:, at] if tensor.dim() == 2 else tensor)
        logits.append(model.step(dataclasses.replace(part, plain=start == 0), cache))
        start = end
    torch.testing.assert_close(torch.cat(logits, 1), expected, **CLOSE)


@torch.no_grad()
def test_a_cache_counts_on_with_what_the_sample_carries():
    model = reading("causal & k % 3 != part | prefix", "decoder")
    prompts, rest = [[2, 7], [2, 11, 18, 13], [2]], [[9, 4], [15, 6], [16, 5]]
    numbers = {"part": torch.tensor([0, 1, 1]), "prefix_length": torch.tensor([2, 3, 1])}
    source = stream([SOURCES[row] for row in (0, 1, 3)], pad=0)
    cache = model.start({"source": source}, capacity=8)
    model.step(stream(prompts, pad=0, left=True).with_rows(numbers), cache)
    cache.reorder(torch.tensor([0, 2, 1]))
    cache.reorder(torch.tensor([0, 2, 1]))
    later = [model.step(cache.next(torch.tensor([[more[i]] for more in rest])), cache) for i in range(2)]
    for row, (prompt, more) in enumerate(zip(prompts, rest, strict=True)):
        own = {name: each[row : row + 1] for name, each in numbers.items()}
        whole = stream([prompt + more], pad=0).with_rows(own)
        alone = model({"source": stream([SOURCES[(0, 1, 3)[row]]], pad=0), "target": whole})[0]
        torch.testing.assert_close(torch.cat([one[row] for one in later]), alone[len(prompt) :], **CLOSE)
