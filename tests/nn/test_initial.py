"""The first weights: the spread that each kind promises, and what starts at a value of its own."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from attncli.nn.attention import Attention
from attncli.nn.feedforward import Feedforward
from attncli.nn.layers import Branch
from attncli.nn.model import Model, build_model, token_fields
from attncli.spec.sizes import Sizes
from tests import catalogue
from tests.nn.models import run_of, tiny

BODY = (
    "d_model: 96, attention: {heads: 4, kv_heads: 2, score: general}, feedforward: {kind: swiglu, d_ff: 128}, "
    "bias: true, "
    "norm: layer_norm, encoder: {layers: 3}, decoder: {layers: 1}"
)
RECURRENT = (
    "d_hidden: 96, encoder: {kind: recurrent, direction: both, layers: 2}, decoder: {kind: recurrent, layers: 2, "
    "cross_attention: {score: {kind: additive, d_hidden: 80}}}"
)


def first(body: str, init: str, *, seed: int = 0, tie: str = "none") -> Model:
    torch.manual_seed(seed)
    run = run_of(tiny(f"{{{body}, tie_embeddings: {tie}, init: {init}}}"))
    return build_model(run, Sizes(dict.fromkeys(token_fields(run), 200)))


def matrices(model: Model) -> Iterator[tuple[str, Tensor, int, int, int]]:
    """Every drawn matrix with its inputs, its outputs, and the depth by which `by_depth` divides it (1 elsewhere)."""
    ends = {}
    for name, depth in (("encoder", 3), ("decoder", 1)):
        for module in model.stacks[name].modules():
            if isinstance(module, Branch) and isinstance(module.body, (Attention, Feedforward)):
                ends[module.body.output.weight] = 2 * depth
    for name, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if parameter.ndim < 2:
                continue
            outputs, inputs = parameter.shape[0], parameter.shape[1]
            if isinstance(module, nn.Embedding):
                outputs = inputs = parameter.shape[1]
            if parameter.ndim == 3 or name.endswith(
                "score"
            ):  # a head's own map: (heads inputs outputs), (heads inputs)
                inputs, outputs = parameter.shape[1], parameter.shape[2] if parameter.ndim == 3 else 1
            yield f"{name}.{own}", parameter.detach(), inputs, outputs, ends.get(parameter, 1)


def promised(init: str, inputs: int, outputs: int, depth: int) -> float:
    if init.startswith("xavier"):
        return 0.7 * (2 / (inputs + outputs)) ** 0.5
    if init.startswith("uniform"):
        return 0.2 / 3**0.5
    if init == "t5":
        return float(inputs**-0.5)
    spread = 1.5 * inputs**-0.5 if init.startswith("fan_in") else 0.05
    return spread if init.endswith("plain") else spread / depth**0.5


@pytest.mark.parametrize("body", [BODY, RECURRENT], ids=["transformer", "recurrent"])
@pytest.mark.parametrize("init", catalogue.INITS)
def test_matrices_have_the_spread_that_is_promised(init, body):
    names = []
    for name, weight, inputs, outputs, depth in matrices(first(body, catalogue.INITS[init])):
        expected = promised(init, inputs, outputs, depth)
        if init == "t5" and "attention" in name and name.endswith("query.weight"):
            expected *= 24**-0.5 if body is BODY else outputs**-0.5
        if init == "t5" and name.endswith("embedding.weight"):
            expected = 1.0
        sure = 5 / weight.numel() ** 0.5  # a drawn spread strays by about 1/sqrt(2 n) of itself
        assert weight.std().item() == pytest.approx(expected, rel=sure), name
        assert abs(weight.mean().item()) < sure * expected, name
        if init in ("uniform", "xavier_uniform"):
            assert weight.abs().max() <= expected * 3**0.5 * (1 + 1e-6), name
        else:
            assert weight.numel() < 500 or weight.abs().max() > 2.5 * expected, f"{name} is no normal draw"
        names.append(name)
    assert len(names) > 10


@pytest.mark.parametrize("body", [BODY, RECURRENT], ids=["transformer", "recurrent"])
def test_biases_start_at_zero_and_gains_at_one(body):
    for name, parameter in first(body, "fan_in").named_parameters():
        if parameter.ndim == 1:
            gain = name.endswith("norm.weight")
            assert (parameter == (1 if gain else 0)).all(), name


def test_t5_tables_start_without_a_preference():
    body = "d_model: 12, attention: {heads: 2, position: t5}, encoder: {layers: 2}, decoder: {layers: 1}"
    for init in catalogue.INITS.values():
        model = first(body, init)
        tables = [p for name, p in model.named_parameters() if "position.table" in name]
        assert len(tables) == 2
        assert all((table == 0).all() for table in tables)


def test_a_shared_matrix_is_drawn_once():
    """Drawn again as the output map its spread under fan_in would still be right, but the stream of draws would not."""
    tied, free = first(BODY, "{kind: normal, std: 0.05}", tie="all"), first(BODY, "{kind: normal, std: 0.05}")
    assert tied.head.output.weight is tied.encoder.input.embedding.weight
    assert torch.equal(tied.encoder.input.embedding.weight, free.encoder.input.embedding.weight)


def test_only_branches_are_divided_by_depth():
    """A pooling's output map ends no branch: nothing is added to a residual stream there."""
    torch.manual_seed(0)
    task = "{kind: classification, classes: 3, pooling: {kind: attention, heads: 2}}"
    run = run_of(tiny("{init: {kind: normal, std: 0.05}, encoder: {d_model: 96, layers: 8}}", task))
    model = build_model(run, Sizes({"text": 50}, 3))
    pool = model.head.pooling.attention.output.weight
    branch = model.encoder.layers[0].attention.body.output.weight
    assert pool.std().item() == pytest.approx(0.05, rel=0.05)
    assert branch.std().item() == pytest.approx(0.05 / 16**0.5, rel=0.05)
    assert model.head.pooling.queries.isfinite().all()


def test_the_draws_follow_the_seed_and_nothing_else():
    one, same, other = first(BODY, "fan_in", seed=3), first(BODY, "fan_in", seed=3), first(BODY, "fan_in", seed=4)
    for parameter, again, else_ in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(parameter, again)
        assert parameter.ndim == 1 or not torch.equal(parameter, else_)


@pytest.mark.parametrize("score", catalogue.SCORES.values(), ids=catalogue.SCORES.keys())
def test_no_parameter_keeps_what_the_memory_held(score, monkeypatch):
    """Parameters are made empty; one that nobody draws would be whatever was there."""
    real = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: real(*args, **kwargs).fill_(torch.nan))
    attention = f"attention: {{heads: 2, d_head: 6, score: {score}}}"
    body = f"d_model: 12, max_length: 32, {attention}, encoder: {{layers: 1}}, decoder: {{layers: 1}}"
    assert all(parameter.isfinite().all() for parameter in first(body, "fan_in").parameters())
    monkeypatch.undo()


def test_t5_begins_with_small_queries_and_wide_embeddings():
    found = dict(first(BODY.replace("score: general", "score: dot"), "t5").named_parameters())
    attention = "encoder.layers.0.attention.body"
    assert found["encoder.input.embedding.weight"].std().item() == pytest.approx(1, rel=0.03)
    for name, spread in {"query": (96 * 24) ** -0.5, "key": 96**-0.5, "value": 96**-0.5, "output": 96**-0.5}.items():
        assert found[f"{attention}.{name}.weight"].std().item() == pytest.approx(spread, rel=0.05), name
    assert found["encoder.layers.0.feedforward.body.output.weight"].std().item() == pytest.approx(128**-0.5, rel=0.03)
    assert found["decoder.layers.0.cross_attention.body.query.weight"].std().item() == pytest.approx(
        (96 * 24) ** -0.5, rel=0.05
    )
