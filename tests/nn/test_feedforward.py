"""Feed-forward maps against the reference."""

from functools import partial

import pytest
import torch

from attncli.nn.feedforward import Feedforward, build_feedforward
from attncli.reference import norms
from attncli.reference.feedforward import MapWeights, feedforward
from attncli.spec.stacks import Layer
from tests import catalogue
from tests.nn.models import read, shake

KINDS = {name: text for name, text in catalogue.FEEDFORWARDS.items() if "experts" not in name}


def built(kind: str, *, bias: bool = True, dropout: float = 0.0) -> Feedforward:
    written = read(KINDS[kind])
    given = {"d_ff": 7, "bias": bias, "dropout": dropout, "norm": "none", "norm_place": "pre"}
    given |= written if isinstance(written, dict) else {"kind": written}
    layer = Layer.model_validate({"order": ["feedforward"], "feedforward": given, "dropout": 0.0})
    module = build_feedforward(layer.feedforward, d_model=5).double()
    shake(module, size=0.8)
    return module


def normed(norm: object, module: torch.nn.Module, x: list[float]) -> list[float]:
    if norm == "none":
        return x
    gain = module.weight.tolist()
    if norm == "layer_norm":
        return norms.layer_norm(x, gain=gain, bias=module.bias.tolist())
    return norms.rms_norm(x, gain=gain, epsilon=1e-3)


def weights(map: torch.nn.Linear) -> MapWeights:
    return MapWeights(map.weight.tolist(), None if map.bias is None else map.bias.tolist())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_every_kind_is_that_of_the_reference(kind, bias):
    module = built(kind, bias=bias)
    gate = None if module.gate is None else weights(module.gate)
    written = read(KINDS[kind])
    options = dict(written) if isinstance(written, dict) else {"kind": written}
    word, norm = options.pop("kind"), options.pop("inner_norm", "none")
    if "up_offset" in options:
        options["offset"] = options.pop("up_offset")
    for x in torch.randn(6, 5, dtype=torch.float64):
        expected = feedforward(
            x.tolist(), word, hidden=weights(module.hidden), output=weights(module.output), gate=gate,
            inner_norm=partial(normed, norm, module.inner_norm), **options,
        )  # fmt: skip
        assert module(x).tolist() == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    module = built(kind)
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *given: module(given[0]), (x, *module.parameters()))


def test_gated_kinds_have_a_gate():
    gated = {kind for kind in KINDS if built(kind).gate is not None}
    assert gated & {"swiglu", "geglu", "geglu_tanh", "reglu", "glu"} == {kind for kind in gated if "," not in kind}


def test_dropout_falls_on_the_hidden_units():
    module = built("relu", dropout=0.5)
    torch.nn.init.eye_(module.output.weight)
    torch.nn.init.zeros_(module.output.bias)
    torch.nn.init.ones_(module.hidden.bias)
    torch.nn.init.zeros_(module.hidden.weight)
    x = torch.randn(40, 5, dtype=torch.float64)
    assert module.eval()(x).unique().tolist() == [1.0]
    assert module.train()(x).unique().tolist() == [0.0, 2.0]
