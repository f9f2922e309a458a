"""Heads that are no single softmax: told again by the reference and by torch, and the same in training as elsewhere."""

import math

import pytest
import torch
from torch import nn

from attncli.decoding import decode
from attncli.errors import SpecError
from attncli.nn.outputs import AdaptiveHead
from attncli.reference import losses as reference_losses
from attncli.reference.outputs import adaptive, mixture
from attncli.reference.vectors import affine
from attncli.spec.training import Beam
from attncli.streams import Batch, stream
from tests import catalogue
from tests.nn.models import build, run_of, tiny

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
MIXED = {name: text for name, text in catalogue.OUTPUTS.items() if not name.startswith("linear")}
ADAPTIVE = {name: text for name, text in MIXED.items() if name.startswith("adaptive")}
every_output = pytest.mark.parametrize("output", MIXED.values(), ids=MIXED.keys())
TEXTS = ([2, 7, 8, 9, 12, 4], [2, 11, 5], [2, 10, 6, 3])


def spec(output: str, tie: str = "none", more: str = "") -> str:
    stack = "{d_model: 12, layers: 1, max_length: 32, attention: {heads: 2}, dropout: 0}"
    return tiny(f"{{tie_embeddings: {tie}, decoder: {stack}}}", f"{{kind: language_model, output: {output}{more}}}")


def batch(left: bool = False) -> Batch:
    labels = [[*text[1:], 3] for text in TEXTS]
    return {"text": stream(TEXTS, pad=0, left=left), "labels": stream(labels, pad=-100, left=left)}


def shares(head: nn.Module, x: torch.Tensor) -> list[float]:
    """The reference of one place."""

    def of(linear: nn.Linear, given: list[float]) -> list[float]:
        return affine(given, linear.weight.tolist(), None if linear.bias is None else linear.bias.tolist())

    given = x.tolist()
    if not isinstance(head, AdaptiveHead):
        latent = of(head.latent, given)
        width = head.output.in_features
        parts = [latent[start : start + width] for start in range(0, len(latent), width)]
        bias = None if head.output.bias is None else head.output.bias.tolist()
        return mixture(of(head.prior, given), parts, head.output.weight.tolist(), bias)
    first, rows = head.edges[0], of(head.output, given)
    if head.tails is None:
        tails = [rows[start:end] for start, end in zip(head.edges, head.edges[1:], strict=False)]
    else:
        tails = [of(tail[1], of(tail[0], given)) for tail in head.tails]
    return adaptive([*rows[:first], *of(head.clusters, given)], tails)


@every_output
@torch.no_grad()
def test_probabilities_are_those_of_the_reference(output):
    model = build(spec(output))
    states, logs = model.states(batch()).values, model(batch())
    assert logs.shape[2] == 13
    for row, text in enumerate(TEXTS):
        for place in range(len(text)):
            expected = torch.tensor(shares(model.head, states[row, place]), dtype=torch.float64)
            torch.testing.assert_close(logs[row, place].exp(), expected, **CLOSE)
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(3, 6, dtype=torch.float64))


@torch.no_grad()
def test_narrowing_clusters_are_those_of_torch():
    head = build(spec(MIXED["adaptive, narrower"])).head
    other = nn.AdaptiveLogSoftmaxWithLoss(12, 13, [4, 7, 11], div_value=2.0).double()
    other.head.weight.copy_(torch.cat([head.output.weight, head.clusters.weight]))
    for one, tail in zip(other.tail, head.tails, strict=True):
        one[0].weight.copy_(tail[0].weight)
        one[1].weight.copy_(tail[1].weight)
    x = torch.randn(5, 12, dtype=torch.float64)
    torch.testing.assert_close(head.logits(x), other.log_prob(x))


@every_output
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_the_loss_is_that_of_all_logits_with_its_gradient_and_its_hits(output, left):
    model = build(spec(output))
    given = batch(left)
    losses = model.losses(given)
    losses.loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    assert all(gradient.abs().max() > 1e-9 for gradient in found.values())
    model.zero_grad()
    real, logs = given["labels"].values != -100, model(given)
    target = given["labels"].values[real]
    expected = -logs[real].gather(1, target.unsqueeze(1)).sum()
    expected.backward()
    assert losses.nll.item() == pytest.approx(expected.item(), rel=1e-12)
    assert losses.count.item() == 13
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, **CLOSE)


@pytest.mark.parametrize("output", ADAPTIVE.values(), ids=ADAPTIVE.keys())
@torch.no_grad()
def test_hits_are_counted_without_all_logits(output):
    model, hits = build(spec(output)), 0
    for seed in range(6):
        torch.manual_seed(seed)
        states = model.states(batch())
        x = torch.randn_like(states.values) * (0.3 if seed % 2 else 3)
        best = model.head.logits(x).argmax(-1)
        labels = torch.where(torch.rand(best.shape) < 0.6, best, (best + 3) % 13)
        given = stream(labels.tolist(), pad=-100)
        correct = model.head.losses(states._replace(values=x), given).correct
        assert correct.item() == (best == labels).sum().item()
        hits += correct.item()
    assert hits > 30


@torch.no_grad()
def test_smoothing_gives_every_id_of_a_mixture_its_share():
    model = build(spec(MIXED["mixture"], more=", label_smoothing: 0.2"))
    logs, losses = model(batch()), model.losses(batch())
    expected = sum(
        reference_losses.cross_entropy(logs[row, place].tolist(), label, label_smoothing=0.2)
        for row, text in enumerate(TEXTS)
        for place, label in enumerate([*text[1:], 3])
    )
    assert losses.loss.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("output", [MIXED["adaptive"], MIXED["mixture"]])
def test_their_rows_may_be_the_embedding(output):
    model = build(spec(output, tie="output"))
    assert model.head.output.weight is model.decoder.input.embedding.weight


def test_a_mixture_maps_to_the_width_of_its_embedding():
    text = spec(MIXED["mixture"], tie="output").replace("layers: 1,", "layers: 1, input: {d_embedding: 5},")
    model = build(text)
    assert model.head.output.weight.shape == (13, 5)
    assert model(batch()).shape == (3, 6, 13)


@every_output
def test_beams_write_with_them(output):
    model = build(spec(output))
    found = decode(model, {"text": stream([[2, 7]], pad=0)}, Beam(size=3), bos=2, eos=3, pad=0, max_length=6)
    assert all(math.isfinite(one.log_probability) for one in found[0])


REFUSED = {
    "{kind: adaptive, cutoffs: []}": "there is no cluster",
    "{kind: adaptive, cutoffs: [7, 5]}": "cutoffs must rise",
    "{kind: adaptive, cutoffs: [5, 17]}": "the last cluster begins at 17, and there are 17 ids",
    "{kind: adaptive, cutoffs: [3, 5, 7], factor: 3}": "the last cluster has no feature left: 12 // 3.3 is 0",
    "{kind: adaptive, cutoffs: [5]}, label_smoothing: 0.1": "clusters are there so that most need no logit",
    "{kind: mixture, components: 1}": "components: .* 2 or more",
}


@pytest.mark.parametrize(("output", "says"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_has_no_meaning_is_refused(output, says):
    with pytest.raises(SpecError, match=says):
        run_of(spec(output))


def test_narrow_clusters_are_no_rows_of_an_embedding():
    with pytest.raises(SpecError, match="narrower than the embedding cannot be rows of it"):
        run_of(spec("{kind: adaptive, cutoffs: [5], factor: 2}", tie="output"))
