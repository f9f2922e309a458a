"""Random features: drawn as the paper says, an estimate of softmax attention, and nothing that overflows."""

import pytest
import torch

from attncli.nn.features import HIGHEST, Favor, drawn, orthogonal
from attncli.nn.view import view_of_self
from attncli.reference import linear as reference
from attncli.streams import stream
from tests.nn.models import build, tiny

NOWHERE = view_of_self(stream([[1]], pad=0))


def favor(features: int = 12, d_head: int = 5, *, layer: int = 0, seed: int = 0, redraws: bool = False) -> Favor:
    return Favor(features=features, d_head=d_head, seed=seed, layer=layer, redraws=redraws)


def test_directions_are_those_of_gram_and_schmidt_and_keep_their_lengths():
    blocks = torch.randn(2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = [row for block in blocks.tolist() for row in reference.orthogonal(block)]
    torch.testing.assert_close(orthogonal(blocks), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(orthogonal(blocks).norm(dim=1), blocks.norm(dim=2).flatten())


def test_a_draw_is_of_its_seed_layer_and_sizes_alone():
    first = favor().directions(NOWHERE)
    assert first.shape == (12, 5)
    assert torch.equal(first, favor().directions(NOWHERE))
    assert not torch.equal(first, favor(seed=1).directions(NOWHERE))
    assert not torch.equal(first, favor(layer=1).directions(NOWHERE))
    close = first @ first.T
    assert close[:5, :5].fill_diagonal_(0).abs().max() < 1e-12 < close[:5, 5:10].abs().max()


def test_redrawn_directions_are_new_in_every_pass_of_training_alike_on_both_sides_and_follow_the_seed():
    own = favor(redraws=True)
    assert torch.equal(own.eval().directions(NOWHERE), favor().directions(NOWHERE))
    own.train()
    passes = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        view = view_of_self(stream([[1]], pad=0))
        passes.append(own.directions(view))
        assert own.directions(view) is passes[-1]
    assert torch.equal(passes[0], passes[1])
    assert not torch.equal(passes[0], passes[2])


def test_layers_have_draws_of_their_own():
    model = build(tiny("{decoder: {d_model: 12, layers: 2, attention: {kind: performer, heads: 2, features: 4}}}",
                       "language_model"))  # fmt: skip
    one, other = (each.feature.draw for each in model.attentions().values())
    assert one != other


@pytest.mark.parametrize("size", [0.5, 1.0])
def test_the_mean_over_draws_is_the_softmax_kernel_and_orthogonal_directions_scatter_less(size):
    """4,000 draws of 4 directions in 4 dimensions; the mean lies within 5 of its errors. A key near its query."""
    generator = torch.Generator().manual_seed(3)
    q = size * torch.nn.functional.normalize(torch.randn(4, dtype=torch.float64, generator=generator), dim=0)
    k = q + 0.1 * torch.randn(4, dtype=torch.float64, generator=generator)
    blocks = torch.randn(4000, 4, 4, dtype=torch.float64, generator=generator)

    def estimates(directions: torch.Tensor) -> torch.Tensor:
        ask, read = ((directions @ x / 4**0.25 - x @ x / 4).exp() for x in (q, k))  # y = x / 4^(1/4): |y|^2 is x.x / 2
        return (ask * read).mean(-1)

    found = estimates(orthogonal(blocks).view(4000, 4, 4))
    assert abs(found.mean() - (q @ k / 2).exp()) < 5 * found.std() / 4000**0.5
    assert found.var() < 0.95 * estimates(blocks).var()
    one = torch.tensor([sum(a * b for a, b in zip(*(reference.favor(x.tolist(), block.tolist()) for x in (q, k)),
                                                  strict=True)) for block in orthogonal(blocks[:3]).view(3, 4, 4)],
                       dtype=torch.float64)  # fmt: skip
    torch.testing.assert_close(one, found[:3])


@torch.no_grad()
def test_many_features_come_near_to_softmax_attention():
    def outputs(kind: str) -> torch.Tensor:
        text = tiny(f"{{tie_embeddings: none, decoder: {{d_model: 12, layers: 1, attention: {kind}}}}}",
                    "language_model")  # fmt: skip
        module = next(iter(build(text).attentions().values()))
        x = 0.3 * torch.randn(1, 9, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        out: torch.Tensor = module(x, x, view_of_self(stream([[1] * 9], pad=0)))
        return out

    exact = outputs("{kind: multi_head, heads: 2, dropout: 0}")
    errors = [
        float((outputs(f"{{kind: performer, heads: 2, features: {features}}}") - exact).norm() / exact.norm())
        for features in (8, 512, 32768)
    ]
    assert errors[0] > 3 * errors[1] > 9 * errors[2] and errors[2] < 0.05, errors


def test_no_feature_overflows_float32_and_their_ratios_are_those_of_float64():
    own, width = favor(300, 300), 300
    generator = torch.Generator().manual_seed(0)
    directions = drawn(300, 300, own.draw)
    assert float(directions.square().sum(1).max()) / 2 > 100  # e^100 is no float32
    longest = directions[directions.norm(dim=1).argmax()] * width**0.25  # the key of the largest feature there can be
    keys = torch.stack((longest, longest / 2, torch.randn(300, dtype=torch.float64, generator=generator)))[None, None]
    wide, narrow = own(keys, NOWHERE, "key"), own(keys.float(), NOWHERE, "key")
    assert 0.9 * HIGHEST < float(narrow.max().log()) < HIGHEST * 1.001
    torch.testing.assert_close(narrow.double(), wide, rtol=1e-3, atol=1e-30)
    asked = own(100 * keys.float(), NOWHERE, "query")
    assert bool(asked.isfinite().all())
    assert float(asked.max()) == 1
