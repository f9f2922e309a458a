"""Positions beside those of transformers and x-transformers, and the rules that refuse what has no meaning."""

import math
from functools import cache

import pytest
import torch

from attncli.errors import SpecError
from attncli.nn.attention import Attention
from attncli.nn.positions import build_rotary
from attncli.nn.view import view_of_self
from attncli.spec import positions as spec
from attncli.spec.load import load_text
from attncli.streams import stream
from tests.nn.models import tiny
from tests.nn.oracle import attention

CLOSE = {"rtol": 1e-6, "atol": 1e-7}  # theirs are float32
SHORT, LONG = [1.0, 1.1, 1.3, 1.8], [1.0, 2.0, 5.0, 9.0]

SCALINGS = {
    "linear": (spec.Linear(factor=3.0), {"rope_type": "linear", "factor": 3.0}),
    "llama3": (
        spec.Llama3(factor=8.0, original_length=256),
        {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 256,
        },
    ),
    "yarn": (
        spec.Yarn(factor=4.0, original_length=256),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256},
    ),
    "yarn, exact": (
        spec.Yarn(factor=4.0, original_length=256, beta_fast=20.0, beta_slow=2.0, ramp="exact"),
        {
            "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "beta_fast": 20.0,
            "beta_slow": 2.0, "truncate": False,
        },
    ),
}  # fmt: skip


@cache
def theirs(name: str):
    """One function of transformers by name: it gives rates and by what cos and sin are multiplied."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    return ROPE_INIT_FUNCTIONS[name]


def config(rope: dict, most: int = 1024):
    from transformers import LlamaConfig

    given = {"rope_theta": 10000.0} | rope
    return LlamaConfig(
        hidden_size=32, num_attention_heads=4, head_dim=8, max_position_embeddings=most, rope_parameters=given
    )


def rotary(scaling, *, two_sided: bool = False):
    return build_rotary(spec.Rotary(d_rotary=8, scaling=scaling), two_sided=two_sided)


@pytest.mark.parametrize(("scaling", "rope"), SCALINGS.values(), ids=SCALINGS.keys())
def test_rates_are_those_of_transformers(scaling, rope):
    rates, grows = theirs(rope["rope_type"])(config(rope), "cpu")
    ours = rotary(scaling)
    torch.testing.assert_close(torch.tensor(ours.rates, dtype=torch.float32), rates, **CLOSE)
    assert ours.size == pytest.approx(grows)


@pytest.mark.parametrize("length", [100, 256, 700, 1024])
def test_rates_that_grow_with_the_text_are_those_of_transformers(length):
    dynamic = {"rope_type": "dynamic", "factor": 2.0}
    rates, _ = theirs("dynamic")(config(dynamic, most=256), "cpu", seq_len=length)
    positions, lengths = torch.arange(length).unsqueeze(0), torch.full((1, length), length)
    ours = rotary(spec.DynamicNtk(factor=2.0, original_length=256))
    cos, sin = ours.angles(positions, side="key", lengths=lambda: lengths)
    expected = positions.double().unsqueeze(-1) * rates.double()
    torch.testing.assert_close(cos[0, 0], expected[0].cos(), rtol=0, atol=2e-4)
    torch.testing.assert_close(sin[0, 0], expected[0].sin(), rtol=0, atol=2e-4)


@pytest.mark.parametrize("length", [64, 65])
def test_longrope_changes_its_rates_where_transformers_does(length):
    rope = {"rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": 64, "short_factor": SHORT,
            "long_factor": LONG}  # fmt: skip
    rates, grows = theirs("longrope")(config(rope), "cpu", seq_len=length)
    scaling = spec.Longrope(factor=4.0, original_length=64, short=tuple(SHORT), long=tuple(LONG))
    positions, lengths = torch.arange(length).unsqueeze(0), torch.full((1, length), length)
    whole = rotary(scaling, two_sided=True).angles(positions, side="key", lengths=lambda: lengths)
    expected = (positions.double().unsqueeze(-1) * rates.double()).cos() * grows
    torch.testing.assert_close(whole[0][0, 0], expected[0], rtol=0, atol=1e-4)
    # written token by token, the newest query reads with what a text of its length has
    written = rotary(scaling)
    query = written.angles(positions[:, -1:], side="query", lengths=lambda: lengths)
    assert bool(query[4]) == (length > 64)
    x = torch.randn(1, 1, 1, 8, dtype=torch.float64)
    halves = written.turn(x, query).chunk(2, -1)
    read, left = reversed(halves) if length > 64 else halves
    torch.testing.assert_close(read, rotary(scaling, two_sided=True).turn(x, tuple(w[:, :, -1:] for w in whole)))
    assert (left == 0).all()


def weights_of(module: Attention, x: torch.Tensor) -> torch.Tensor:
    records = []
    with torch.no_grad():
        module(x, x, view_of_self(stream([[1] * x.shape[1]] * len(x), pad=0), records.append))
    return module.weights(records[0], dtype=torch.float64)


@pytest.mark.parametrize("most", [3, 8])
def test_released_disentangled_attention_is_that_of_transformers(most):
    from transformers import DebertaV2Config
    from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

    other = DisentangledSelfAttention(
        DebertaV2Config(
            hidden_size=12, num_attention_heads=2, relative_attention=True, pos_att_type=["c2p", "p2c"],
            max_relative_positions=most, position_buckets=-1, hidden_dropout_prob=0, attention_probs_dropout_prob=0,
        )
    ).double().eval()  # fmt: skip
    module = attention(
        score=f"{{kind: scaled_dot, scale: {6**-0.5!r}}}", heads="{heads: 2, d_head: 6, d_value: 6}",
        position=f"{{kind: disentangled, max_distance: {most}, key_distance: released}}", kernel="reference",
    )  # fmt: skip
    ours = module.position
    with torch.no_grad():
        for one, two in ((other.query_proj, module.query), (other.key_proj, module.key)):
            one.weight.copy_(two.weight)
            one.bias.copy_(two.bias)
        for one, two in ((other.pos_query_proj, ours.query), (other.pos_key_proj, ours.key)):
            one.weight.copy_(two.weight)
            one.bias.zero_()
    x, mask = torch.randn(2, 7, 12, dtype=torch.float64), torch.ones(2, 1, 7, 7, dtype=torch.bool)
    with torch.no_grad():
        _, expected = other(x, mask, output_attentions=True, rel_embeddings=ours.table.weight)
    torch.testing.assert_close(weights_of(module, x), expected.view(2, 2, 7, 7), rtol=1e-5, atol=1e-6)


def test_cope_is_that_of_x_transformers():
    from x_transformers.x_transformers import CoPE

    module = attention(position="{kind: cope, maximum: 3}", mask="causal", heads="{heads: 2, d_head: 6}")
    other = CoPE(6, 2, 4).double()
    x = torch.randn(2, 6, 12, dtype=torch.float64)
    with torch.no_grad():
        other.pos_emb.copy_(module.position.table.weight)
        query = module.query(x).view(2, 6, 2, 6).transpose(1, 2)
        key = module.key(x).view(2, 6, 2, 6).transpose(1, 2)
        hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
        logits = (query @ key.mT * module.score.scale).masked_fill(hidden, -math.inf)
        expected = (logits + other(query, logits)).softmax(-1)
    torch.testing.assert_close(weights_of(module, x), expected, rtol=1e-9, atol=1e-10)


def test_xpos_decays_as_in_x_transformers():
    """Theirs lays pairs side by side and counts from the middle of the text, which changes no product."""
    from x_transformers.x_transformers import RotaryEmbedding, apply_rotary_pos_emb

    other = RotaryEmbedding(6, use_xpos=True, scale_base=8)
    position = "{kind: xpos, layout: interleaved, d_rotary: 6, scale_base: 8.0}"
    module = attention(position=position, mask="causal", heads="{heads: 2, d_head: 6}")
    x = torch.randn(2, 9, 12, dtype=torch.float64)
    freqs, scale = other(torch.arange(9))
    with torch.no_grad():
        query = module.query(x).view(2, 9, 2, 6).transpose(1, 2)
        key = module.key(x).view(2, 9, 2, 6).transpose(1, 2)
        turned = apply_rotary_pos_emb(query, freqs, scale)
        read = apply_rotary_pos_emb(key, freqs, scale**-1)
        hidden = torch.ones(9, 9, dtype=torch.bool).triu(1)
        expected = (turned @ read.mT * module.score.scale).masked_fill(hidden, -math.inf).softmax(-1)
    torch.testing.assert_close(weights_of(module, x), expected.double(), rtol=1e-4, atol=1e-6)


def written(position: str, more: str = "", length: int = 64) -> str:
    inner = f"{{heads: 2, d_head: 6, position: {position}{more}}}"
    return tiny(
        f"{{tie_embeddings: none, decoder: {{d_model: 12, max_length: {length}, layers: 1, attention: {inner}}}}}",
        "language_model",
    )


def read(position: str, more: str = "") -> str:
    return tiny(f"{{encoder: {{d_model: 12, attention: {{heads: 2, position: {position}{more}}}}}}}",
                "{kind: tagging, tags: 3}")  # fmt: skip


STRETCHED = "{{kind: rotary, d_rotary: 6, scaling: {{kind: {}, original_length: {}{}}}}}"
LISTS = ", factor: 4, short: [1, 1, 1], long: [2, 3, 4]"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (read("{kind: cope, maximum: 4}"), "'cope' looks back from the query, and the mask 'full'"),
        (read("forgetting"), "'forgetting' looks back from the query"),
        (read("xpos"), "'xpos' looks back from the query"),
        (written("{kind: shaw, max_distance: 4}", ", score: cosine"), "'shaw' is defined for the dot product"),
        (written("{kind: disentangled, max_distance: 4}", ", score: dot"), "'disentangled' shares one scale among"),
        (written("{kind: xpos, scale_base: 4}", length=300), "max_length 300 is more than 64 scale_base"),
        (written(STRETCHED.format("dynamic_ntk", 32, ", factor: 2")), "by how long their text becomes"),
        (written(STRETCHED.format("longrope", 64, LISTS)), "no text is longer than original_length 64"),
        (written(STRETCHED.format("longrope", 32, LISTS), ", score: additive"), "keeps keys in two turns"),
        (written(STRETCHED.format("longrope", 32, LISTS), ", persistent: 2"), "a persistent key stands at none"),
        (written(STRETCHED.format("longrope", 32, LISTS.replace("3, 4", "3"))), "2 numbers for 3 pairs of features"),
        (written(STRETCHED.format("yarn", 32, ", factor: 4"), ", score: cosine"), "does not see how long the turned"),
        (written(STRETCHED.format("yarn", 32, ", factor: 4, temperature: logits"), ", score: cosine"), "no temper"),
        (written(STRETCHED.format("yarn", 32, ", factor: 4, beta_slow: 40")), "beta_fast 32 must be above beta_slow"),
        (written("{kind: rotary, scaling: {kind: linear, factor: 1}}"), "factor"),
        (written("{kind: cope, maximum: 4}", ", kernel: fused"), "the fused kernel has no position cope"),
    ],
)  # fmt: skip
def test_positions_without_a_meaning_are_refused(text, rule):
    with pytest.raises(SpecError) as caught:
        load_text(text)
    assert rule in str(caught.value)
