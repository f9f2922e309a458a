"""Additive scores without their tanh layer are those with it, forward and gradient."""

import pytest
import torch

from attncli.nn.kernels import additive


@pytest.mark.parametrize("far", [1.0, 400.0], ids=["exponentials", "tanh"])
@pytest.mark.parametrize("cached", [30, 60, 1 << 19])
def test_every_tile_gives_its_scores_and_gradients(cached, far, monkeypatch):
    monkeypatch.setattr(additive, "CACHED", cached)
    monkeypatch.setattr(additive, "QUERIES", 2)
    query, key, weight = (
        torch.randn(*shape, dtype=torch.float64) for shape in ((3, 3, 5, 4), (3, 3, 7, 4), (3, 4))
    )  # fmt: skip
    # ±far: sums of two whose exponentials leave the range, and which yet may be small
    query, key, weight = (x.requires_grad_() for x in (query + (far - 1), key - (far - 1), weight))
    plain = torch.einsum("bhqka,ha->bhqk", torch.tanh(query.unsqueeze(3) + key.unsqueeze(2)), weight)
    made = additive.scores(query, key, weight)
    given = torch.randn_like(plain)
    torch.testing.assert_close(made, plain, rtol=1e-12, atol=1e-12)
    for one, other in zip(*(torch.autograd.grad(x, (query, key, weight), given) for x in (made, plain)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_float32_is_as_near_as_tanh_up_to_the_edge_of_its_exponentials():
    """A score is a sum of `a` numbers below 1: what rounding leaves of it is measured by |w|_1."""
    for reach in (0.01, 1.0, 10.0, 42.0):
        query, key = (reach * (2 * torch.rand(1, 2, n, 16, dtype=torch.float64) - 1) for n in (9, 11))
        weight = torch.randn(2, 16, dtype=torch.float64)
        exact = torch.einsum("bhqka,ha->bhqk", torch.tanh(query.unsqueeze(3) + key.unsqueeze(2)), weight)
        found = additive.scores(query.float(), key.float(), weight.float())
        # a sum q + k is rounded to `reach` roundings, and tanh passes that on where it is steep
        bound = 4 * torch.finfo(torch.float32).eps * (1 + reach) * weight.abs().sum(1).view(-1, 1, 1)
        assert ((found.double() - exact).abs() <= bound).all()
