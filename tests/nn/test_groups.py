"""Rows of like length in passes of their own."""

import itertools

import pytest
import torch

from attncli.nn import groups
from attncli.nn.groups import rows_together
from attncli.nn.stacks import Transformer
from tests.nn.models import batch, build, tiny, transformer

MODEL = (
    "{d_model: 8, max_length: 16, tie_embeddings: none, attention: {heads: 2}, feedforward: {d_ff: 10}, "
    "encoder: {layers: 2}, decoder: {layers: 2}}"
)


def cost(passes, lengths):
    return sum(groups.PASS + len(rows) * max(lengths[row] for row in rows) for rows in passes)


@pytest.mark.parametrize("lengths", [[3], [7, 7, 7], [1, 16, 2, 15, 3], [500, 64, 90, 510, 300, 70, 128, 511]])
@pytest.mark.parametrize("price", [1, 128])
def test_no_cut_into_passes_is_cheaper(lengths, price, monkeypatch):
    monkeypatch.setattr(groups, "PASS", price)
    monkeypatch.setattr(groups, "BINS", 512)
    found = rows_together(lengths)
    assert sorted(row for rows in found for row in rows) == list(range(len(lengths)))
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    inner = range(1, len(lengths))
    cuts = itertools.chain.from_iterable(itertools.combinations(inner, count) for count in range(len(lengths)))
    every = ([order[a:b] for a, b in itertools.pairwise((0, *cut, len(order)))] for cut in cuts)
    assert cost(found, lengths) == min(cost(passes, lengths) for passes in every)


def test_few_bins_still_hold_every_row_once():
    lengths = torch.randint(1, 4000, (301,), generator=torch.Generator().manual_seed(0)).tolist()
    found = rows_together(lengths)
    assert sorted(row for rows in found for row in rows) == list(range(301))
    assert cost(found, lengths) < 0.6 * cost([list(range(301))], lengths)


def test_logits_loss_and_gradients_are_those_of_one_pass(monkeypatch):
    model, given, passes = build(tiny(MODEL)), batch(), []
    together = Transformer._together
    monkeypatch.setattr(
        Transformer, "_together", lambda self, *rest: passes.append(self.field) or together(self, *rest)
    )

    def run():
        model.zero_grad()
        losses = model.losses(given)
        losses.loss.backward()
        return losses.loss, [parameter.grad.clone() for parameter in model.parameters()]

    whole, gradients = run()
    assert passes == ["source", "target"]
    monkeypatch.setattr(groups, "PASS", 1)
    apart, others = run()
    assert passes.count("source") > 2
    assert passes.count("target") > 2
    torch.testing.assert_close(apart, whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(others, gradients, atol=1e-10, rtol=0)
    real = given["target"].real
    logits = model(given)
    monkeypatch.setattr(groups, "PASS", 10**6)
    torch.testing.assert_close(logits[real], model(given)[real], atol=1e-12, rtol=0)


def test_padding_in_front_and_experts_stay_in_one_pass(monkeypatch):
    monkeypatch.setattr(groups, "PASS", 1)
    assert groups.groups_of(batch(left=True)["source"]) is None
    experts = MODEL.replace("{d_ff: 10}", "{kind: experts, experts: 3, active: 2, expert: {d_ff: 6}}")
    assert not build(tiny(experts)).stacks["encoder"].apart


def test_what_an_indexer_learns_of_its_encoder_s_rows_is_kept(monkeypatch):
    model = build(transformer(steps="{select: {kind: indexer, keys: 2}}"))
    whole = model.losses(batch()).loss
    monkeypatch.setattr(groups, "PASS", 1)
    torch.testing.assert_close(model.losses(batch()).loss, whole, atol=1e-12, rtol=0)
