"""The gated delta rule with weights copied from transformers' Qwen3NextGatedDeltaNet, to 1e-5."""

import pytest
import torch

from attncli.nn.delta import build_delta
from attncli.nn.view import view_of_self
from attncli.spec.load import load_text
from attncli.streams import stream
from tests.parity.weights import TOLERANCE, copy, shaken

SPEC = """
name: delta
task: language_model
model:
  decoder: {d_model: 24, layers: 1, max_length: 96,
            attention: {kind: gated_delta, heads: 4, qk_heads: 2, d_head: 8, d_value: 6}}
"""


@pytest.mark.parametrize("length", [9, 70])
@torch.no_grad()
def test_the_gated_delta_rule_is_that_of_qwen3_next(length):
    """Beside each query head lie its key, its two values and their gates in one map there; 70 is more than a chunk."""
    from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextConfig, Qwen3NextGatedDeltaNet

    config = Qwen3NextConfig(
        hidden_size=24, num_hidden_layers=1, layer_types=["linear_attention"], linear_num_value_heads=4,
        linear_num_key_heads=2, linear_key_head_dim=8, linear_value_head_dim=6, linear_conv_kernel_dim=4,
    )  # fmt: skip
    theirs = shaken(Qwen3NextGatedDeltaNet(config, layer_idx=0))
    own = load_text(SPEC).run.model.stacks["decoder"].layers[0].attention
    ours = build_delta(own, d_query=24, d_memory=24, d_output=24).eval()
    maps = theirs.in_proj_qkvz.weight.view(2, 8 + 8 + 12 + 12, 24).split([8, 8, 12, 12], 1)
    query, key, value, gate = (each.reshape(-1, 24) for each in maps)
    strength, fade = (each.reshape(-1, 24) for each in theirs.in_proj_ba.weight.view(2, 4, 24).split([2, 2], 1))
    copy(
        {
            "query.weight": query, "key.weight": key, "value.weight": value, "swish.weight": gate,
            "strength.weight": strength, "fade.map.weight": fade, "fade.rate": theirs.A_log,
            "fade.offset": theirs.dt_bias, "convolution.weight": theirs.conv1d.weight.squeeze(1),
            "ending.norm.weight": theirs.norm.weight, "output.weight": theirs.out_proj.weight,
        },
        ours,
    )  # fmt: skip
    x = torch.randn(2, length, 24)
    expected = theirs(x)
    torch.testing.assert_close(ours(x, x, view_of_self(stream([[1] * length] * 2, pad=0))), expected, **TOLERANCE)
