"""The residual stream: where norms and dropout stand, and the order of branches."""

import pytest
import torch
from torch import Tensor, nn

from attncli.nn.attention import Attention
from attncli.nn.stacks import Branch, Transformer
from attncli.nn.view import view_of_self
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import SOURCES, TARGETS, batch, build, tiny, transformer

TEXT = stream([[5, 6, 7, 8], [9, 10, 4]], pad=0)
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


PARTS = {"attention": "attention: {heads: 2, position: none}", "feedforward": "feedforward: {kind: relu, d_ff: 10}"}


def stack(
    layers: str, *, norm: str = "layer_norm", place: str = "pre", order: tuple[str, ...] = ("attention", "feedforward")
) -> Transformer:
    parts = ", ".join(text for name, text in PARTS.items() if name in order)
    text = (
        f"{{encoder: {{d_model: 12, dropout: 0, bias: true, norm: {norm}, norm_place: {place}, layers: {layers}, "
        f"order: [{', '.join(order)}], {parts}}}}}"
    )
    return build(tiny(text, "{kind: tagging, tags: 3}")).encoder


def by_hand(module: Transformer, place: str, order: tuple[str, ...]) -> Tensor:
    """The stack's states from its bodies and norms, joined as the docstrings have it."""
    x, view = module.input.embedding(TEXT.values), view_of_self(TEXT)
    for layer in module.layers:
        for name in order:
            branch = getattr(layer, name)
            entered = branch.norm(x) if place == "pre" else x
            y = branch.body(entered, entered, view) if isinstance(branch.body, Attention) else branch.body(entered)
            x = x + y if place == "pre" else branch.norm(x + y)
    return module.final_norm(x)


@pytest.mark.parametrize("place", ["pre", "post"])
@pytest.mark.parametrize("norm", catalogue.NORMS.values(), ids=catalogue.NORMS.keys())
@pytest.mark.parametrize(
    "order", [("attention", "feedforward"), ("feedforward", "attention"), ("attention",), ("feedforward",)], ids=str
)
@torch.no_grad()
def test_layers_are_branches_on_one_stream(norm, place, order):
    module = stack("2", norm=norm, place=place, order=order)
    assert isinstance(module.final_norm, nn.Identity) == (place == "post" or norm == "none")
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
    real = nn.functional.dropout

    def seen(x, p=0.5, training=True, inplace=False):
        if training:
            dropped.append(tuple(x.shape))
            assert p == 0.5
        return real(x, p, training)

    monkeypatch.setattr(nn.functional, "dropout", seen)
    still = model({"text": TEXT})
    assert dropped == []
    moved = model.train()({"text": TEXT})
    assert dropped == [SHAPES[place]] * {"input": 1, "stack": 6}.get(place, 3)
    assert not torch.allclose(moved, still)


@torch.no_grad()
def test_dropout_of_a_branch_falls_on_its_output_and_not_on_the_stream():
    branch = Branch(nn.Identity(), norm=nn.Identity(), place="pre", dropout=0.5).train()
    x, y = torch.full((1, 4, 3), 10.0), torch.ones(1, 4, 3)
    assert branch.leave(x, y).unique().tolist() == [10.0, 12.0]
    assert branch.eval().leave(x, y).unique().tolist() == [11.0]


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
