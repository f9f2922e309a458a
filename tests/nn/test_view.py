"""Packed rows, padding and documents: what the queries of one forward pass may see."""

import dataclasses

import pytest
import torch

from attncli.nn.cache import Places
from attncli.nn.view import View, view_of_memory, view_of_past, view_of_self
from attncli.spec.masks import parse
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import SOURCES, TARGETS, build, packed, recurrent, transformers

TRANSFORMERS = {name: spec for name, spec in transformers().items() if name != "recurrent encoder"}
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
PACKS = ((0, 1), (3, 2, 0))


@pytest.mark.parametrize("spec", TRANSFORMERS.values(), ids=TRANSFORMERS.keys())
@torch.no_grad()
def test_packed_documents_are_separate_rows(spec):
    model = build(spec)
    together = model({"source": packed(PACKS, SOURCES), "target": packed(PACKS, TARGETS)})
    for row, pack in enumerate(PACKS):
        place = 0
        for one in pack:
            alone = model({"source": stream([SOURCES[one]], pad=0), "target": stream([TARGETS[one]], pad=0)})[0]
            torch.testing.assert_close(together[row, place : place + len(alone)], alone, **CLOSE)
            place += len(alone)


def test_a_recurrent_stack_refuses_packed_rows():
    model = build(recurrent())
    with pytest.raises(AssertionError, match="a recurrent state runs across the documents of a packed row"):
        model({"source": packed(PACKS, SOURCES), "target": stream(TARGETS[:2], pad=0)})
    with pytest.raises(AssertionError, match="a recurrent state runs across the documents of a packed row"):
        model({"source": stream(SOURCES[:2], pad=0), "target": packed(PACKS, TARGETS)})


def allowed(mask: str, rows: list[int], head: int = 0) -> list[torch.Tensor]:
    """The mask of each row by its rule on Python ints."""
    rule = parse(mask)
    return [
        torch.tensor(
            [
                [bool(rule.allows(q, k, h=head, q_length=n, k_length=n, document_q=0, document_k=0)) for k in range(n)]
                for q in range(n)
            ]
        )
        for n in rows
    ]


@pytest.mark.parametrize("mask", catalogue.MASKS)
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_visible_is_the_rule_on_ints_and_no_padding(mask, left):
    lengths = [5, 2, 4]
    tokens = stream([[1] * length for length in lengths], pad=0, left=left)
    seen = view_of_self(tokens).visible(parse(mask), 4)
    assert seen is not None
    seen = seen.expand(3, 4, 5, 5)
    for head in range(4):
        for row, expected in enumerate(allowed(mask, lengths, head)):
            real = tokens.real[row]
            assert torch.equal(seen[row, head][real][:, real], expected)
            assert not seen[row, head][real][:, ~real].any()


@pytest.mark.parametrize("mask", catalogue.MASKS)
def test_visible_of_unpadded_rows(mask):
    tokens = stream([[1] * 5] * 2, pad=0)
    seen = view_of_self(tokens).visible(parse(mask), 4)
    if mask == "full":
        assert seen is None
        return
    if parse(mask).names <= {"q", "k", "h"}:
        assert seen.shape[0] == 1, "one mask serves all rows"
    for head in range(4):
        assert torch.equal(seen.expand(-1, 4, 5, 5)[-1, head], allowed(mask, [5], head)[0])


@pytest.mark.parametrize("mask", ["full", "abs(q - k) <= 1", "k >= k_length - 2", "q + k < q_length", "first(2)"])
def test_visible_between_two_streams(mask):
    reader, memory = stream([[1, 1], [1, 1, 1]], pad=0), stream([[1] * 5, [1] * 4], pad=0)
    seen = view_of_memory(reader, memory).visible(parse(mask), 4).expand(2, 4, 3, 5)
    for row, (n, m) in enumerate(((2, 5), (3, 4))):
        for q in range(n):
            expected = [bool(parse(mask).allows(q, k, q_length=n, k_length=m)) for k in range(m)]
            assert seen[row, 0, q].tolist() == expected + [False] * (5 - m)


@pytest.mark.parametrize("mask", [mask for mask in catalogue.MASKS if parse(mask).causal() is None])
def test_the_past_is_seen_as_the_whole_row_sees_it(mask):
    tokens = stream([[1] * 6] * 2, pad=0)
    whole = view_of_self(tokens).visible(parse(mask), 4)
    places = Places()
    for start, end in ((0, 2), (2, 5), (5, 6)):
        at = slice(start, end)
        one = dataclasses.replace(
            tokens, values=tokens.values[:, at], positions=tokens.positions[:, at], documents=tokens.documents[:, at]
        )
        places.append(one)
        seen = view_of_past(one, places).visible(parse(mask), 4)
        expected = whole[:, :, at, :end]
        assert expected.all() if seen is None else torch.equal(seen.expand_as(expected), expected)


def test_the_triangle_is_taken_only_where_it_is_the_whole_truth():
    causal, right, left = parse("causal"), stream([[1, 1], [1]], pad=0), stream([[1, 1], [1]], pad=0, left=True)
    assert view_of_self(right).triangle(causal)
    assert not view_of_self(left).triangle(causal), "padding in front is no triangle"
    assert not view_of_self(packed(PACKS, SOURCES)).triangle(causal), "documents must not see each other"
    assert not view_of_self(right).triangle(parse("causal & window(before=3)"))
    assert not view_of_memory(right, right).triangle(causal), "other places are queried"


def test_masks_are_made_once_for_all_layers():
    made = []
    view = View(torch.arange(3).unsqueeze(0), torch.arange(3).unsqueeze(0))
    for _ in range(2):
        view.once("mask", lambda: made.append(1))
    assert made == [1]
    assert view.visible(parse("causal"), 2) is view.visible(parse("causal"), 2)
