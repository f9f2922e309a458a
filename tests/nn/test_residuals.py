"""How branches join the stream, against the reference, and DeepNorm's constants against its paper."""

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from attncli.nn.model import build_model, token_fields
from attncli.nn.residuals import build_residual
from attncli.reference.residuals import joined
from attncli.spec.residuals import Residual, deepnorm
from attncli.spec.sizes import sizes_of
from tests import catalogue
from tests.nn.models import read, run_of, shake, tiny


@pytest.mark.parametrize("kind", catalogue.RESIDUALS.values(), ids=catalogue.RESIDUALS.keys())
def test_every_kind_is_that_of_the_reference(kind):
    given = TypeAdapter(Residual).validate_python(read(kind))
    module = build_residual(given, width=5, alpha=1.7 if given.kind == "deepnorm" else 1.0).double()
    shake(module)
    options = {"by": getattr(given, "by", 1.0), "alpha": 1.7 if given.kind == "deepnorm" else 1.0}
    if given.kind in ("rezero", "layer_scale", "gated"):
        options["gain"] = module.weight.tolist()
    for x, f in torch.randn(6, 2, 5, dtype=torch.float64):
        expected = joined(x.tolist(), f.tolist(), given.kind, **options)
        assert module(x, f).tolist() == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize(("kind", "start"), [("rezero", 0.0), ("layer_scale", 1e-5), ("gated", 0.0)])
def test_learned_ones_start_where_they_say(kind, start):
    run = run_of(tiny(f"{{encoder: {{d_model: 12, layers: 2, residual: {kind}}}}}", "{kind: tagging, tags: 3}"))
    model = build_model(run, sizes_of(run, token_fields(run)))
    starts = [branch.residual.weight for layer in model.encoder.layers for _, branch in layer.branches()]
    assert len(starts) == 4
    assert all((weight == torch.tensor(start)).all() for weight in starts)
    assert all(weight.shape == ((12,) if kind == "layer_scale" else ()) for weight in starts)


def test_the_constants_of_deepnorm_are_those_of_its_figure_2():
    assert deepnorm(8, read_by=None, reads=False) == pytest.approx((2, 64**-0.25))
    assert deepnorm(27, read_by=None, reads=True) == pytest.approx((3, 324**-0.25))
    alpha, beta = deepnorm(16, read_by=4096, reads=False)
    assert (alpha, beta) == pytest.approx((0.81 * 2**1.75, 0.87 / 2**1.75))


@pytest.mark.parametrize("init", ["fan_in", "{kind: normal, std: 0.05}", "xavier_uniform"])
def test_deepnorm_draws_the_maps_that_its_proof_names_smaller_by_beta(init):
    torch.manual_seed(0)
    body = (
        f"{{init: {init}, d_model: 96, norm_place: post, residual: deepnorm, attention: {{heads: 4}}, "
        "norm: layer_norm, encoder: {layers: 5}, decoder: {layers: 3}}"
    )
    run = run_of(tiny(body))
    model = build_model(run, sizes_of(run, token_fields(run)))
    betas = {"encoder": deepnorm(5, read_by=3, reads=False)[1], "decoder": deepnorm(3, read_by=None, reads=True)[1]}
    small = ("value", "output", "hidden", "gate")
    for stack, beta in betas.items():
        modules = model.stacks[stack].layers.named_modules()
        maps = [(name.rpartition(".")[2], each.weight) for name, each in modules if isinstance(each, nn.Linear)]
        assert len(maps) == {"encoder": 5 * 7, "decoder": 3 * 11}[stack]
        for name, weight in maps:
            spreads = {"fan_in": weight.shape[1] ** -0.5, "xavier_uniform": (2 / sum(weight.shape)) ** 0.5}
            expected = spreads.get(init, 0.05) * (beta if name in small else 1)
            assert weight.std().item() == pytest.approx(expected, rel=0.06), name
