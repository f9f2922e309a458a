"""Transformer layers with weights copied from torch's own, pre and post norm, relu and gelu, to 1e-5 in float32."""

import pytest
import torch
from torch import Tensor, nn

from attncli.nn.model import Model
from attncli.streams import stream
from tests.parity.weights import TOLERANCE, built, copy, linear, shaken, split

SOURCES, TARGETS = [[5, 6, 7, 8, 9], [10, 11, 12]], [[2, 7, 8, 9], [2, 11]]

SPEC = """
name: torch
task: seq2seq
model:
  {{d_model: 24, dropout: 0, bias: true, norm: {{kind: layer_norm, epsilon: 1e-5}}, norm_place: {place},
   tie_embeddings: none,
   attention: {{heads: 4, position: none}}, feedforward: {{kind: {activation}, d_ff: 40}},
   encoder: {{layers: 2}}, decoder: {{layers: 2}}}}
tokenizer: {{kind: words, vocabulary: 30}}
"""


def attention(theirs: nn.MultiheadAttention, ours: str) -> dict[str, Tensor]:
    found = split(theirs.in_proj_weight, theirs.in_proj_bias, f"{ours}.body")
    return found | linear(theirs.out_proj, f"{ours}.body.output")


def layer(theirs: nn.Module, ours: str) -> dict[str, Tensor]:
    """An encoder layer or a decoder layer; torch numbers the norms in the order of the branches."""
    branches = {"attention": theirs.self_attn}
    if isinstance(theirs, nn.TransformerDecoderLayer):
        branches["cross_attention"] = theirs.multihead_attn
    found: dict[str, Tensor] = {}
    for number, (name, each) in enumerate(branches.items(), 1):
        found |= attention(each, f"{ours}.{name}") | linear(getattr(theirs, f"norm{number}"), f"{ours}.{name}.norm")
    forward, norm = f"{ours}.feedforward", getattr(theirs, f"norm{len(branches) + 1}")
    found |= linear(theirs.linear1, f"{forward}.body.hidden") | linear(theirs.linear2, f"{forward}.body.output")
    return found | linear(norm, f"{forward}.norm")


def pair(place: str, activation: str) -> tuple[nn.Transformer, Model]:
    theirs = nn.Transformer(24, 4, 2, 2, 40, 0.0, activation, batch_first=True, norm_first=place == "pre")
    if place == "post":
        # torch.nn.Transformer adds a last norm to post-norm stacks, which the paper has not
        theirs.encoder.norm = theirs.decoder.norm = None
    ours = built(SPEC.format(place=place, activation=activation))
    shaken(theirs)
    shaken(ours)
    weights = {name: p for name, p in ours.named_parameters() if ".input." in name or name.startswith("head")}
    for name, stack in (("encoder", theirs.encoder), ("decoder", theirs.decoder)):
        for i, each in enumerate(stack.layers):
            weights |= layer(each, f"{name}.layers.{i}")
        weights |= linear(stack.norm, f"{name}.final_norm") if stack.norm is not None else {}
    copy({name: weight.detach().clone() for name, weight in weights.items()}, ours)
    return theirs, ours


every_pair = pytest.mark.parametrize(
    ("place", "activation"), [(place, activation) for place in ("pre", "post") for activation in ("relu", "gelu")]
)


@every_pair
@torch.no_grad()
def test_encoder_layers(place, activation):
    theirs, ours = pair(place, activation)
    tokens = stream(SOURCES, pad=0)
    x = ours.encoder.input.embedding(tokens.values)
    expected = theirs.encoder(x, src_key_padding_mask=~tokens.real)
    states = ours.encoder(tokens, {}).values
    torch.testing.assert_close(states[tokens.real], expected[: states.shape[0]][tokens.real], **TOLERANCE)


@every_pair
@torch.no_grad()
def test_decoder_layers(place, activation):
    theirs, ours = pair(place, activation)
    sources, targets = stream(SOURCES, pad=0), stream(TARGETS, pad=0)
    x, y = ours.encoder.input.embedding(sources.values), ours.decoder.input.embedding(targets.values)
    triangle = nn.Transformer.generate_square_subsequent_mask(4)
    memory = theirs.encoder(x, src_key_padding_mask=~sources.real)
    expected = theirs.decoder(
        y, memory, tgt_mask=triangle, tgt_is_causal=True, memory_key_padding_mask=~sources.real
    )  # fmt: skip
    found = ours.states({"source": sources, "target": targets}).values
    torch.testing.assert_close(found[targets.real], expected[targets.real], **TOLERANCE)


@every_pair
def test_gradients(place, activation):
    theirs, ours = pair(place, activation)
    theirs.train()
    ours.train()
    sources, targets = stream(SOURCES, pad=0), stream(TARGETS, pad=0)
    x, y = (table.weight.detach().clone().requires_grad_() for table in (
        ours.encoder.input.embedding, ours.decoder.input.embedding))  # fmt: skip
    out = theirs(
        x[sources.values], y[targets.values], tgt_mask=nn.Transformer.generate_square_subsequent_mask(4),
        src_key_padding_mask=~sources.real, memory_key_padding_mask=~sources.real,
    )  # fmt: skip
    weigh = torch.randn_like(out)
    (out * weigh)[targets.real].sum().backward()
    (ours.states({"source": sources, "target": targets}).values * weigh)[targets.real].sum().backward()
    for expected, table in ((x.grad, ours.encoder.input.embedding), (y.grad, ours.decoder.input.embedding)):
        scale = expected.abs().max()
        torch.testing.assert_close(table.weight.grad / scale, expected / scale, **TOLERANCE)
