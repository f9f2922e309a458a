"""Decoders of transformers with their weights copied: logits, in one go and with a cache, and gradients, to 1e-5.

float32 on both sides. The weights are drawn anew and the texts are longer than the windows, so that no step hides.
"""

from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from attncli.nn.model import Model
from attncli.streams import stream
from tests.parity.weights import TOLERANCE, built, copy, renamed, shaken

TEXTS = [[5, 6, 7, 8, 9, 10, 11, 12, 13], [11, 12, 13], [14, 15, 16, 17, 5, 9]]

SIZES = {
    "vocab_size": 41, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 2,
    "eos_token_id": 3, "attn_implementation": "eager",
}  # fmt: skip
"""Eager, since their fused attention leaves soft caps and sinks out."""

TOP = """
name: small
task: language_model
tokenizer: {kind: unigram, vocabulary: 41}
"""

NAMES = {
    r"model\.embed_tokens\.weight": "decoder.input.embedding.weight",
    r"model\.norm\.weight": "decoder.final_norm.weight",
    r"lm_head\.weight": "head.output.weight",
    r"model\.layers\.(\d+)\.self_attn\.q_proj\.(\w+)": r"decoder.layers.\1.attention.body.query.\2",
    r"model\.layers\.(\d+)\.self_attn\.q_norm\.weight": r"decoder.layers.\1.attention.body.query_norm.norm.weight",
    r"model\.layers\.(\d+)\.self_attn\.k_proj\.(\w+)": r"decoder.layers.\1.attention.body.key.\2",
    r"model\.layers\.(\d+)\.self_attn\.k_norm\.weight": r"decoder.layers.\1.attention.body.key_norm.norm.weight",
    r"model\.layers\.(\d+)\.self_attn\.v_proj\.(\w+)": r"decoder.layers.\1.attention.body.value.\2",
    r"model\.layers\.(\d+)\.self_attn\.o_proj\.(\w+)": r"decoder.layers.\1.attention.body.output.\2",
    r"model\.layers\.(\d+)\.mlp\.up_proj\.weight": r"decoder.layers.\1.feedforward.body.hidden.weight",
    r"model\.layers\.(\d+)\.mlp\.gate_proj\.weight": r"decoder.layers.\1.feedforward.body.gate.weight",
    r"model\.layers\.(\d+)\.mlp\.down_proj\.weight": r"decoder.layers.\1.feedforward.body.output.weight",
    r"model\.layers\.(\d+)\.mlp\.(?:gate|router)\.(\w+)": r"decoder.layers.\1.feedforward.body.router.map.\2",
    r"model\.layers\.\d+\.mlp\.experts\.\w+": "experts",
    r"model\.layers\.(\d+)\.self_attn\.sinks": r"decoder.layers.\1.attention.body.weighing.sink.logit",
}
PRE = {
    r"model\.layers\.(\d+)\.input_layernorm\.weight": r"decoder.layers.\1.attention.norm.weight",
    r"model\.layers\.(\d+)\.post_attention_layernorm\.weight": r"decoder.layers.\1.feedforward.norm.weight",
}
SANDWICH = {
    r"model\.layers\.(\d+)\.input_layernorm\.weight": r"decoder.layers.\1.attention.norm.weight",
    r"model\.layers\.(\d+)\.post_attention_layernorm\.weight": r"decoder.layers.\1.attention.norm_after.weight",
    r"model\.layers\.(\d+)\.pre_feedforward_layernorm\.weight": r"decoder.layers.\1.feedforward.norm.weight",
    r"model\.layers\.(\d+)\.post_feedforward_layernorm\.weight": r"decoder.layers.\1.feedforward.norm_after.weight",
}
OUTPUT = {
    r"model\.layers\.(\d+)\.post_attention_layernorm\.weight": r"decoder.layers.\1.attention.norm.weight",
    r"model\.layers\.(\d+)\.post_feedforward_layernorm\.weight": r"decoder.layers.\1.feedforward.norm.weight",
}


class Case(NamedTuple):
    """A model of theirs and the spec that says the same."""

    theirs: str
    config: dict[str, Any]
    spec: str
    norms: dict[str, str]


CASES = {
    "llama-3": Case(
        "Llama",
        {"tie_word_embeddings": False, "rms_norm_eps": 1e-5, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16}},
        """
model:
  tie_embeddings: none
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, feedforward: {d_ff: 40}, norm: {epsilon: 1e-5},
            attention: {heads: 4, kv_heads: 2, d_head: 8, position: {base: 500, scaling:
                        {kind: llama3, factor: 8, low: 1, high: 4, original_length: 16}}}}
""",
        PRE,
    ),
    "mistral": Case(
        "Mistral",
        {"tie_word_embeddings": False, "sliding_window": 4},
        """
model:
  tie_embeddings: none
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, feedforward: {d_ff: 40},
            attention: {heads: 4, kv_heads: 2, d_head: 8, mask: causal & window(before=3)}}
""",
        PRE,
    ),
    "qwen-3": Case(
        "Qwen3",
        {"tie_word_embeddings": True},
        """
model:
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, feedforward: {d_ff: 40},
            attention: {heads: 4, kv_heads: 2, d_head: 8, qk_norm: rms_norm}}
""",
        PRE,
    ),
    "olmo-2": Case(
        "Olmo2",
        {"tie_word_embeddings": False, "rms_norm_eps": 1e-6, "num_attention_heads": 3, "num_key_value_heads": 3},
        """
model:
  tie_embeddings: none
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, norm_place: output, feedforward: {d_ff: 40},
            attention: {heads: 3, qk_norm: {kind: rms_norm, over: projection}}}
""",
        OUTPUT,
    ),
    "gemma-2": Case(
        "Gemma2",
        {"sliding_window": 4, "query_pre_attn_scalar": 8, "attn_logit_softcapping": 2.0,
         "final_logit_softcapping": 3.0, "layer_types": ["sliding_attention", "full_attention"]},
        """
model:
  decoder:
    {d_model: 24, max_length: 64, dropout: 0, input: {scale: sqrt_d_model}, feedforward: {kind: geglu_tanh, d_ff: 40},
     attention: {heads: 4, kv_heads: 2, d_head: 8, soft_cap: 2}, norm: {gain: one_plus}, norm_place: sandwich,
     layers: [{attention: {mask: causal & window(before=3)}}, {repeat: 1}]}
""",
        SANDWICH,
    ),
    "gemma-3": Case(
        "Gemma3",
        {"sliding_window": 4, "query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"],
         "rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                             "full_attention": {"rope_type": "default", "rope_theta": 1000000.0}}},
        """
model:
  decoder:
    {d_model: 24, max_length: 64, dropout: 0, input: {scale: sqrt_d_model}, feedforward: {kind: geglu_tanh, d_ff: 40},
     norm: &norm {kind: rms_norm, gain: one_plus}, norm_place: sandwich,
     attention: {heads: 4, kv_heads: 2, d_head: 8, qk_norm: *norm},
     layers: [{attention: {mask: causal & window(before=3)}}, {attention: {position: {base: 1000000}}}]}
""",
        SANDWICH,
    ),
    "granite": Case(
        "Granite",
        {"tie_word_embeddings": True, "rms_norm_eps": 1e-5, "embedding_multiplier": 3.0, "logits_scaling": 0.5,
         "residual_multiplier": 0.22, "attention_multiplier": 0.2, "num_attention_heads": 3, "num_key_value_heads": 3},
        """
model:
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, norm: {epsilon: 1e-5}, input: {scale: 3},
            residual: {kind: scaled, by: 0.22}, feedforward: {d_ff: 40},
            attention: {heads: 3, kv_heads: 3, score: {scale: 0.2}}}
""",
        PRE,
    ),
    "cohere": Case(
        "Cohere",
        {"tie_word_embeddings": True, "num_attention_heads": 3, "num_key_value_heads": 3, "logit_scale": 0.5},
        """
model:
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, norm: {kind: layer_norm, bias: false},
            order: [[attention, feedforward]],
            attention: {heads: 3, position: {base: 500000, layout: interleaved}}, feedforward: {d_ff: 40}}
""",
        PRE,
    ),
    "mixtral": Case(
        "Mixtral",
        {"tie_word_embeddings": False, "num_local_experts": 5, "num_experts_per_tok": 2},
        """
model:
  tie_embeddings: none
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, norm: {epsilon: 1e-5},
            attention: {heads: 4, kv_heads: 2, d_head: 8, position: {base: 1000000}},
            feedforward: {kind: experts, experts: 5, active: 2, expert: {d_ff: 40}}}
""",
        PRE,
    ),
    "olmoe": Case(
        "Olmoe",
        {"tie_word_embeddings": False, "num_experts": 5, "num_experts_per_tok": 2, "num_attention_heads": 3,
         "num_key_value_heads": 3, "rms_norm_eps": 1e-5},
        """
model:
  tie_embeddings: none
  decoder: {d_model: 24, layers: 2, max_length: 64, dropout: 0, norm: {epsilon: 1e-5},
            attention: {heads: 3, qk_norm: {kind: rms_norm, over: projection, epsilon: 1e-5}},
            feedforward: {kind: experts, experts: 5, active: 2, expert: {d_ff: 40}, router: {normalize: all}}}
""",
        PRE,
    ),
    "gpt-oss": Case(
        "GptOss",
        {"tie_word_embeddings": False, "num_local_experts": 5, "num_experts_per_tok": 2, "rms_norm_eps": 1e-5,
         "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"], "swiglu_limit": 0.7,
         "rope_parameters": {
             "rope_type": "yarn", "rope_theta": 150.0, "factor": 4.0, "beta_fast": 8.0, "beta_slow": 1.0,
             "truncate": False, "original_max_position_embeddings": 64}},
        """
model:
  tie_embeddings: none
  decoder:
    {d_model: 24, max_length: 64, bias: true, norm: {epsilon: 1e-5}, dropout: 0,
     attention: {heads: 4, kv_heads: 2, d_head: 8, sink: learned, position: {base: 150, scaling:
                {kind: yarn, factor: 4, original_length: 64, beta_fast: 8, ramp: exact}}},
     feedforward: {kind: experts, experts: 5, active: 2, router: {bias: true},
                   expert: {d_ff: 40, clamp: 0.7, slope: 1.702, up_offset: 1}},
     layers: [{attention: {mask: causal & window(before=3)}}, {repeat: 1}]}
""",
        PRE,
    ),
}  # fmt: skip
HEADS = {"gemma-2": "{soft_cap: 3}", "granite": "{scale: 2}", "cohere": "{scale: 0.5}"}
every_case = pytest.mark.parametrize("name", CASES)


@cache
def pair(name: str) -> tuple[Any, Model]:
    """Their model and ours with its weights."""
    import transformers

    case = CASES[name]
    config = getattr(transformers, f"{case.theirs}{'Text' * (case.theirs == 'Gemma3')}Config")
    other = shaken(getattr(transformers, f"{case.theirs}ForCausalLM")(config(**SIZES | case.config)), 0.4)
    head = HEADS.get(name)
    task = "task: language_model"
    ours = built(TOP.replace(task, f"task: {{kind: language_model, output: {head}}}" if head else task) + case.spec)
    weights = renamed(other, NAMES | case.norms)
    if weights.pop("experts", None) is not None:
        weights |= experts(other)
    copy(weights, ours)
    return other, ours


def experts(theirs: Any) -> dict[str, Tensor]:
    """Maps of experts that lie in one tensor; those of gpt-oss are transposed, and their rows go by turns."""
    found = {}
    for number, layer in enumerate(theirs.model.layers):
        stacked = dict(layer.mlp.experts.named_parameters())
        turns = "gate_up_proj_bias" in stacked
        for index in range(len(stacked["down_proj"])):
            ours = f"decoder.layers.{number}.feedforward.body.experts.{index}"
            both, down = stacked["gate_up_proj"][index], stacked["down_proj"][index]
            if turns:
                bias = stacked["gate_up_proj_bias"][index]
                found |= {f"{ours}.gate.bias": bias[::2], f"{ours}.hidden.bias": bias[1::2]}
                found[f"{ours}.output.bias"] = stacked["down_proj_bias"][index]
            gate, hidden = (both.T[::2], both.T[1::2]) if turns else both.chunk(2)
            found |= {f"{ours}.gate.weight": gate, f"{ours}.hidden.weight": hidden}
            found[f"{ours}.output.weight"] = down.T if turns else down
    return found


@every_case
def test_logits_and_gradients_of_padded_texts(name):
    other, ours = pair(name)
    text = stream(TEXTS, pad=0)
    expected = other(input_ids=text.values, attention_mask=text.real.long()).logits[text.real]
    found = ours({"text": text})[text.real]
    torch.testing.assert_close(found, expected, **TOLERANCE)
    assert expected.abs().max() > 1, "logits near 0 would agree whatever we do"
    theirs_, ours_ = other.get_input_embeddings().weight, ours.stacks["decoder"].input.embedding.weight
    (slope,) = torch.autograd.grad(expected.square().mean(), theirs_)
    (ours_slope,) = torch.autograd.grad(found.square().mean(), ours_)
    torch.testing.assert_close(ours_slope / slope.abs().max(), slope / slope.abs().max(), **TOLERANCE)


@every_case
@torch.no_grad()
def test_writing_with_a_cache(name):
    """A prompt, then token by token, past every window."""
    other, ours = pair(name)
    tokens = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12], [9, 14, 16, 18, 20, 5, 7, 8]])
    expected = other(input_ids=tokens).logits
    memory = ours.start({}, capacity=8)
    found = [ours.step(stream(tokens[:, :3].tolist(), pad=0), memory)]
    found += [ours.step(memory.next(tokens[:, at : at + 1]), memory) for at in range(3, 8)]
    torch.testing.assert_close(torch.cat(found, 1), expected, **TOLERANCE)
