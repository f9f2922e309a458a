"""The pointer-generator: a distribution over the vocabulary and the source's own words, told again by the reference."""

import math

import pytest
import torch

from attncli.decoding import decode
from attncli.nn.model import Model
from attncli.nn.recurrent_decoder import Decoder
from attncli.reference.pointer import mixture
from attncli.reference.vectors import affine
from attncli.spec.training import Beam, Greedy, Sample
from attncli.streams import Batch, stream
from tests import catalogue
from tests.nn.models import build, recurrent, transformer

CLASSES = 19
SOURCES = ([5, 19, 7, 19, 20, 3], [9, 3])
TARGETS = ([2, 19, 8, 20], [2, 11])
SEE = {"score": "{kind: coverage, d_hidden: 9}", "writer": catalogue.LONG_WRITERS["See"], "cell": "lstm"}
SPECS = {
    "See": recurrent(task=catalogue.POINTER, **SEE),
    "at once": recurrent(task=catalogue.POINTER, writer=catalogue.WRITERS["Luong"]),
    "Bahdanau": recurrent(task=catalogue.POINTER, writer=catalogue.WRITERS["Bahdanau"]),
    "Transformer": transformer(task=catalogue.POINTER, position="rotary"),
}
every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


def batch(left: bool = False) -> Batch:
    labels = [[*target[1:], 3] for target in TARGETS]
    return {
        "source": stream(SOURCES, pad=0, left=left),
        "target": stream(TARGETS, pad=0, left=left),
        "labels": stream(labels, pad=-100, left=left),
    }


def last_cross(model: Model) -> str:
    return "cross_attention" if isinstance(model.decoder, Decoder) else "1.cross_attention"


@every_spec
@torch.no_grad()
def test_probabilities_are_those_of_the_reference(spec):
    model, records = build(spec), []
    states = model.states(batch(), records.append)
    logits = model(batch())
    pointing = [record for record in records if record.address == f"decoder.{last_cross(model)}"]
    weights = torch.cat([record.weights for record in pointing], 2).mean(1)
    gate = model.head.gate
    for row, target in enumerate(TARGETS):
        for place in range(len(target)):
            (asked,) = affine(states.copying.decides[row, place].tolist(), gate.weight.tolist(), gate.bias.tolist())
            shares = mixture(
                model.head.logits(states.values[row, place]).tolist(), asked,
                weights[row, place, : len(SOURCES[row])].tolist(), SOURCES[row], size=21,
            )  # fmt: skip
            torch.testing.assert_close(logits[row, place].exp(), torch.tensor(shares, dtype=torch.float64))
    torch.testing.assert_close(logits[0].exp().sum(-1), torch.ones(4, dtype=torch.float64))
    assert logits[1, :, CLASSES:].eq(-math.inf).all(), "the second source has no word of its own"


@every_spec
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@torch.no_grad()
def test_the_loss_is_the_likelihood_of_the_labels(spec, left):
    model = build(spec)
    logits, labels = model(batch()), batch()["labels"]
    losses = model.losses(batch(left=left))
    expected = -math.fsum(
        logits[row, place, label].item()
        for row, target in enumerate(TARGETS)
        for place, label in enumerate([*target[1:], 3])
    )
    assert losses.nll.item() == pytest.approx(expected, rel=1e-9)
    assert losses.loss.item() == pytest.approx(expected + sum(map(float, losses.costs.values())), rel=1e-9)
    assert losses.count == labels.real.sum()


@every_spec
def test_every_gradient_is_a_number(spec):
    model = build(spec)
    model.losses(batch()).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert model.head.gate.weight.grad.abs().max() > 0


@torch.no_grad()
def test_a_word_of_the_source_is_read_as_unknown():
    model = build(SPECS["See"])
    known = batch() | {"target": stream([[2, 1, 8, 1], TARGETS[1]], pad=0)}
    torch.testing.assert_close(model(known), model(batch()))


@every_spec
@pytest.mark.parametrize("decoding", [Beam(size=3), Greedy(), Sample()], ids=["beam", "greedy", "sample"])
def test_what_is_written_has_the_probability_that_reading_it_at_once_gives(spec, decoding):
    model = build(spec)
    given = {"source": batch()["source"]}
    found = decode(model, given, decoding, bos=2, eos=3, pad=0, max_length=7)
    copied = False
    for row, (text, *_) in enumerate(found):
        written = [*text.tokens, *([3] if text.finished else [])]
        copied |= any(token >= CLASSES for token in written)
        whole = {
            "source": stream([SOURCES[row]], pad=0),
            "target": stream([[2, *written[:-1]]], pad=0),
        }
        scores = model(whole)[0].log_softmax(-1)
        total = math.fsum(scores[place, token].item() for place, token in enumerate(written))
        assert text.log_probability == pytest.approx(total, rel=1e-4)
    assert copied or isinstance(decoding, Sample) or spec != SPECS["See"]
