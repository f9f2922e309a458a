"""The decoders of Bahdanau et al. 2015 and Luong et al. 2015, written here from the papers' equations, in float64.

Loops over time, sums over positions, gates by name: nothing of attncli but the weights. The cells are torch's form of a
GRU and an LSTM (the reset gate after the product), since that is what a spec promises.
"""

import pytest
import torch
from torch import Tensor

from attncli.nn.model import Model
from attncli.streams import stream
from tests.parity.weights import built, shaken

SOURCES, TARGETS = [[5, 6, 7, 8, 9, 3], [10, 11, 3]], [[2, 7, 8, 9, 4], [2, 11, 12]]
CLOSE = {"rtol": 1e-9, "atol": 1e-10}

BAHDANAU = """
name: bahdanau
task: {kind: seq2seq, label_smoothing: 0}
model:
  dropout: 0
  d_hidden: 7
  input: {d_embedding: 5}
  encoder: {kind: recurrent, direction: both}
  decoder:
    kind: recurrent
    bridge: {kind: dense, of: backward, activation: tanh}
    cross_attention: {score: {kind: additive, d_hidden: 9}}
    query: previous_state
    input_feeding: context
    readout: {kind: dense, d_hidden: 6, activation: none}
tokenizer: {kind: words, vocabulary: 30}
"""

LUONG = """
name: luong
task: {{kind: seq2seq, label_smoothing: 0}}
model:
  {{dropout: 0, cell: lstm, d_hidden: 6, init: {{kind: uniform, bound: 0.1}},
   encoder: {{kind: recurrent, layers: 2}},
   decoder: {{kind: recurrent, layers: 2, bridge: copy, query: state, input_feeding: readout,
             cross_attention: {{score: {score}}}}}}}
tokenizer: {{kind: words, vocabulary: 30}}
"""


def model(text: str) -> Model:
    return shaken(built(text), 0.5).double()


def gru(weights: dict[str, Tensor], x: Tensor, h: Tensor, layer: str = "l0") -> Tensor:
    given = weights[f"weight_ih_{layer}"] @ x + weights[f"bias_ih_{layer}"]
    past = weights[f"weight_hh_{layer}"] @ h + weights[f"bias_hh_{layer}"]
    (r, z, n), (r_, z_, n_) = given.chunk(3), past.chunk(3)
    reset, update = torch.sigmoid(r + r_), torch.sigmoid(z + z_)
    proposal = torch.tanh(n + reset * n_)
    return (1 - update) * proposal + update * h


def lstm(weights: dict[str, Tensor], x: Tensor, h: Tensor, c: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    gates = weights[f"weight_ih_{layer}"] @ x + weights[f"bias_ih_{layer}"]
    gates = gates + weights[f"weight_hh_{layer}"] @ h + weights[f"bias_hh_{layer}"]
    i, f, g, o = gates.chunk(4)
    cell = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def bahdanau(model: Model, source: list[int], target: list[int]) -> list[Tensor]:
    """Appendix A: annotations h_j = [forward; backward]; s_0 = tanh(W_s backward_1); then
    e_ij = v . tanh(W s_{i-1} + U h_j), alpha_ij = softmax, c_i = sum_j alpha_ij h_j, s_i = f(s_{i-1}, y_{i-1}, c_i).
    """
    encoder = dict(model.encoder.rnn.named_parameters())
    embedded = [model.encoder.input.embedding.weight[token] for token in source]
    state, forward = torch.zeros(7, dtype=torch.float64), []
    for x in embedded:
        state = gru(encoder, x, state)
        forward.append(state)
    state, backward = torch.zeros(7, dtype=torch.float64), []
    for x in reversed(embedded):
        state = gru(encoder, x, state, "l0_reverse")
        backward.insert(0, state)
    annotations = [torch.cat(pair) for pair in zip(forward, backward, strict=True)]

    decoder, score = dict(model.decoder.rnn.named_parameters()), model.decoder.attention.score
    big_w, big_u, v = score.query[0].T, score.key[0].T, score.weight[0]
    start = model.decoder.bridge.map
    s = torch.tanh(start.weight @ backward[0] + start.bias)
    out, logits = model.decoder.readout.map, []
    for token in target:
        energies = [v @ torch.tanh(big_w @ s + big_u @ h) for h in annotations]
        total = sum(torch.exp(e) for e in energies)
        context = sum(torch.exp(e) / total * h for e, h in zip(energies, annotations, strict=True))
        s = gru(decoder, torch.cat((model.decoder.input.embedding.weight[token], context)), s)
        logits.append(model.head.output.weight @ (out.weight @ torch.cat((context, s)) + out.bias))
    return logits


def luong(model: Model, source: list[int], target: list[int], score: str) -> list[Tensor]:
    """Section 3: h_t from the stacking LSTM fed with [y_{t-1}; h~_{t-1}]; a_t(s) = softmax of score(h_t, h_s), eq. 7;
    c_t = sum_s a_t(s) h_s; h~_t = tanh(W_c [c_t; h_t]), eq. 5; p = softmax(W_s h~_t), eq. 6.
    """
    zeros = torch.zeros(6, dtype=torch.float64)
    states = [(zeros, zeros), (zeros, zeros)]
    weights, memory = dict(model.encoder.rnn.named_parameters()), []
    for token in source:
        x = model.encoder.input.embedding.weight[token]
        for layer in range(2):
            states[layer] = lstm(weights, x, *states[layer], f"l{layer}")
            x = states[layer][0]
        memory.append(x)

    weights, attentional, logits = dict(model.decoder.rnn.named_parameters()), zeros, []
    w_c = model.decoder.readout.map
    for token in target:
        x = torch.cat((model.decoder.input.embedding.weight[token], attentional))
        for layer in range(2):
            states[layer] = lstm(weights, x, *states[layer], f"l{layer}")
            x = states[layer][0]
        middle = torch.eye(6, dtype=torch.float64) if score == "dot" else model.decoder.attention.score.weight[0]
        scores = torch.stack([x @ middle @ h for h in memory])
        align = torch.exp(scores) / torch.exp(scores).sum()
        context = sum(a * h for a, h in zip(align, memory, strict=True))
        attentional = torch.tanh(w_c.weight @ torch.cat((context, x)) + w_c.bias)
        logits.append(model.head.output.weight @ attentional)
    return logits


@torch.no_grad()
def test_bahdanau():
    ours = model(BAHDANAU)
    logits = ours({"source": stream(SOURCES, pad=0), "target": stream(TARGETS, pad=0)})
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        expected = torch.stack(bahdanau(ours, source, target))
        torch.testing.assert_close(logits[row, : len(target)], expected, **CLOSE)


@pytest.mark.parametrize("score", ["dot", "general"])
@torch.no_grad()
def test_luong(score):
    ours = model(LUONG.format(score=score))
    logits = ours({"source": stream(SOURCES, pad=0), "target": stream(TARGETS, pad=0)})
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        expected = torch.stack(luong(ours, source, target, score))
        torch.testing.assert_close(logits[row, : len(target)], expected, **CLOSE)


@pytest.mark.parametrize(("text", "write"), [(BAHDANAU, bahdanau), (LUONG.format(score="general"), luong)])
def test_gradients_of_the_papers_loops(text, write):
    """Backpropagation through time: every weight's gradient, by autograd through the loop written above."""
    ours, extra = model(text), () if write is bahdanau else ("general",)
    losses = [torch.stack(write(ours, SOURCES[1], TARGETS[1], *extra)).square().sum()]
    losses.append(ours({"source": stream([SOURCES[1]], pad=0), "target": stream([TARGETS[1]], pad=0)}).square().sum())
    names = [name for name, _ in ours.named_parameters()]
    one, other = (torch.autograd.grad(loss, list(ours.parameters())) for loss in losses)
    for name, a, b in zip(names, one, other, strict=True):
        assert a.abs().max() > 0, name
        torch.testing.assert_close(b, a, rtol=1e-8, atol=1e-9, msg=name)
