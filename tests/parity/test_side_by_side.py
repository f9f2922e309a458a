"""GPT-J and GPT-NeoX of transformers with their weights copied: branches side by side, heads turned in part."""

from typing import Any

import pytest
import torch

from attncli.nn.model import Model
from attncli.streams import stream
from tests.parity.weights import TOLERANCE, built, copy, renamed, shaken

TEXTS = [[5, 6, 7, 8, 9, 10, 11, 12, 13], [11, 12, 13], [14, 15, 16, 17, 5, 9]]

GPT_J = """
name: gpt-j
task: {kind: language_model, output: {bias: true}}
model:
  tie_embeddings: none
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, norm: layer_norm, order: [[attention, feedforward]],
            attention: {heads: 3, position: {layout: interleaved, d_rotary: 4}},
            feedforward: {kind: gelu_tanh, d_ff: 96, bias: true}}
tokenizer: {kind: unigram, vocabulary: 41}
"""

GPT_NEOX = """
name: gpt-neox
task: language_model
model:
  tie_embeddings: none
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, norm: layer_norm, bias: true,
            order: [[attention, {feedforward: {kind: gelu, d_ff: 40}}]], attention: {heads: 3, position: {d_rotary: 4}}}
tokenizer: {kind: unigram, vocabulary: 41}
"""


def gpt_j() -> tuple[Any, Model]:
    from transformers import GPTJConfig, GPTJForCausalLM

    config = GPTJConfig(
        vocab_size=41, n_positions=64, n_embd=24, n_layer=2, n_head=3, rotary_dim=4, bos_token_id=2, eos_token_id=3
    )
    other, ours = shaken(GPTJForCausalLM(config), 0.4), built(GPT_J)
    layer, own = r"transformer\.h\.(\d+)\.", r"decoder.layers.\1."
    rules = {
        r"transformer\.wte\.weight": "decoder.input.embedding.weight",
        r"transformer\.ln_f\.(\w+)": r"decoder.final_norm.\1",
        r"lm_head\.(\w+)": r"head.output.\1",
        layer + r"ln_1\.(\w+)": own + r"attention.norm.\2",
        layer + r"mlp\.fc_in\.(\w+)": own + r"feedforward.body.hidden.\2",
        layer + r"mlp\.fc_out\.(\w+)": own + r"feedforward.body.output.\2",
    }
    for short, name in {"q": "query", "k": "key", "v": "value", "out": "output"}.items():
        rules[layer + rf"attn\.{short}_proj\.weight"] = own + f"attention.body.{name}.weight"
    copy(renamed(other, rules), ours)
    return other, ours


def gpt_neox() -> tuple[Any, Model]:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=41, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=64, bos_token_id=2, eos_token_id=3,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    )  # fmt: skip
    other, ours = shaken(GPTNeoXForCausalLM(config), 0.4), built(GPT_NEOX)
    layer, own = r"gpt_neox\.layers\.(\d+)\.", r"decoder.layers.\1."
    found = renamed(other, {
        r"gpt_neox\.embed_in\.weight": "decoder.input.embedding.weight",
        r"gpt_neox\.final_layer_norm\.(\w+)": r"decoder.final_norm.\1",
        r"lm_head\.weight": "head.output.weight",
        layer + r"attention\.query_key_value\.\w+": "joined",
        layer + r"attention\.dense\.(\w+)": own + r"attention.body.output.\2",
        layer + r"input_layernorm\.(\w+)": own + r"attention.norm.\2",
        layer + r"post_attention_layernorm\.(\w+)": own + r"feedforward.norm.\2",
        layer + r"mlp\.dense_h_to_4h\.(\w+)": own + r"feedforward.body.hidden.\2",
        layer + r"mlp\.dense_4h_to_h\.(\w+)": own + r"feedforward.body.output.\2",
    })  # fmt: skip
    del found["joined"]
    for number, block in enumerate(other.gpt_neox.layers):
        for kind, parameter in block.attention.query_key_value.named_parameters():
            heads = parameter.view(3, 3, 8, *parameter.shape[1:])  # of each head its query, key and value
            for place, name in enumerate(("query", "key", "value")):
                found[f"decoder.layers.{number}.attention.body.{name}.{kind}"] = heads[:, place].flatten(0, 1)
    copy(found, ours)
    return other, ours


@pytest.mark.parametrize("make", [gpt_j, gpt_neox])
def test_logits_and_gradients_of_padded_texts(make):
    other, ours = make()
    text = stream(TEXTS, pad=0)
    expected = other(input_ids=text.values, attention_mask=text.real.long()).logits[text.real]
    found = ours({"text": text})[text.real]
    torch.testing.assert_close(found, expected, **TOLERANCE)
    assert expected.abs().max() > 1, "logits near 0 would agree whatever we do"
    embedding = ours.stacks["decoder"].input.embedding.weight
    (slope,) = torch.autograd.grad(expected.square().mean(), other.get_input_embeddings().weight)
    (ours_slope,) = torch.autograd.grad(found.square().mean(), embedding)
    torch.testing.assert_close(ours_slope / slope.abs().max(), slope / slope.abs().max(), **TOLERANCE)
