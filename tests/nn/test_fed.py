"""The loop of a decoder that is fed its readouts: its formula taken step by step, and the general road of the model."""

import dataclasses

import pytest
import torch

from attncli.nn.kernels.fed import Given, fed
from attncli.nn.model import build_model
from attncli.spec.load import load_text
from attncli.spec.sizes import Sizes
from attncli.streams import stream

SPEC = """
name: fed
task: {kind: seq2seq}
model:
  d_hidden: 7
  max_length: 16
  dropout: 0
  tie_embeddings: none
  input: {d_embedding: 5}
  encoder: {kind: recurrent, direction: both}
  decoder:
    kind: recurrent
    input_feeding: readout
    readout: {kind: dense, d_hidden: 6}
    cross_attention: {score: {kind: additive, d_hidden: 9}}
tokenizer: characters
"""
STEPS, ROWS, KEYS, UNITS, HIDDEN, FEATURES = 3, 2, 4, 3, 5, 2


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def given(*, hides, drops):
    torch.manual_seed(0)
    hidden = torch.tensor([[False, True, False, True], [True] * 4]) if hides else None  # the second row sees no key
    kept, shares = (torch.rand(STEPS, ROWS, size).double() if drops else None for size in (FEATURES, KEYS))
    return Given(
        drawn(STEPS, ROWS, 3 * UNITS), drawn(ROWS, UNITS), drawn(3 * UNITS, UNITS), drawn(3 * UNITS),
        drawn(3 * UNITS, FEATURES), drawn(HIDDEN, UNITS), drawn(ROWS, KEYS, HIDDEN), drawn(HIDDEN),
        drawn(ROWS, KEYS, FEATURES), drawn(FEATURES, UNITS), drawn(FEATURES), hidden, kept, shares,
    )  # fmt: skip


def plain(g):
    state, last, made = g.first, g.first.new_zeros(ROWS, FEATURES), []
    for i in range(STEPS):
        entered, kept = g.entered[i] + last @ g.of_fed.mT, state @ g.of_state.mT + g.c
        (r, z, n), (to_r, to_z, to_n) = entered.chunk(3, 1), kept.chunk(3, 1)
        z = torch.sigmoid(z + to_z)
        state = (1 - z) * torch.tanh(n + torch.sigmoid(r + to_r) * to_n) + z * state
        scores = torch.tanh((g.key + (state @ g.ask.mT).unsqueeze(1)) / 2) @ (g.weight / 2)
        if g.hidden is None:
            weights = scores.softmax(1)
        else:
            sees = (~g.hidden).double()
            weights = scores.exp() * sees
            weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-300)
        weights = weights if g.shares is None else weights * g.shares[i]
        last = torch.tanh(state @ g.read.mT + g.b + torch.einsum("bk,bkf->bf", weights, g.value))
        last = last if g.kept is None else last * g.kept[i]
        made.append(last)
    return torch.stack(made)


@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("drops", [False, True])
def test_readouts_and_gradients_are_those_of_the_formula(hides, drops):
    g = given(hides=hides, drops=drops)
    learned = list(g[:11])
    expected, found = plain(g), fed(g)
    torch.testing.assert_close(found, expected)
    by = torch.randn_like(found)
    due = torch.autograd.grad(expected, learned, by)
    for _ in range(2):
        torch.testing.assert_close(torch.autograd.grad(found, learned, by, retain_graph=True), due)
    assert torch.autograd.gradcheck(lambda *each: fed(Given(*each, *g[11:])), learned)


def built(*overrides):
    torch.manual_seed(0)
    return build_model(load_text(SPEC, overrides).run, Sizes({"source": 11, "target": 11})).double().train()


@pytest.mark.parametrize("source", [[[3, 4, 5, 6], [7, 8, 9, 3]], [[3, 4, 5, 6], [7]]])
@pytest.mark.parametrize("target", [[[1, 3, 5], [1, 4, 6]], [[1, 3, 5], [1, 4]], [[1], [1]]])
def test_a_model_learns_as_by_single_steps(source, target):
    model = built()
    batch = {"source": stream(source, pad=0), "target": stream(target, pad=0)}
    attention, learned = model.decoder.attention, list(model.parameters())
    assert attention.plan(device="cpu", dtype="float64", training=True, size=None).kernel == "looped"
    weights = torch.randn(len(target), len(target[0]), 11).double() * batch["target"].real.unsqueeze(2)

    def run():
        made = model(batch) * batch["target"].real.unsqueeze(2)
        return made, torch.autograd.grad((made * weights).sum(), learned, allow_unused=True)

    found = run()
    attention.traits = dataclasses.replace(attention.traits, wanted="reference")
    expected = run()
    torch.testing.assert_close(found[0], expected[0])
    for got, due in zip(found[1], expected[1], strict=True):
        zero = next(each for each in (got, due) if each is not None)
        # of one step nothing is fed: the single steps still multiply zeros
        torch.testing.assert_close(*(torch.zeros_like(zero) if each is None else each for each in (got, due)))


def test_dropout_falls_on_what_is_fed_and_read():
    model = built("model.decoder.dropout=0.5", "model.decoder.cross_attention.dropout=0.5")
    batch = {"source": stream([[3, 4, 5]] * 64, pad=0), "target": stream([[1, 3, 5]] * 64, pad=0)}
    memory = {"encoder": model.encoder(batch["source"], {})}
    made = model.decoder(batch["target"], memory).values
    dropped = float((made == 0).double().mean())
    assert 0.4 < dropped < 0.6
    assert not torch.equal(made[0], made[1]), "rows draw each their own"


@pytest.mark.parametrize(
    ("override", "lacks"),
    [
        ("model.decoder.cell=lstm", "cell but one layer of gru"),
        ("model.decoder.layers=2", "cell but one layer of gru"),
        ("model.decoder.input_feeding=context", "input_feeding 'context'"),
        ("model.decoder.input_feeding={kind: readout, combine: linear}", "input_feeding 'readout'"),
        ("model.decoder.readout.gate=both", "readout but dense with tanh, without a gate"),
        ("model.decoder.readout.activation=relu", "readout but dense with tanh, without a gate"),
        ("model.decoder.cross_attention.score=general", "score but additive"),
        ("model.decoder.cross_attention.normalizer=sparsemax", "normalizer but softmax"),
        ("model.decoder.cross_attention.soft_cap=5", "step between query, weights and readout"),
        ("model.decoder.cross_attention.gate=sigmoid", "step between query, weights and readout"),
    ],
)
def test_what_the_loop_has_not_goes_by_single_steps_and_the_plan_says_so(override, lacks):
    choice = built(override).decoder.attention.plan(device="cpu", dtype="float32", training=True, size=None)
    assert choice.kernel != "looped"
    assert lacks in choice.reasons[-1]
