"""Losses and heads against the reference, and pooling that no padding can move."""

from math import tanh

import pytest
import torch
from torch import Tensor, nn

from attncli.errors import SpecError
from attncli.nn.model import Model
from attncli.nn.outputs import cross_entropy
from attncli.nn.states import States
from attncli.nn.tasks import AttentionPool, Pool
from attncli.reference import feedforward, losses, norms
from attncli.reference.vectors import affine
from attncli.streams import IGNORE, Stream, stream
from tests import catalogue
from tests.nn.models import build, run_of, tiny
from tests.nn.oracle import outputs

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
ENCODER = (
    "{tie_embeddings: none, "
    "encoder: {d_model: 12, layers: 1, max_length: 32, attention: {heads: 2}, feedforward: {d_ff: 10}}}"
)
TEXTS = [[5, 6, 7, 8], [9, 10], [11, 4, 12]]


def states(values: Tensor, tokens: Stream) -> States:
    return States(values, tokens)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_loss_is_that_of_the_reference(smoothing):
    logits = torch.randn(6, 5, dtype=torch.float64)
    labels = torch.tensor([0, 4, IGNORE, 2, 2, IGNORE])
    found = cross_entropy(logits, labels, smoothing=smoothing)
    real = [(row.tolist(), int(label)) for row, label in zip(logits, labels, strict=True) if label != IGNORE]
    smooth = sum(losses.cross_entropy(row, label, label_smoothing=smoothing) for row, label in real)
    plain = sum(losses.cross_entropy(row, label) for row, label in real)
    assert found.loss.item() == pytest.approx(smooth, rel=1e-12)
    assert found.nll.item() == pytest.approx(plain, rel=1e-12)
    assert found.count == 4
    assert found.correct == sum(max(range(5), key=row.__getitem__) == label for row, label in real)


def test_the_gradient_of_the_loss():
    labels = torch.tensor([0, 4, IGNORE, 2])
    logits = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels, smoothing=0.1).loss, logits)
    cross_entropy(logits, labels, smoothing=0.1).loss.backward()
    assert (logits.grad[2] == 0).all()


def test_the_loss_of_half_precision_logits_is_taken_in_float32():
    logits = torch.randn(9, 50).bfloat16()
    found = cross_entropy(logits, torch.arange(9), smoothing=0.1)
    assert found.loss.dtype == found.nll.dtype == torch.float32
    torch.testing.assert_close(found.loss, cross_entropy(logits.float(), torch.arange(9), smoothing=0.1).loss)


def test_no_label_no_loss():
    found = cross_entropy(torch.randn(2, 3), torch.tensor([IGNORE, IGNORE]), smoothing=0.1)
    assert (found.loss.item(), found.nll.item(), found.count.item(), found.correct.item()) == (0.0, 0.0, 0, 0)


MLM = "{kind: masked_language_model, output: {bias: true, transform: {activation: gelu, norm: layer_norm}}}"


def test_masked_language_models_predict_only_where_a_label_stands():
    model = build(tiny(ENCODER, MLM))
    text = stream(TEXTS, pad=0)
    labels = stream([[IGNORE, 6, IGNORE, 3], [IGNORE, IGNORE], [2, IGNORE, IGNORE]], pad=IGNORE)
    found = model.losses({"text": text, "labels": labels})
    logits = model({"text": text})
    places = ((0, 1, 6), (0, 3, 3), (2, 0, 2))
    expected = sum(losses.cross_entropy(logits[b, n].tolist(), label) for b, n, label in places)
    assert found.loss.item() == pytest.approx(expected, rel=1e-10)
    assert found.count == 3


@torch.no_grad()
def test_the_transform_of_a_head_is_map_activation_norm():
    model = build(tiny(ENCODER, MLM))
    transform, output = model.head.transform, model.head.output
    x = torch.randn(12, dtype=torch.float64)
    mapped = affine(x.tolist(), transform.map.weight.tolist(), transform.map.bias.tolist())
    active = [feedforward.activation("gelu", one) for one in mapped]
    gain, bias = transform.norm.weight.tolist(), transform.norm.bias.tolist()
    normed = norms.layer_norm(active, gain=gain, bias=bias)
    expected = affine(normed, output.weight.tolist(), output.bias.tolist())
    assert model.head.logits(x).tolist() == pytest.approx(expected, rel=1e-10)


HEADS = {
    "T5": ("{scale: inverse_sqrt_d_model}", 12**-0.5, None),
    "Gemma 2": ("{soft_cap: 0.3, bias: true}", 1.0, 0.3),
    "both": ("{soft_cap: 2, scale: 0.25}", 0.25, 2.0),
}


@pytest.mark.parametrize(("output", "scale", "cap"), HEADS.values(), ids=HEADS.keys())
@torch.no_grad()
def test_logits_are_scaled_before_the_map_and_capped_after_it(output, scale, cap):
    model = build(tiny("{decoder: {d_model: 12, layers: 1}}", f"{{kind: language_model, output: {output}}}"))
    linear, x = model.head.output, torch.randn(12, dtype=torch.float64)
    bias = None if linear.bias is None else linear.bias.tolist()
    logits = affine([scale * one for one in x.tolist()], linear.weight.tolist(), bias)
    expected = logits if cap is None else [cap * tanh(one / cap) for one in logits]
    assert model.head.logits(x).tolist() == pytest.approx(expected, rel=1e-10)


@torch.no_grad()
def test_a_tied_embedding_of_another_width_is_reached_through_the_transform():
    """ALBERT: states 12 wide are mapped to 5, the width of the embedding, which is the output map as well."""
    encoder = "{encoder: {d_model: 12, layers: 1, input: {d_embedding: 5}}}"
    model = build(tiny(encoder, MLM))
    assert model.head.output.weight is model.encoder.input.embedding.weight
    assert model.head.transform.map.weight.shape == (5, 12)
    assert model.head.transform.norm.weight.shape == (5,)
    assert model({"text": stream(TEXTS, pad=0)}).shape == (3, 4, 13)
    free = build(tiny("{tie_embeddings: none, " + encoder[1:], MLM))
    assert free.head.transform.map.weight.shape == (12, 12)


def test_a_tied_embedding_of_another_width_without_a_way_back_is_refused():
    with pytest.raises(SpecError, match="the head reads 12 features, and the embedding of 'decoder' is 5 wide"):
        run_of(tiny("{decoder: {d_model: 12, layers: 1, input: {d_embedding: 5}}}", "language_model"))


def test_label_smoothing_is_the_task_s_own():
    recurrent = tiny(ENCODER.replace("encoder", "decoder"), "{kind: language_model, label_smoothing: 0.2}")
    assert build(recurrent).head.smoothing == 0.2
    assert build(tiny(ENCODER, MLM)).head.smoothing == 0.0
    assert build(tiny(ENCODER, "{kind: classification, classes: 3, label_smoothing: 0.3}")).head.smoothing == 0.3


POOLED = {
    "mean": lambda rows: [sum(column) / len(rows) for column in zip(*rows, strict=True)],
    "max": lambda rows: [max(column) for column in zip(*rows, strict=True)],
    "cls": lambda rows: rows[0],
    "last": lambda rows: rows[-1],
}


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("kind", POOLED)
def test_pooling_sees_real_tokens_only(kind, left):
    tokens = stream(TEXTS, pad=0, left=left)
    values = torch.randn(3, 4, 5, dtype=torch.float64) - 3  # below zero, so that a padded 0 would be the largest
    pooled = Pool(kind=kind)(states(values, tokens))
    for row in range(3):
        assert pooled[row].tolist() == pytest.approx(POOLED[kind](values[row][tokens.real[row]].tolist()))


def classifier(pooling: str) -> Model:
    return build(tiny(ENCODER, f"{{kind: classification, classes: 3, pooling: {pooling}}}"))


every_pooling = pytest.mark.parametrize("pooling", catalogue.POOLINGS.values(), ids=catalogue.POOLINGS.keys())


@every_pooling
@torch.no_grad()
def test_classes_know_nothing_of_padding_nor_of_their_neighbours(pooling):
    model = classifier(pooling)
    right = model({"text": stream(TEXTS, pad=0)})
    assert right.shape == (3, 3)
    torch.testing.assert_close(model({"text": stream(TEXTS, pad=0, left=True)}), right, **CLOSE)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(model({"text": stream([text], pad=0)})[0], right[row], **CLOSE)


@every_pooling
def test_classifiers_learn_everywhere(pooling):
    model = classifier(pooling)
    batch = {"text": stream(TEXTS, pad=0), "labels": stream([[0], [2], [1]], pad=IGNORE)}
    found = model.losses(batch)
    logits = model(batch).tolist()
    expected = sum(losses.cross_entropy(row, label) for row, label in zip(logits, (0, 2, 1), strict=True))
    assert found.loss.item() == pytest.approx(expected)
    assert found.count == 3
    found.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@every_pooling
@torch.no_grad()
def test_attention_pooling_is_the_attention_of_the_reference(pooling):
    model = classifier(pooling)
    pool = model.head.pooling
    assert isinstance(pool, AttentionPool) == pooling.startswith("{kind: attention")
    if not isinstance(pool, AttentionPool):
        return
    tokens, records = stream(TEXTS, pad=0, left=True), []
    values = torch.randn(3, 4, 12, dtype=torch.float64)
    pooled = pool(states(values, tokens), records.append)
    assert [record.address for record in records] == ["head.attention"]
    for row in range(3):
        told = outputs(pool.attention, pool.queries, values[row][tokens.real[row]], lambda q, k, h: True)
        expected = [number for query in told.output for number in query]
        assert pooled[row].tolist() == pytest.approx(expected, rel=1e-9)


@torch.no_grad()
def test_the_dense_layer_of_a_pooling():
    model = classifier("{kind: cls, dense: tanh}")
    assert model.head.dense.weight.shape == (12, 12)
    x = torch.randn(2, 12, dtype=torch.float64)
    head = model.head
    expected = head.output(torch.tanh(head.dense(x)))
    values = x.unsqueeze(1)
    torch.testing.assert_close(head(states(values, stream([[1], [1]], pad=0))), expected, **CLOSE)
    assert isinstance(classifier("mean").head.dense, nn.Identity)


def test_tagging_scores_words_and_not_their_later_pieces():
    model = build(tiny(ENCODER, "{kind: tagging, tags: 3}"))
    batch = {
        "text": stream(TEXTS, pad=0),
        "labels": stream([[0, IGNORE, 2, 1], [1, IGNORE], [2, 2, IGNORE]], pad=IGNORE),
    }
    assert model(batch).shape == (3, 4, 3)
    assert model.losses(batch).count == 6


@torch.no_grad()
def test_recurrent_encoders_serve_every_task_of_reading():
    encoder = "{encoder: {kind: recurrent, d_hidden: 5, direction: both}}"
    for task in ("{kind: tagging, tags: 3}", "{kind: classification, classes: 3}", "masked_language_model"):
        model = build(tiny(encoder.replace("{enc", "{tie_embeddings: none, enc"), task))
        one, other = (model({"text": stream(TEXTS[:rows], pad=0)}) for rows in (1, 3))
        torch.testing.assert_close(one[0], other[0], **CLOSE)
