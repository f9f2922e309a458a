"""What a stack reads: dropout(norm(scale E[id] + position)), then the map to the stack's width."""

import pytest
import torch
from torch import nn

from attncli.nn.inputs import Tokens, build_input
from attncli.reference import norms, positions
from attncli.reference.vectors import affine, plus
from attncli.spec.inputs import Tokens as Spec
from attncli.streams import stream
from tests.nn.models import read, shake


def built(text: str = "{}", *, d_model: int = 6) -> Tokens:
    given = {"field": "text", "d_embedding": 6, "scale": "none", "position": "none", "norm": "none", "dropout": 0.0}
    spec = Spec.model_validate(given | read(text))
    module = build_input(spec, vocabulary=11, d_model=d_model, max_length=9).double()
    shake(module)
    return module.eval()


TOKENS = stream([[3, 10, 5], [7, 1]], pad=0)
POSITIONS = torch.tensor([[4, 5, 6]])


def embedded(module: Tokens, ids: list[int]) -> list[list[float]]:
    return module.embedding.weight[ids].tolist()


@pytest.mark.parametrize(("scale", "factor"), [("none", 1.0), ("sqrt_d_model", 6**0.5), ("2.5", 2.5)])
def test_the_scale_multiplies_the_embedding_and_not_the_position(scale, factor):
    module = built(f"{{scale: {scale}, position: sinusoidal}}")
    rows = module(TOKENS, POSITIONS)[0].tolist()
    for row, vector, position in zip(rows, embedded(module, [3, 10, 5]), (4, 5, 6), strict=True):
        expected = plus([factor * one for one in vector], positions.sinusoidal(position, d_model=6))
        assert row == pytest.approx(expected, rel=1e-12)


def test_the_order_is_position_then_norm_then_map():
    module = built("{position: learned, norm: layer_norm, d_embedding: 4}", d_model=6)
    table, norm = module.position.table.weight.tolist(), module.norm
    rows = module(TOKENS, POSITIONS)[1].tolist()
    for row, vector, position in zip(rows[:2], embedded(module, [7, 1]), (4, 5), strict=False):
        gain, bias = norm.weight.tolist(), norm.bias.tolist()
        normed = norms.layer_norm(plus(vector, table[position]), gain=gain, bias=bias)
        expected = affine(normed, module.map.weight.tolist(), module.map.bias.tolist())
        assert row == pytest.approx(expected, rel=1e-11)


def test_an_embedding_as_wide_as_the_stack_has_no_map():
    assert isinstance(built().map, nn.Identity)
    assert built("{d_embedding: 4}").map.weight.shape == (6, 4)


def test_dropout_falls_on_the_sum():
    module = built("{dropout: 0.5, position: learned}").train()
    whole = module.eval()(TOKENS, POSITIONS)
    dropped = module.train()(TOKENS, POSITIONS)
    assert torch.equal((dropped == 0) | (dropped == 2 * whole), torch.ones_like(dropped, dtype=torch.bool))
    assert (dropped == 0).any()
    assert (dropped != 0).any()
