"""After a step no head scores above tau what it scored above it, and other heads are left as they were."""

import copy

import pytest
import torch

from attncli.nn.attention import Attention
from attncli.nn.clipping import clip_maps
from attncli.nn.view import view_of_self
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import batch, build, recurrent, transformer
from tests.nn.oracle import attention

TAU = 3.0


def largest(module: Attention, x: torch.Tensor, lengths: tuple[int, ...], mask: str) -> torch.Tensor:
    """(h): the largest score of each head by another road: every pair that is seen, one by one."""
    view = view_of_self(stream([[1] * n for n in lengths], pad=0))
    with torch.no_grad():
        query, (key, *_) = module.ask(x, view).query, module.read(x, view)
    key = key.repeat_interleave(module.maps // key.shape[1], 1)
    found = torch.zeros(module.maps, dtype=torch.float64)
    for row, length in enumerate(lengths):
        for q in range(length):
            for k in range(length if mask == "full" else q + 1):
                products = (query[row, :, q] * key[row, :, k]).sum(-1) * module.score.scale
                found = found.maximum(products.double())
    return found


@pytest.mark.parametrize("mask", ["full", "causal"])
@pytest.mark.parametrize("position", ["none", "{kind: rotary, layout: half, d_rotary: 6}"])
@pytest.mark.parametrize("kv_heads", [4, 2], ids=["own keys", "grouped"])
def test_the_largest_score_of_a_step_becomes_tau(mask, position, kv_heads):
    heads = f"{{heads: 4, kv_heads: {kv_heads}, d_head: 6}}"
    module = attention(heads=heads, steps=f"{{qk_clip: {TAU}}}", mask=mask, position=position).train()
    lengths = (5, 3)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    with torch.no_grad():
        for head, size in enumerate((5.0, 3.0, 0.05, 2.0)):
            module.query.weight[head * 6 : head * 6 + 6] *= size
            module.query.bias[head * 6 : head * 6 + 6] *= size
        x[1, 3:] = 100.0  # padding
    before, old = largest(module, x, lengths, mask), copy.deepcopy(module)
    assert (before > TAU).any() and (before < TAU).any()
    half = [x[:1], x[1:]]
    for row, part in enumerate(half):  # two passes of one step
        module(part, part, view_of_self(stream([[1] * lengths[row] + [1] * 0], pad=0)) if row == 0 else padded())
    clip_maps([module])
    after = largest(module, x, lengths, mask)
    torch.testing.assert_close(after, before.clamp(max=TAU), rtol=1e-5, atol=1e-6)
    still = (before <= TAU).nonzero().flatten().tolist()
    for head in still:
        assert torch.equal(module.query.weight[head * 6 : head * 6 + 6], old.query.weight[head * 6 : head * 6 + 6])
    assert torch.equal(module.key.weight, old.key.weight) == (kv_heads == 2)
    assert module.watch.largest is None


def padded():
    """A row of three tokens and two places of padding."""
    return view_of_self(stream([[1] * 5, [1] * 3], pad=0).select(torch.tensor([1])))


def test_nothing_is_watched_in_evaluation_and_nothing_moves_below_tau():
    module = attention(heads="{heads: 4, kv_heads: 4, d_head: 6}", steps="{qk_clip: 1000}")
    x, view = torch.randn(1, 4, 12, dtype=torch.float64), view_of_self(stream([[1] * 4], pad=0))
    old = copy.deepcopy(module.state_dict())
    module(x * 1e3, x * 1e3, view)
    assert module.watch.largest is None
    module.train()(x, x, view)
    clip_maps([module])
    assert all(torch.equal(parameter, old[name]) for name, parameter in module.state_dict().items())


def test_weights_that_two_attentions_share_are_scaled_once_by_the_larger_score():
    module = attention(heads="{heads: 2, kv_heads: 2, d_head: 6}", steps="{qk_clip: 0.01}").train()
    other = copy.deepcopy(module)
    other.query, other.key = module.query, module.key
    x, view = torch.randn(1, 4, 12, dtype=torch.float64), view_of_self(stream([[1] * 4], pad=0))
    module(x, x, view)
    other(2 * x, 2 * x, view)
    clip_maps([module, other])
    after = largest(module, 2 * x, (4,), "full")
    torch.testing.assert_close(after, torch.full_like(after, 0.01), rtol=1e-5, atol=1e-8)


SEE = {"score": "general", "heads": "{heads: 2, d_head: 4, projections: [query, key]}", "cell": "lstm"}
WHOLE = {
    "transformer": transformer(steps="{qk_clip: 0.01}", position="rotary"),
    "recurrent": recurrent(steps="{qk_clip: 0.01}", writer=catalogue.WRITERS["Bahdanau"], **SEE),
    "pointer": recurrent(steps="{qk_clip: 0.01}", writer=catalogue.LONG_WRITERS["See"], task=catalogue.POINTER, **SEE),
}


@pytest.mark.parametrize("spec", WHOLE.values(), ids=WHOLE)
def test_every_attention_of_a_model_is_clipped_after_a_step(spec):
    model = build(spec).train()
    before = {name: each.query.weight.norm().item() for name, each in model.attentions().items()}
    model.losses(batch())
    model.settle({})
    for name, each in model.attentions().items():
        assert each.watch is not None
        assert each.query.weight.norm().item() < 0.9 * before[name], name
