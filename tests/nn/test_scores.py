"""What each score reads and starts from; test_attention holds the formulas against the reference."""

import math

import pytest
import torch

from attncli.maps.check import take
from attncli.nn.attention import Attention
from attncli.nn.initial import initialise
from attncli.nn.kernels.plan import Size, plan
from attncli.nn.scores import Cosine, Distance, Location, Pair, Product, ScaledDot, Score
from attncli.nn.view import Record, view_of_self
from attncli.spec.model import FanIn
from attncli.streams import stream
from tests import catalogue
from tests.nn.oracle import attention

every_score = pytest.mark.parametrize("kind", catalogue.SCORES.values(), ids=catalogue.SCORES.keys())


def pair(score: Score, *, seed: int = 0) -> Pair:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    places = torch.randperm(9, generator=generator)
    return Pair(
        query=draw(2, 4, 3, 6),
        key=score.read(draw(2, 4, 5, 6)),
        value=draw(2, 4, 5, 7),
        query_positions=places[None, :3],
        key_positions=places[None, 3:8],
        lengths=torch.tensor([5, 4 - seed]),
        previous=draw(2, 4, 5),
    )


@every_score
def test_a_score_reads_what_it_says_and_nothing_else(kind):
    score = attention(score=kind).score
    one, other = pair(score, seed=0), pair(score, seed=1)
    logits = score(one)
    assert logits.shape == (2, 4, 3, 5)
    for name in Pair._fields:
        changed = score(one._replace(**{name: getattr(other, name)}))
        assert torch.equal(changed, logits) == (name not in score.reads), name


@every_score
def test_gradients_of_scores(kind):
    score = attention(score=kind).score
    given = pair(score)
    inputs = [each.requires_grad_() for each in (given.query, given.key.detach(), given.value)]
    parameters = tuple(score.parameters())

    def logits(query, key, value, *_):
        return score(given._replace(query=query, key=key, value=value))

    assert torch.autograd.gradcheck(logits, (*inputs, *parameters))


@every_score
def test_a_score_keeps_the_dtype_of_its_query(kind):
    score = attention(score=kind, dtype=torch.float32).score
    one = pair(score)
    half = Pair(*(each.bfloat16() if each.is_floating_point() else each for each in one))
    assert score(half).dtype == torch.bfloat16


def test_products_are_the_scores_that_a_fused_kernel_may_serve():
    fused = {name for name, kind in catalogue.SCORES.items() if isinstance(attention(score=kind).score, Product)}
    assert fused == {
        "scaled_dot",
        "scaled_dot, learned",
        "dot",
        "cosine",
        "cosine, fixed",
        "general",
        "trilinear",
        "distance",
    }


def test_a_learned_scale_starts_at_one_over_the_root_of_the_width():
    module = ScaledDot(heads=3, start=6**-0.5)
    assert module.factor.tolist() == pytest.approx([6**-0.5] * 3)


def test_a_learned_temperature_starts_at_ten_and_stops_at_a_hundred():
    module = Cosine(heads=2, temperature=None)
    query = key = torch.ones(1, 2, 1, 3)
    one = Pair(query, module.read(key), key, torch.zeros(1, 1), torch.zeros(1, 1))
    torch.testing.assert_close(module(one), torch.full((1, 2, 1, 1), 10.0))
    torch.nn.init.constant_(module.log_temperature, math.log(1e6))
    torch.testing.assert_close(module(one), torch.full((1, 2, 1, 1), 100.0), rtol=1e-5, atol=0)


def test_cosine_bounds_the_scores_of_any_size():
    module = Cosine(heads=4, temperature=5.0)
    one = pair(module)
    large = module(one._replace(query=one.query * 1e6))
    assert large.abs().max() <= 5 + 1e-9
    torch.testing.assert_close(large, module(one))


def test_a_location_beyond_its_table_is_an_error_and_not_a_wrong_score():
    module = Location(heads=4, d_query=6, max_length=4).double()
    torch.nn.init.normal_(module.weight)
    one = pair(module)
    with pytest.raises(RuntimeError, match="out of bounds"):
        module(one._replace(key_positions=torch.tensor([[0, 1, 2, 3, 4]])))


@every_score
def test_no_score_is_left_undrawn(kind):
    """Parameters are made empty; what `initialise` forgets would keep what the memory held."""
    module: Attention = attention(score=kind)
    with torch.no_grad():
        for name, parameter in module.score.named_parameters():
            if name not in ("factor", "log_temperature"):  # these start at a value of their own
                parameter.fill_(torch.nan)
        initialise(module, FanIn(), depths={})
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_synthesizer_starts_without_a_bias():
    module: Attention = attention(score=catalogue.SCORES["synthesizer"])
    initialise(module, FanIn(), depths={})
    assert (module.score.bias == 0).all()
    assert (module.score.weight != 0).any()


@pytest.mark.parametrize("name", ["trilinear", "distance"])
@pytest.mark.parametrize("mask", ["full", "causal", "k < q", "window(around=1)"])
@pytest.mark.parametrize("steps", ["{}", "{sink: learned}"])
def test_products_of_wider_vectors_are_served_by_the_fused_kernel(name, mask, steps):
    """And by the banded one, which rows as short as these do not take by themselves."""
    tokens = stream([[1] * 5, [1] * 3], pad=0)
    x, found = torch.randn(2, 5, 12, dtype=torch.float64), []
    for kernel in ("auto", "reference", *(["banded"] if mask.startswith("window") else [])):
        heads = "{heads: 4, kv_heads: 2, d_head: 6}"
        module = attention(score=name, mask=mask, kernel=kernel, heads=heads, steps=steps).train()
        size, expected = Size(2, 5, 5, near=True), "fused" if kernel == "auto" else kernel
        assert plan(module.traits, device="cpu", dtype="float64", phase="train", size=size).kernel == expected
        own = x.clone().requires_grad_()
        output = module(own, own, view_of_self(tokens))[tokens.real]
        output.square().sum().backward()
        found.append((output, own.grad, *(parameter.grad for parameter in module.parameters())))
        records: list[Record] = []
        with torch.no_grad():
            module.eval()(x, x, view_of_self(tokens, records.append))
        assert (records[0].kernel, records[0].output.shape) == (expected, (2, 4, 5, 6))
        taken = take(records[0])
        real = taken.query_real[:, None].expand(2, 4, 5)
        assert (taken.measures.output_error <= taken.output_tolerance[:, None, None])[real].all()
        assert (taken.measures.row_error <= taken.row_tolerance[:, None, None])[real].all()
    for made in found[1:]:
        for one, other in zip(found[0], made, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_distance_is_zero_at_the_query_itself_and_negative_elsewhere():
    module = Distance(d_head=6)
    one = pair(module)
    own = one._replace(key=module.read(one.query))
    logits = module(own)
    assert logits.diagonal(dim1=2, dim2=3).abs().max() < 1e-12
    assert (logits < 1e-12).all()
