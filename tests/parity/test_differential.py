"""Differential attention with weights copied from transformers' DiffLlama, to 1e-5."""

import torch

from attncli.nn.attention import build_attention
from attncli.nn.view import view_of_self
from attncli.spec.load import load_text
from attncli.streams import stream
from tests.parity.weights import TOLERANCE, copy, linear, shaken

SPEC = """
name: diff
task: language_model
model:
  decoder: {d_model: 32, layers: 3, max_length: 24,
            attention: {kind: differential, heads: 4, kv_heads: 2, pairs: halves, dropout: 0, context_norm: none}}
"""


@torch.no_grad()
def test_differential_attention_is_that_of_diffllama_but_for_its_norm():
    """Its norm has no gain, so that of ours is left out and theirs set to pass."""
    from transformers.models.diffllama.modeling_diffllama import (
        DiffLlamaAttention,
        DiffLlamaConfig,
        DiffLlamaRotaryEmbedding,
    )

    config = DiffLlamaConfig(
        hidden_size=32, num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=24,
        attn_implementation="eager",
    )  # fmt: skip
    theirs = shaken(DiffLlamaAttention(config, layer_idx=2))
    theirs.groupnorm = torch.nn.Identity()
    own = load_text(SPEC).run.model.stacks["decoder"].layers[0].attention
    ours = build_attention(own, d_query=32, d_memory=32, d_output=32, depth=2).eval()
    value = theirs.v_proj.weight.view(2, 2, 4, 32).transpose(0, 1).reshape(16, 32)  # a pair's halves lie apart there
    weights = linear(theirs.q_proj, "query") | linear(theirs.k_proj, "key") | linear(theirs.o_proj, "output")
    weights |= {
        "value.weight": value,
        "weighing.difference.query": torch.stack((theirs.lambda_q1, theirs.lambda_q2)),
        "weighing.difference.key": torch.stack((theirs.lambda_k1, theirs.lambda_k2)),
    }
    copy(weights, ours)
    x = torch.randn(2, 7, 32)
    places = torch.arange(7).unsqueeze(0)
    hidden = torch.full((7, 7), -torch.inf).triu(1)[None, None]
    expected, _ = theirs(x, DiffLlamaRotaryEmbedding(config)(x, places), hidden)
    torch.testing.assert_close(ours(x, x, view_of_self(stream([[1] * 7] * 2, pad=0))), expected, **TOLERANCE)
