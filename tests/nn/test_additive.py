"""Additive scores without their tanh layer are those with it, forward and gradient."""

import torch

from attncli.nn.kernels import additive


def test_every_tile_gives_its_scores_and_gradients(monkeypatch):
    monkeypatch.setattr(additive, "CACHED", 30)
    monkeypatch.setattr(additive, "QUERIES", 2)
    query, key, weight = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3, 5, 4), (2, 3, 7, 4), (3, 4))
    )
    plain = torch.einsum("bhqka,ha->bhqk", torch.tanh(query.unsqueeze(3) + key.unsqueeze(2)), weight)
    made = additive.scores(query, key, weight)
    given = torch.randn_like(plain)
    torch.testing.assert_close(made, plain, rtol=1e-12, atol=1e-12)
    for one, other in zip(*(torch.autograd.grad(x, (query, key, weight), given) for x in (made, plain)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
