"""The residual stream: where norms and dropout stand, and the order of branches."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from attncli.nn import dropout
from attncli.nn.attention import Attention
from attncli.nn.layers import Branch
from attncli.nn.model import build_model
from attncli.nn.residuals import build_residual
from attncli.nn.stacks import Transformer
from attncli.nn.view import View, view_of_self
from attncli.spec.residuals import Add
from attncli.spec.sizes import Sizes
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import SOURCES, TARGETS, batch, between, build, run_of, tiny, transformer

TEXT = stream([[5, 6, 7, 8], [9, 10, 4]], pad=0)
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


PARTS = {"attention": "attention: {heads: 2, position: none}", "feedforward": "feedforward: {kind: relu, d_ff: 10}"}


def stack(
    layers: str, *, norm: str = "layer_norm", place: str = "pre", order: tuple[str, ...] = ("attention", "feedforward"),
    residual: str = "add",
) -> Transformer:  # fmt: skip
    parts = ", ".join(text for name, text in PARTS.items() if name in order)
    text = (
        f"{{encoder: {{d_model: 12, dropout: 0, bias: true, norm: {norm}, norm_place: {place}, layers: {layers}, "
        f"residual: {residual}, "
        f"order: [{', '.join(order)}], {parts}}}}}"
    )
    return build(tiny(text, "{kind: tagging, tags: 3}")).encoder


def by_hand(module: Transformer, place: str, order: tuple[str, ...]) -> Tensor:
    """The stack's states from its bodies and norms, joined as the docstrings have it."""
    x, view = module.input.embedding(TEXT.values), view_of_self(TEXT)
    for layer in module.layers:
        for name in order:
            branch = getattr(layer, name)
            f, n = partial(ran, branch.body, view), branch.norm
            match place:
                case "pre":
                    x = x + f(n(x))
                case "post":
                    x = n(x + f(x))
                case "sandwich":
                    x = x + branch.norm_after(f(n(x)))
                case "output":
                    x = x + n(f(x))
                case _:
                    x = x + f(x)
    return module.final_norm(x)


def ran(body: nn.Module, view: View, x: Tensor) -> Tensor:
    return body(x, x, view) if isinstance(body, Attention) else body(x)


@pytest.mark.parametrize("place", catalogue.PLACES)
@pytest.mark.parametrize("norm", catalogue.NORMS.values(), ids=catalogue.NORMS.keys())
@pytest.mark.parametrize(
    "order", [("attention", "feedforward"), ("feedforward", "attention"), ("attention",), ("feedforward",)], ids=str
)
@torch.no_grad()
def test_layers_are_branches_on_one_stream(norm, place, order):
    module = stack("2", norm="none" if place == "none" else norm, place=place, order=order)
    assert isinstance(module.final_norm, nn.Identity) == (place in ("post", "none") or norm == "none")
    torch.testing.assert_close(module(TEXT, {}).values, by_hand(module, place, order), **CLOSE)


@torch.no_grad()
def test_a_branch_named_twice_runs_twice_with_weights_of_its_own():
    module = stack("1", order=("feedforward", "attention", "feedforward"))
    names = ("feedforward", "attention", "feedforward__1")
    assert module.layers[0].order == names
    torch.testing.assert_close(module(TEXT, {}).values, by_hand(module, "pre", names), **CLOSE)
    assert not torch.equal(
        module.layers[0].feedforward.body.hidden.weight, module.layers[0].feedforward__1.body.hidden.weight
    )


def test_repeated_layers_have_weights_of_their_own_and_named_ones_their_own_kinds():
    module = stack("[{repeat: 2}, {feedforward: {kind: swiglu, d_ff: 8}, attention: {heads: 3, d_head: 4}}]")
    assert len(module.layers) == 3
    first, second, third = (layer.feedforward.body for layer in module.layers)
    assert first.hidden.weight.data_ptr() != second.hidden.weight.data_ptr()
    assert (first.gate is None, third.gate is None) == (True, False)
    assert [layer.attention.body.heads for layer in module.layers] == [2, 2, 3]


@torch.no_grad()
def test_cross_attention_reads_the_other_stack_and_only_that():
    model = build(transformer())
    given = batch(0)
    states = model.encoder(given["source"], {})
    seen: list[Tensor] = []
    for layer in model.decoder.layers:
        read = layer.cross_attention.body.read
        layer.cross_attention.body.read = lambda memory, view, read=read: seen.append(memory) or read(memory, view)
    model.decoder(given["target"], {"encoder": states})
    assert len(seen) == 2
    assert all(memory is states.values for memory in seen)


def test_a_memory_of_another_width_is_mapped_by_keys_and_values():
    spec = (
        "{tie_embeddings: none, encoder: {d_model: 10, attention: {heads: 1}, layers: 1}, "
        "decoder: {d_model: 12, attention: {heads: 2}, layers: 1}}"
    )
    cross = build(tiny(spec)).decoder.layers[0].cross_attention.body
    assert cross.key.weight.shape == (12, 10)
    assert cross.value.weight.shape == (12, 10)
    assert cross.query.weight.shape == (12, 12)


SHAPES = {"attention": (2, 2, 4, 4), "feedforward": (2, 4, 10), "input": (2, 4, 12), "stack": (2, 4, 12)}


def dropouts(place: str) -> str:
    """The keys of a stack that drops half at one place, and nothing elsewhere."""
    rate = dict.fromkeys(SHAPES, 0.0) | {place: 0.5}
    return (
        f"attention: {{heads: 2, dropout: {rate['attention']}}}, "
        f"feedforward: {{d_ff: 10, dropout: {rate['feedforward']}}}, input: {{dropout: {rate['input']}}}, "
        f"dropout: {rate['stack']}"
    )


@pytest.mark.parametrize("place", SHAPES)
@torch.no_grad()
def test_each_dropout_falls_where_it_belongs_and_nowhere_else(place, monkeypatch):
    model = build(tiny(f"{{encoder: {{d_model: 12, layers: 3, {dropouts(place)}}}}}", "{kind: tagging, tags: 3}"))
    dropped: list[tuple[int, ...]] = []
    real = dropout._mask

    def seen(x, fallen, generator):
        dropped.append(tuple(x.shape))
        assert fallen == dropout.LEVELS / 2
        return real(x, fallen, generator)

    monkeypatch.setattr(dropout, "_mask", seen)
    still = model({"text": TEXT})
    assert dropped == []
    moved = model.train()({"text": TEXT})
    assert dropped == [SHAPES[place]] * {"input": 1, "stack": 6}.get(place, 3)
    assert not torch.allclose(moved, still)


@torch.no_grad()
def test_dropout_of_a_branch_falls_on_its_output_and_not_on_the_stream():
    branch = plain(dropout=0.5)
    x, y = torch.full((1, 4, 3), 10.0), torch.ones(1, 4, 3)
    assert branch.join(x, y).unique().tolist() == [10.0, 12.0]
    assert branch.eval().join(x, y).unique().tolist() == [11.0]


def plain(*, dropout: float = 0.0, skip: float = 0.0) -> Branch:
    residual = build_residual(Add(), width=3, alpha=1.0)
    return Branch(
        nn.Identity(), norm=nn.Identity(), norm_after=None, place="pre", residual=residual, dropout=dropout, skip=skip,
        shares=False, beta=None,
    ).train()  # fmt: skip


@torch.no_grad()
def test_stochastic_depth_skips_whole_rows_and_scales_the_others():
    branch = plain(skip=0.75)
    x, y = torch.full((4000, 2, 3), 10.0), torch.ones(4000, 2, 3)
    joined = branch.join(x, y)
    assert (joined == joined[:, :1, :1]).all(), "a row is skipped as a whole"
    assert joined.unique().tolist() == [10.0, 14.0]
    assert (joined == 14).double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert branch.eval().join(x, y).unique().tolist() == [11.0]


def test_stochastic_depth_grows_to_its_rate_in_the_last_layer():
    spec = "{encoder: {d_model: 12, layers: 4, stochastic_depth: 0.2, attention: {heads: 2}}}"
    layers = build(tiny(spec, "{kind: tagging, tags: 3}")).encoder.layers
    assert [layer.attention.skip for layer in layers] == pytest.approx([0.05, 0.1, 0.15, 0.2])


@torch.no_grad()
def test_branches_side_by_side_have_one_input_one_norm_and_one_sum():
    """GPT-J: x + attention(norm(x)) + feedforward(norm(x)). Pythia: a norm for each."""
    for order, norms in (("[[attention, feedforward]]", 1), ("[[attention, {feedforward: {d_ff: 10}}]]", 2)):
        spec = f"{{encoder: {{d_model: 12, layers: 1, order: {order}, attention: {{heads: 2, position: none}}}}}}"
        module = build(tiny(spec, "{kind: tagging, tags: 3}")).encoder
        layer, x, view = module.layers[0], module.input.embedding(TEXT.values), view_of_self(TEXT)
        n, m = layer.attention.norm, layer.feedforward.norm
        assert isinstance(m, nn.Identity) == (norms == 1)
        expected = x + ran(layer.attention.body, view, n(x)) + layer.feedforward.body(n(x) if norms == 1 else m(x))
        torch.testing.assert_close(module(TEXT, {}).values, module.final_norm(expected), **CLOSE)


@torch.no_grad()
def test_deepnorm_side_by_side_weighs_the_stream_once():
    spec = ("{encoder: {d_model: 12, layers: 8, order: [[attention, feedforward]], norm_place: post, "
            "residual: deepnorm, attention: {heads: 2, position: none}}}")  # fmt: skip
    module = build(tiny(spec, "{kind: tagging, tags: 3}")).encoder
    x, view = module.input.embedding(TEXT.values), view_of_self(TEXT)
    for layer in module.layers:
        f = ran(layer.attention.body, view, x) + layer.feedforward.body(x)
        x = layer.attention.norm(2 * x + f)  # (2 * 8) ** (1 / 4)
    torch.testing.assert_close(module(TEXT, {}).values, x, **CLOSE)


@torch.no_grad()
def test_a_norm_of_the_stream_stands_where_order_names_it_and_takes_the_place_of_the_last():
    order = "[feedforward, {norm: {kind: rms_norm, gain: one_plus}}, {feedforward: {kind: silu}}, norm]"
    spec = (
        "{encoder: {d_model: 12, layers: 2, norm: layer_norm, feedforward: {kind: relu, d_ff: 10}, "
        f"order: {order}}}}}"
    )
    module = build(tiny(spec, "{kind: tagging, tags: 3}")).encoder
    assert isinstance(module.final_norm, nn.Identity)
    x = module.input.embedding(TEXT.values)
    for layer in module.layers:
        one, other = layer.feedforward, layer.feedforward__1
        assert (one.body.activation, other.body.activation) == (nn.functional.relu, nn.functional.silu)
        x = x + one.body(one.norm(x))
        x = layer.norm(x)
        x = x + other.body(other.norm(x))
        x = layer.norm__1(x)
    torch.testing.assert_close(module(TEXT, {}).values, x, **CLOSE)


SHARED = {
    "all": ({"attention", "feedforward"}, "[{repeat: 3, share: all}]", [0, 0, 0]),
    "attention": ({"attention"}, "[{repeat: 3, share: attention}]", [0, 0, 0]),
    "feedforward": ({"feedforward"}, "[{}, {repeat: 2, share: feedforward}]", [0, 1, 1]),
    "a group": ({"attention", "feedforward"}, "[{repeat: 2, share: all, layers: [{}, {dropout: 0.2}]}]", [0, 1, 0, 1]),
    "pairs": ({"attention", "feedforward"}, "[{repeat: 2, layers: [{repeat: 2, share: all}]}]", [0, 0, 2, 2]),
    "a loop": ({"feedforward"}, "[{}, {repeat: 2, share: feedforward, layers: [{repeat: 2}]}]", [0, 1, 2, 1, 2]),
}


@pytest.mark.parametrize(("names", "layers", "owners"), SHARED.values(), ids=SHARED.keys())
def test_layers_share_what_the_spec_says_and_nothing_else(names, layers, owners):
    module = stack(layers)
    assert len(module.layers) == len(owners)
    for index, (layer, owner) in enumerate(zip(module.layers, owners, strict=True)):
        for name in ("attention", "feedforward"):
            own, other = getattr(layer, name), getattr(module.layers[owner], name)
            shared = [a is b for a, b in zip(own.parameters(), other.parameters(), strict=True)]
            assert len(shared) > 4
            assert set(shared) == {index == owner or name in names}
        assert layer.attention.body.address == f"encoder.{index}.attention"


def test_the_gradient_of_a_shared_weight_is_the_sum_over_its_visits():
    module, free = stack("[{repeat: 3, share: all}]"), stack("3")
    for layer in free.layers:
        layer.load_state_dict(module.layers[0].state_dict())
    free.input.load_state_dict(module.input.state_dict())
    free.final_norm.load_state_dict(module.final_norm.state_dict())
    for each in (module, free):
        each(TEXT, {}).values.square().sum().backward()
    for name, shared in module.layers[0].named_parameters():
        total = sum(dict(layer.named_parameters())[name].grad for layer in free.layers)
        torch.testing.assert_close(shared.grad, total, **CLOSE)


@torch.no_grad()
def test_the_mean_over_dropout_is_the_layer_without_it():
    model = build(tiny("{encoder: {d_model: 12, layers: 1, order: [feedforward], norm: none, dropout: 0.3, "
                       "input: {dropout: 0}, feedforward: {kind: relu, d_ff: 10, dropout: 0.3}}}",
                       "{kind: tagging, tags: 3}"))  # fmt: skip
    still = model({"text": TEXT})
    many = torch.stack([model.train()({"text": TEXT}) for _ in range(1500)])
    error, spread = (many.mean(0) - still).abs(), many.std(0) / len(many) ** 0.5
    assert (error < 5 * spread)[TEXT.real].all()


def test_the_masks_of_a_pass_are_made_once_for_all_layers(monkeypatch):
    from attncli.nn.view import View

    made: list[str] = []
    real = View._allowed
    monkeypatch.setattr(View, "_allowed", lambda self, mask, heads: made.append(mask.text) or real(self, mask, heads))
    model = build(transformer(mask="causal & window(before=2)", layers=3))
    model(batch(0, 2))
    assert made == ["causal & window(before=2)"] * 2, "one for the encoder, one for the decoder"


def test_sources_and_targets_may_have_any_lengths():
    model = build(transformer())
    logits = model({"source": stream([SOURCES[0] * 3], pad=0), "target": stream([TARGETS[2]], pad=0)})
    assert logits.shape == (1, len(TARGETS[2]), 19)


def test_readers_of_a_name_attend_to_the_very_keys_and_values_of_the_nearest_earlier_layer():
    model, records = build(between("kv_from, groups")), {}
    with torch.no_grad():
        model(batch(), lambda record: records.setdefault(record.address, record))
    for reader, lender, other in ((1, 0, 2), (3, 2, 0)):
        own, lent, wrong = (records[f"decoder.{layer}.attention"] for layer in (reader, lender, other))
        assert torch.equal(own.key[:, :, 2:], lent.key)  # behind its own two persistent ones
        assert torch.equal(own.value[:, :, 2:], lent.value)
        assert not torch.allclose(lent.key, wrong.key)
        assert {name.split(".")[0] for name, _ in own.attention.named_parameters()} == {"query", "output", "persistent"}


def test_values_are_mixed_with_those_of_the_first_layer():
    model, records, entered = build(between("value_residual")), {}, {}
    layers = list(model.decoder.each_layer())
    for index, layer in enumerate(layers):
        layer.attention.norm.register_forward_hook(lambda module, args, out, i=index: entered.setdefault(i, out))
    with torch.no_grad():
        model(batch(), lambda record: records.setdefault(record.address, record))
        first = records["decoder.0.attention"].value
        for index, layer in enumerate(layers):
            body, value = layer.attention.body, records[f"decoder.{index}.attention"].value
            own = body.value(entered[index]).unflatten(2, (2, 6)).transpose(1, 2)
            if index:
                mix = body.value_residual.mix
                own = mix[0] * own + mix[1] * first
            torch.testing.assert_close(value, own)
    assert layers[0].attention.body.value_residual is None


def test_mixed_values_start_as_the_mean_of_both():
    model = build_model(run_of(between("value_residual")), Sizes({"source": 17, "target": 17}))
    assert model.decoder.layers[1].attention.body.value_residual.mix.tolist() == [0.5, 0.5]
