"""Keys that are hidden while training: whole, the same in all layers, and never the first or the token itself."""

import pytest
import torch

from attncli.nn.forgetful import KeyDropout
from attncli.nn.view import Record, view_of_memory, view_of_self
from attncli.streams import stream
from tests.nn.models import batch, build, recurrent, transformer
from tests.nn.oracle import attention

STEP = "{key_dropout: 0.6}"


def hidden(record: Record) -> torch.Tensor:
    """(b q k): where no head has weight."""
    weights = record.attention.weights(record, dtype=torch.float64)
    return (weights == 0).all(1)


@pytest.mark.parametrize("kernel", ["fused", "reference"])
@pytest.mark.parametrize("mask", ["full", "causal"])
def test_a_key_is_hidden_from_every_query_but_its_own(mask, kernel):
    module, records = attention(mask=mask, steps=STEP, kernel=kernel).train(), []
    x = torch.randn(40, 9, 12, dtype=torch.float64)
    with torch.no_grad():
        module(x, x, view_of_self(stream([[1] * 9] * 40, pad=0), records.append))
    blind = hidden(records[0])
    last = blind[:, -1]  # which every key is before
    assert not last[:, 0].any()
    assert not last[:, -1].any()
    assert 0.15 < last[:, 1:-1].double().mean() < 0.45, "the share is 0.3 in the mean"
    eye = torch.eye(9, dtype=torch.bool)
    ahead = torch.ones(9, 9, dtype=torch.bool).triu(1) if mask == "causal" else torch.zeros(9, 9, dtype=torch.bool)
    column = last.clone()
    column[:, -1] = blind[:, 0, -1] if mask == "full" else False
    assert torch.equal(blind, (column.unsqueeze(1) | ahead) & ~eye)
    shares = last[:, 1:-1].double().mean(1)
    assert shares.min() < 0.15 < 0.4 < shares.max(), "each row draws a share of its own"


@pytest.mark.parametrize("mask", ["full", "causal", "window(around=1)"])
def test_both_kernels_give_one_answer_of_one_draw(mask):
    x, found = torch.randn(3, 6, 12, dtype=torch.float64), []
    for kernel in ("fused", "reference"):
        module = attention(mask=mask, steps=STEP, heads="{heads: 4, kv_heads: 2, d_head: 6}", kernel=kernel).train()
        assert module.plan(device="cpu", dtype="float64", training=True, size=None).kernel == kernel
        torch.manual_seed(5)
        own = x.clone().requires_grad_()
        output = module(own, own, view_of_self(stream([[1] * 6] * 3, pad=0)))
        output.square().sum().backward()
        found.append((output, own.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


def test_layers_of_a_pass_hide_the_same_keys_and_the_next_pass_others():
    model, records = build(transformer(steps=STEP, layers=3)).train(), []
    with torch.no_grad():
        model(batch(), tap=records.append)
    of_encoder = [record.visible.expand(-1, 4, 5, -1)[:, 0] for record in records if "encoder" in record.address]
    assert len(of_encoder) == 3
    assert torch.equal(of_encoder[0], of_encoder[1])
    assert torch.equal(of_encoder[0], of_encoder[2])
    torch.manual_seed(8)
    with torch.no_grad():
        model(batch(), tap=records.append)
    assert not torch.equal(records[-1].visible, of_encoder[0])


def test_steps_of_a_recurrent_decoder_hide_the_same_keys():
    heads = "{heads: 2, d_head: 4, projections: none, key_dropout: 0.9}"
    for mask in ("full", "abs(q - k) <= 9"):
        model, records = build(recurrent(heads=heads, mask=mask)).train(), []
        with torch.no_grad():
            model(batch(), tap=records.append)
        seen = [record.visible.any(1).any(1) for record in records]
        assert len(seen) > 1
        assert all(torch.equal(one, seen[0]) for one in seen)
        assert not seen[0].all()


def test_evaluation_hides_nothing():
    x, view = torch.randn(2, 6, 12, dtype=torch.float64), view_of_self(stream([[1] * 6] * 2, pad=0))
    torch.manual_seed(3)
    one = attention(steps=STEP)
    torch.manual_seed(3)
    other = attention()
    assert torch.equal(one(x, x, view), other(x, x, view))


def test_a_reader_of_another_text_keeps_its_first_token_alone():
    reader, memory = stream([[1] * 4] * 50, pad=0), stream([[1] * 7] * 50, pad=0)
    kept = KeyDropout(most=0.99, own=False).train()(None, view_of_memory(reader, memory), rows=50)
    assert kept.shape == (50, 1, 1, 7)
    assert kept[..., 0].all()
    assert (~kept[:, 0, 0, 1:]).any(0).all()
