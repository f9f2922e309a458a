"""Latent attention with weights copied from transformers' DeepseekV3Attention, to 1e-5."""

import pytest
import torch

from attncli.nn.latent import build_latent
from attncli.nn.view import view_of_self
from attncli.spec.load import load_text
from attncli.streams import stream
from tests.parity.weights import TOLERANCE, copy, linear, shaken

SPEC = """
name: latent
task: language_model
model:
  decoder: {d_model: 24, layers: 2, max_length: 24, bias: true,
            attention: {kind: latent, heads: 3, q_rank: QRANK, kv_rank: 9, d_head: 8, d_rotary: 4, d_value: 6,
                        dropout: 0, position: {layout: interleaved}}}
"""
NAMES = {
    "q_a_proj": "query_down", "q_a_layernorm": "query_latent_norm", "q_b_proj": "query_up", "q_proj": "query_up",
    "kv_a_proj_with_mqa": "kv_down", "kv_a_layernorm": "kv_latent_norm", "kv_b_proj": "kv_up", "o_proj": "output",
}  # fmt: skip


@pytest.mark.parametrize("q_rank", [10, None])
@torch.no_grad()
def test_latent_attention_is_that_of_deepseek_v3(q_rank):
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
        DeepseekV3Attention,
        DeepseekV3Config,
        DeepseekV3RotaryEmbedding,
    )

    config = DeepseekV3Config(
        hidden_size=24, num_attention_heads=3, num_key_value_heads=3, q_lora_rank=q_rank, kv_lora_rank=9,
        qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6, attention_bias=True, max_position_embeddings=24,
        attn_implementation="eager",
    )  # fmt: skip
    theirs = shaken(DeepseekV3Attention(config, layer_idx=0))
    own = load_text(SPEC.replace("QRANK", str(q_rank or "none"))).run.model.stacks["decoder"].layers[0].attention
    ours = build_latent(own, d_query=24, d_memory=24, d_output=24).eval()
    parts = [(module, NAMES[name]) for name, module in theirs.named_children()]
    copy({key: weight for module, name in parts for key, weight in linear(module, name).items()}, ours)
    x, places = torch.randn(2, 7, 24), torch.arange(7).unsqueeze(0)
    hidden = torch.full((7, 7), -torch.inf).triu(1)[None, None]
    expected, _ = theirs(x, DeepseekV3RotaryEmbedding(config)(x, places), hidden)
    torch.testing.assert_close(ours(x, x, view_of_self(stream([[1] * 7] * 2, pad=0))), expected, **TOLERANCE)
