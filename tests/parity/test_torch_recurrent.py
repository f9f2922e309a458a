"""GRU and LSTM stacks with weights copied from torch's own, both directions and padding, to 1e-5 in float32."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from attncli.nn.model import Model
from attncli.streams import stream
from tests.parity.weights import TOLERANCE, built, copy, linear, shaken

TEXTS = [[5, 6, 7, 8, 9], [10, 11, 12], [13]]
CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


def tagger(cell: str, direction: str, layers: int) -> tuple[nn.RNNBase, Model]:
    text = f"""
name: torch
task: {{kind: tagging, tags: 3}}
model: {{encoder: {{kind: recurrent, cell: {cell}, direction: {direction}, layers: {layers}, d_hidden: 7, dropout: 0,
                 input: {{d_embedding: 6}}}}}}
tokenizer: {{kind: words, vocabulary: 30}}
"""
    ours = shaken(built(text))
    theirs = CELLS[cell](6, 7, layers, batch_first=True, bidirectional=direction == "both")
    shaken(theirs, 0.5)
    weights = {name: p for name, p in ours.named_parameters() if ".rnn." not in name}
    copy({name: p.detach().clone() for name, p in (weights | linear(theirs, "encoder.rnn")).items()}, ours)
    return theirs.eval(), ours


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@torch.no_grad()
def test_encoders(cell, direction, layers, left):
    theirs, ours = tagger(cell, direction, layers)
    tokens = stream(TEXTS, pad=0, left=left)
    embedded = [ours.encoder.input.embedding(torch.tensor(text)) for text in TEXTS]
    if direction == "backward":
        embedded = [each.flip(0) for each in embedded]
    packed, final = theirs(pack_sequence(embedded, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first=True)
    states = ours.encoder(tokens, {})
    for row, text in enumerate(TEXTS):
        own = expected[row, : len(text)]
        own = own.flip(0) if direction == "backward" else own
        torch.testing.assert_close(states.values[row][tokens.real[row]], own, **TOLERANCE)
    for one, other in zip(states.final, final if isinstance(final, tuple) else (final,), strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)


@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_writers_step_by_step(cell):
    """A language model's steps, each with the cache, against torch's loop over the whole text."""
    text = f"""
name: torch
task: language_model
model: {{decoder: {{kind: recurrent, cell: {cell}, layers: 2, d_hidden: 7, dropout: 0}}}}
tokenizer: {{kind: words, vocabulary: 30}}
"""
    ours = shaken(built(text))
    theirs = shaken(CELLS[cell](7, 7, 2, batch_first=True), 0.5)
    copy(
        {name: p.detach().clone() for name, p in linear(theirs, "rnn").items()},
        nn.ModuleDict({"rnn": ours.decoder.rnn}),
    )
    values = torch.tensor([[2, 5, 6, 7], [2, 8, 9, 10]])
    states, _ = theirs(ours.decoder.input.embedding(values))
    expected, cache = ours.head.output(states), ours.start({}, capacity=4)
    logits = torch.cat([ours.step(cache.next(values[:, i : i + 1]), cache) for i in range(4)], 1)
    torch.testing.assert_close(logits, expected, **TOLERANCE)
