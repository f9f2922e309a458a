"""Beams that are branches of one row of the cache write what beams with rows of their own write."""

from itertools import chain

import pytest
import torch

from attncli.decoding import Hypothesis, decode
from attncli.nn import cache
from attncli.nn.model import Model
from attncli.spec.training import Beam
from attncli.streams import Batch, stream
from tests.nn.models import batch, build, tiny, transformer, writers

SIGNS = {"bos": 2, "eos": 3, "pad": 0}
WRITERS = {name: spec for name, spec in writers().items() if build(spec).branches}
PARENTS = ([0, 0, 1], [2, 0, 2], [1, 1, 1], [0, 2, 1], [2, 1, 0])
SENTENCES = (0, 1, 3)


def test_what_hangs_on_a_pair_alone_branches_and_what_adds_up_does_not() -> None:
    assert len(WRITERS) > 80
    sums = ("forgetting", "kind: retention", "decoder: {kind: recurrent")
    assert not [name for name, spec in WRITERS.items() if any(kind in spec for kind in sums)]


@pytest.mark.parametrize("spec", WRITERS.values(), ids=WRITERS.keys())
@torch.no_grad()
def test_each_branch_goes_on_as_a_row_of_its_own(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PRUNE", 2)
    model, read = build(spec), {"source": batch(*SENTENCES)["source"]}
    tree, rows = model.start(read, capacity=20), model.start(read, rows=3, capacity=8)
    prompts = torch.tensor([[2, 7], [2, 9], [2, 5]])
    given = [stream(each.tolist(), pad=0) for each in (prompts, prompts.repeat_interleave(3, 0))]
    torch.testing.assert_close(model.step(given[0], tree).repeat_interleave(3, 0), model.step(given[1], rows))
    for step, parents in enumerate(PARENTS):
        if step == 3:  # the middle sentence is done
            tree.reorder(torch.tensor([0, 2]))
            rows.reorder(torch.tensor([0, 1, 2, 6, 7, 8]))
        left = len(tree.places.documents)
        index = torch.tensor([parents if row != 1 else parents[::-1] for row in range(left)])
        tokens = (torch.arange(3 * left).view(left, 3) * 5 + step) % 15 + 4
        rows.reorder((index + torch.arange(left).unsqueeze(1) * 3).flatten())
        expected = model.step(rows.next(tokens.view(-1, 1)), rows)
        found = model.step(tree.branch(tokens, index), tree)
        torch.testing.assert_close(found.view_as(expected), expected, rtol=1e-9, atol=1e-10)


def searched(model: Model, read: Batch, monkeypatch: pytest.MonkeyPatch | None = None) -> list[list[Hypothesis]]:
    if monkeypatch is not None:
        monkeypatch.setattr(Model, "branches", property(lambda self: False))
    search = Beam(size=4, n_best=4, max_length=12, min_length=2)
    return decode(model, read, search, max_length=32, **SIGNS)


LANGUAGE_MODEL = tiny("{decoder: {d_model: 12, layers: 2, max_length: 32, attention: {heads: 2}}}", "language_model")


@pytest.mark.parametrize("prompted", [False, True])
def test_a_search_finds_the_same_texts(prompted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PRUNE", 3)
    model = build(LANGUAGE_MODEL if prompted else transformer(position="alibi"))
    assert model.branches
    prompts = {"text": stream([[2, 7, 5], [2], [2, 8, 11, 12, 4]], pad=0, left=True)}
    read = prompts if prompted else {"source": batch()["source"]}
    branched = searched(model, read)
    apart = searched(model, read, monkeypatch)
    assert [[one.tokens for one in texts] for texts in branched] == [[one.tokens for one in texts] for texts in apart]
    for one, other in zip(chain(*branched), chain(*apart), strict=True):
        assert one.rows == other.rows
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-5)
