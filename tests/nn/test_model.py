"""Laws of whole models, over every kind of the catalogue."""

import dataclasses

import pytest
import torch

from attncli.nn.model import build_model, token_fields
from attncli.spec.sizes import Sizes, sizes_of
from attncli.streams import IGNORE, stream
from tests import catalogue
from tests.nn.models import (
    SOURCES,
    TARGETS,
    batch,
    build,
    recurrent,
    run_of,
    tiny,
    transformer,
    writers,
)

WRITERS = writers()
every_writer = pytest.mark.parametrize("spec", WRITERS.values(), ids=WRITERS.keys())
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
MOVED = ("kind: sum", "kind: sigmoid", "kind: pointwise")
"""Normalizers that see a number added to every score of a row."""
PRODUCTS = ("scaled_dot", "dot", "biased_dot", "general", "trilinear")


@every_writer
def test_a_later_token_never_moves_an_earlier_output(spec):
    model, target = build(spec), TARGETS[1]
    changed = [[*target[:place], (target[place] + 1) % 19, *target[place + 1 :]] for place in range(len(target))]
    rows = [target, *changed]
    with torch.no_grad():
        logits = model({"source": stream([SOURCES[0]] * len(rows), pad=0), "target": stream(rows, pad=0)})
    for place in range(len(target)):
        before, after = logits[place + 1, :place], logits[place + 1, place:]
        torch.testing.assert_close(before, logits[0, :place], **CLOSE)
        assert (after[0] - logits[0, place]).abs().max() > 1e-6, "the token itself must count"


@every_writer
def test_rows_of_a_batch_know_nothing_of_each_other_nor_of_padding(spec):
    model = build(spec)
    with torch.no_grad():
        right, left = model(batch()), model(batch(left=True))
        for row, target in enumerate(TARGETS):
            alone = model(batch(row))[0]
            torch.testing.assert_close(right[row, : len(target)], alone, **CLOSE)
            torch.testing.assert_close(left[row, -len(target) :], alone, **CLOSE)


@every_writer
def test_the_loss_is_that_of_the_rows_alone(spec):
    model = build(spec)
    together = model.losses(batch())
    alone = [model.losses(batch(row)) for row in range(len(TARGETS))]
    for name in ("loss", "nll", "count", "correct"):
        if name == "loss" and "kind: indexer" in spec:
            continue  # what an indexer adds is a mean over the queries of a batch
        torch.testing.assert_close(getattr(together, name), sum(getattr(one, name) for one in alone), **CLOSE)
    assert together.count == sum(len(target) for target in TARGETS)


@every_writer
def test_evaluation_has_no_randomness_and_training_has(spec):
    model = build(spec)
    state = torch.get_rng_state()
    with torch.no_grad():
        one, other = model(batch()), model(batch())
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(one, other)
        model.train()
        assert not torch.allclose(model(batch()), model(batch()))


def cancels(name: str, spec: str) -> bool:
    """A term that is the same for every key of a row changes no weight under most normalizers: its gradient is 0."""
    if ".experts." in name:
        return True  # no token of the batch may have been sent there
    spec = spec.replace("score: sigmoid", "")  # of a router
    product = any(f"kind: {kind}" in spec or f"score: {kind}" in spec for kind in PRODUCTS)
    turned = "rotary" in spec and "cross" not in name and not ("dynamic_ntk" in spec and "decoder" in name)
    if "normalizer: queries" in spec and name.startswith("encoder"):
        return name.endswith("query.bias") and product and not turned  # there it is one number for every query of a key
    same_for_all_keys = name.endswith(("key.bias", "key_norm.norm.bias")) and product and not turned
    of_the_query = name.endswith("score.query") and ("biased_dot" in spec or "trilinear" in spec)
    return (same_for_all_keys or of_the_query) and not any(kind in spec for kind in MOVED)


@every_writer
def test_every_parameter_gets_a_gradient(spec):
    model = build(spec)
    losses = model.losses(batch())
    losses.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert cancels(name, spec) or parameter.grad.abs().max() > 1e-9, name


def test_gradients_of_a_batch_are_the_sum_over_its_rows():
    model = build(transformer(position=catalogue.POSITIONS["t5"]))
    model.losses(batch()).loss.backward()
    together = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    for row in range(len(TARGETS)):
        model.losses(batch(row)).loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, together[name], **CLOSE)


def test_without_positions_a_permuted_text_gives_permuted_states():
    spec = "{encoder: {d_model: 12, layers: 2, attention: {heads: 4, position: none}, feedforward: {d_ff: 10}}}"
    model = build(tiny(spec, "{kind: tagging, tags: 3}"))
    order = torch.tensor([2, 0, 3, 1])
    text = stream([[5, 6, 7, 8], [9, 5, 10, 4]], pad=0)
    with torch.no_grad():
        straight = model({"text": text})
        permuted = model({"text": dataclasses.replace(text, values=text.values[:, order])})
    torch.testing.assert_close(permuted, straight[:, order], **CLOSE)


@pytest.mark.parametrize("name", [name for name in catalogue.POSITIONS if name != "none"])
def test_with_positions_the_order_counts(name):
    mask = "causal" if name in catalogue.BACKWARD else "full"
    attention = f"{{heads: 2, d_head: 6, mask: {mask}, position: {catalogue.POSITIONS[name]}}}"
    spec = f"{{encoder: {{d_model: 12, max_length: 32, layers: 2, attention: {attention}, feedforward: {{d_ff: 10}}}}}}"
    model = build(tiny(spec, "{kind: tagging, tags: 3}"))
    with torch.no_grad():
        straight, other = model({"text": stream([[5, 6, 7]], pad=0)}), model({"text": stream([[5, 7, 6]], pad=0)})
    assert not torch.allclose(straight, other[:, [0, 2, 1]], atol=1e-4)


@pytest.mark.parametrize("spec", [transformer(), recurrent()], ids=["transformer", "recurrent"])
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_what_stands_in_padding_is_never_read(spec, left):
    model, given = build(spec), batch(left=left)
    other = {
        name: one if name == "labels" else dataclasses.replace(one, values=one.values.masked_fill(~one.real, 6))
        for name, one in given.items()
    }
    assert not torch.equal(other["source"].values, given["source"].values)
    torch.testing.assert_close(model.losses(other).loss, model.losses(given).loss, **CLOSE)


TIES = {
    "none": {"encoder.input.embedding.weight", "decoder.input.embedding.weight", "head.output.weight"},
    "inputs": {"encoder.input.embedding.weight", "head.output.weight"},
    "output": {"encoder.input.embedding.weight", "decoder.input.embedding.weight"},
    "all": {"encoder.input.embedding.weight"},
}


@pytest.mark.parametrize("tie", TIES)
def test_tied_embeddings_are_one_parameter_counted_once(tie):
    run = run_of(transformer(tie=tie))
    model = build_model(run, Sizes(dict.fromkeys(("source", "target"), 17)))
    places = {
        "encoder.input.embedding.weight": model.encoder.input.embedding.weight,
        "decoder.input.embedding.weight": model.decoder.input.embedding.weight,
        "head.output.weight": model.head.output.weight,
    }
    assert {name for name, _ in model.named_parameters()} & places.keys() == TIES[tie]
    assert len({parameter.data_ptr() for parameter in places.values()}) == len(TIES[tie])
    once = sum(parameter.numel() for parameter in model.parameters())
    rest = sum(p.numel() for name, p in model.named_parameters() if name not in places)
    assert once == rest + len(TIES[tie]) * 17 * 12
    loss = model.losses({name: dataclasses.replace(s, values=s.values % 17) for name, s in batch().items()}).loss
    loss.backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in places.values())


@pytest.mark.parametrize("spec", WRITERS.values(), ids=WRITERS.keys())
def test_weights_saved_by_name_give_the_same_model(spec):
    one, other = build(spec, seed=1), build(spec, seed=2)
    saved = {name: parameter.clone() for name, parameter in one.named_parameters()}
    saved |= {name: buffer.clone() for name, buffer in one.named_buffers() if name in one.state_dict()}
    with torch.no_grad():
        assert not torch.allclose(one(batch()), other(batch()))
        own = dict(other.named_parameters()) | dict(other.named_buffers())
        assert own.keys() == saved.keys()
        for name, value in saved.items():
            own[name].copy_(value)
        assert torch.equal(one(batch()), other(batch()))


@pytest.mark.parametrize("spec", WRITERS.values(), ids=WRITERS.keys())
def test_on_the_meta_device_names_and_shapes_are_the_same_and_nothing_is_allocated(spec):
    run = run_of(spec)
    sizes = sizes_of(run, token_fields(run))
    meta, real = build_model(run, sizes, "meta"), build_model(run, sizes, "cpu")
    shapes = {name: parameter.shape for name, parameter in meta.named_parameters()}
    assert shapes == {name: parameter.shape for name, parameter in real.named_parameters()}
    assert all(each.device.type == "meta" for each in (*meta.parameters(), *meta.buffers()))
    assert list(meta.attentions()) == list(real.attentions())


def test_addresses_name_every_attention():
    model = build(transformer())
    assert set(model.attentions()) == {
        *(f"encoder.{layer}.attention" for layer in range(2)),
        *(f"decoder.{layer}.{kind}" for layer in range(2) for kind in ("attention", "cross_attention")),
    }
    assert list(build(recurrent()).attentions()) == ["decoder.cross_attention"]


def test_a_branch_that_stands_twice_has_an_address_and_weights_for_each():
    model = build(tiny("{encoder: {d_model: 12, layers: 1, attention: {heads: 2}, feedforward: {d_ff: 10}, "
                       "order: [attention, feedforward, attention]}}", "{kind: tagging, tags: 3}"))  # fmt: skip
    assert list(model.attentions()) == ["encoder.0.attention", "encoder.0.attention.1"]
    names = {name for name, _ in model.named_parameters()}
    assert {"encoder.layers.0.attention.body.query.weight", "encoder.layers.0.attention__1.body.query.weight"} <= names


def test_parameters_have_the_names_that_files_promise():
    names = {name for name, _ in build(transformer()).named_parameters()}
    promised = (
        "encoder.layers.0.attention.body.query.weight",
        "decoder.layers.1.feedforward.norm.weight",
        "decoder.layers.1.cross_attention.body.output.bias",
        "head.output.weight",
    )
    assert names >= set(promised)


TABLES = {
    "t5": 2, "t5, layer": 4, "alibi, learned": 4, "alibi": 0, "kerple": 4, "kerple, power": 8, "sandwich": 0,
    "log_distance": 12, "shaw": 8, "shaw, keys": 2,
    "transformer_xl": 2 * (2 + 2), "transformer_xl, layer": 4 * 3, "disentangled": 2 * (1 + 2 * 2),
    "cope": 4, "forgetting": 8,
}  # fmt: skip
"""Parameters of two stacks of two layers; maps are always a layer's own."""


@pytest.mark.parametrize("position", TABLES)
def test_tables_are_shared_where_the_spec_says_so(position):
    mask = "causal" if position in catalogue.BACKWARD else "full"
    model = build(transformer(position=catalogue.POSITIONS[position], mask=mask))
    own = [name for name, _ in model.named_parameters() if ".position." in name]
    assert len(own) == TABLES[position]


def test_positions_count_on_from_zero_in_every_row_of_a_left_padded_text():
    model = build(transformer(absolute="learned"))
    table = model.decoder.input.position.table.weight
    model.losses(batch(left=True)).loss.backward()
    longest = max(map(len, TARGETS))
    assert (table.grad[:longest].abs().amax(1) > 0).all()
    assert (table.grad[longest:] == 0).all()


def test_ignored_places_give_no_loss_and_no_gradient():
    model, given = build(transformer()), batch()
    labels = given["labels"]
    hidden = dataclasses.replace(labels, values=labels.values.index_fill(1, torch.tensor([0]), IGNORE))
    losses = model.losses(given | {"labels": hidden})
    assert losses.count == sum(len(target) - 1 for target in TARGETS)
    whole = model.losses(given)
    assert losses.nll < whole.nll


def test_bf16_autocast_is_as_near_as_the_plain_formula():
    """Twice the error that the same model makes when each of its layers is simply cast to bf16."""
    for spec in (transformer(position="rotary"), transformer(kernel="reference"), recurrent()):
        exact, single, half = build(spec), build(spec, dtype=torch.float32), build(spec, dtype=torch.bfloat16)
        with torch.no_grad():
            truth = exact(batch())
            with torch.autocast("cpu", dtype=torch.bfloat16):
                mixed = single(batch())
            plain = half(batch())
        real = batch()["target"].real
        error, allowed = (mixed.double() - truth)[real].abs().max(), (plain.double() - truth)[real].abs().max()
        assert 0 < error <= 2 * allowed, (error, allowed)


def test_spans_cost_their_mean_for_each_predicted_place_and_settle_within_their_bounds():
    model = build(transformer(steps="{span: {kind: adaptive, maximum: 20, ramp: 4, loss: 0.5}}"))
    losses = model.losses(batch())
    plain = model.head.losses(model.states(batch()), batch()["labels"])
    spans = {name: each.weighing.reach for name, each in model.attentions().items() if each.weighing.reach is not None}
    assert set(spans) == {f"{stack}.{layer}.attention" for stack in ("encoder", "decoder") for layer in (0, 1)}
    costs = {name: 0.5 * 20 * span.share.mean() * losses.count for name, span in spans.items()}
    assert losses.costs.keys() == costs.keys()
    for name, cost in costs.items():
        torch.testing.assert_close(losses.costs[name], cost.detach(), **CLOSE)
    torch.testing.assert_close(losses.loss, plain.loss + sum(costs.values()), **CLOSE)
    assert losses.nll == plain.nll
    model.settle({})
    assert all(((span.share >= 0) & (span.share <= 1)).all() for span in spans.values())
    assert any((span.share == 0).any() for span in spans.values())
