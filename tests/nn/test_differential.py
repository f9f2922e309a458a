"""What a differential attention is, beside the laws that it shares with every attention."""

import pytest
import torch

from attncli.nn.differential import Difference
from attncli.reference.differential import start_by_depth
from tests.nn.models import build, tiny

SPEC = tiny("{tie_embeddings: none, max_length: 32, d_model: 24, decoder: {layers: 3, attention: {kind: differential, "
            "heads: 2}, feedforward: {d_ff: 9}}}", "language_model")  # fmt: skip


def differences(*overrides: str) -> list[Difference]:
    model = build(SPEC, *overrides)
    return [attention.weighing.difference for attention in model.attentions().values()]


def test_the_start_grows_with_the_layer_from_a_fifth():
    assert [each.start for each in differences()] == pytest.approx([start_by_depth(layer) for layer in range(3)])
    assert start_by_depth(0) == pytest.approx(0.2)
    assert {each.start for each in differences("model.decoder.attention.start=0.6")} == {0.6}


def test_the_vectors_start_small_so_that_the_share_is_near_its_start():
    from attncli.nn.model import build_model
    from attncli.spec.sizes import Sizes
    from tests.nn.models import run_of

    model = build_model(run_of(SPEC), Sizes({"text": 13}))
    for attention in model.attentions().values():
        difference = attention.weighing.difference
        assert 0 < difference.query.abs().max() < 0.5
        assert abs(difference.share(torch.float32).item() - difference.start) < 0.2


def test_neighbours_and_halves_are_one_attention_whose_maps_stand_in_another_order():
    maps = torch.arange(24.0).view(1, 4, 2, 3)
    near, far = (Difference(d_head=2, start=0.5, pairs=pairs) for pairs in ("neighbours", "halves"))
    with torch.no_grad():
        for each in (near, far):
            each.query.zero_()
        assert torch.equal(near(maps), far(maps[:, [0, 2, 1, 3]]))
        assert torch.equal(near(maps)[:, 0], maps[:, 0] - 0.5 * maps[:, 1])
    pairs = torch.tensor([[7, 8]])
    assert near.spread(pairs).tolist() == [[7, 7, 8, 8]]
    assert far.spread(pairs).tolist() == [[7, 8, 7, 8]]
