"""Longformer of transformers with its weights copied, projections of global rows too: logits and gradients, to 1e-5."""

import torch
from torch import Tensor, nn

from attncli.streams import stream
from tests.parity.weights import TOLERANCE, built, copy, renamed, shaken

SPEC = """
name: longformer
task: {kind: masked_language_model, output: {bias: true, transform: {activation: gelu, norm: layer_norm}}}
model:
  norm: layer_norm
  encoder: {d_model: 24, layers: 2, max_length: 32, dropout: 0, input: {position: learned, norm: layer_norm},
            attention: {heads: 3, mask: window(around=2) | global(2), second_projections: q < 2},
            feedforward: {kind: gelu, d_ff: 40}, norm_place: post, bias: true}
tokenizer: {kind: unigram, vocabulary: 41}
"""


def test_longformer_with_two_global_tokens():
    """Its positions begin at 2, and every token has the vector of one segment, which is added to them here."""
    from transformers import LongformerConfig, LongformerForMaskedLM

    config = LongformerConfig(
        vocab_size=41, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=34, attention_window=4, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5,
    )  # fmt: skip
    theirs, ours = shaken(LongformerForMaskedLM(config), 0.5), built(SPEC)
    layer, own = r"longformer\.encoder\.layer\.(\d+)\.", r"encoder.layers.\1."
    found: dict[str, Tensor] = renamed(theirs, {
        r"longformer\.embeddings\.word_embeddings\.weight": "encoder.input.embedding.weight",
        r"longformer\.embeddings\.position_embeddings\.weight": "encoder.input.position.table.weight",
        r"longformer\.embeddings\.token_type_embeddings\.weight": "segment",
        r"longformer\.embeddings\.LayerNorm\.(\w+)": r"encoder.input.norm.\1",
        layer + r"attention\.self\.(query|key|value)\.(\w+)": own + r"attention.body.\2.\3",
        layer + r"attention\.self\.(query|key|value)_global\.(\w+)": own + r"attention.body.second.\2.\3",
        layer + r"attention\.output\.dense\.(\w+)": own + r"attention.body.output.\2",
        layer + r"attention\.output\.LayerNorm\.(\w+)": own + r"attention.norm.\2",
        layer + r"intermediate\.dense\.(\w+)": own + r"feedforward.body.hidden.\2",
        layer + r"output\.dense\.(\w+)": own + r"feedforward.body.output.\2",
        layer + r"output\.LayerNorm\.(\w+)": own + r"feedforward.norm.\2",
        r"lm_head\.bias": "head.output.bias",
        r"lm_head\.dense\.(\w+)": r"head.transform.map.\1",
        r"lm_head\.layer_norm\.(\w+)": r"head.transform.norm.\1",
    })  # fmt: skip
    table = "encoder.input.position.table.weight"
    found[table] = found[table][2:] + found.pop("segment")
    copy(found, ours)
    text = stream([[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [11, 12, 13, 20, 21], [14, 15, 16, 17, 5, 9, 7]], pad=1)
    marks = torch.zeros_like(text.values)
    marks[:, :2] = 1
    asked = {"input_ids": text.values, "attention_mask": text.real.long(), "global_attention_mask": marks}
    expected, logits = theirs(**asked).logits[text.real], ours({"text": text})[text.real]
    torch.testing.assert_close(logits, expected, **TOLERANCE)
    assert expected.abs().max() > 1, "logits near 0 would agree whatever we do"
    embedding: nn.Module = ours.stacks["encoder"].input.embedding
    (slope,) = torch.autograd.grad(expected.square().mean(), theirs.get_input_embeddings().weight)
    (ours_slope,) = torch.autograd.grad(logits.square().mean(), embedding.weight)
    torch.testing.assert_close(ours_slope / slope.abs().max(), slope / slope.abs().max(), **TOLERANCE)
