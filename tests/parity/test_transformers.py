"""BERT, GPT-2 and Llama with weights copied from transformers: logits, gradients and cached generation, to 1e-5.

`transformers` takes seconds to import, so all that needs it stands here, and imports it when it runs.
"""

import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from attncli.nn.model import Model
from attncli.nn.positions import T5, Alibi, distances_of
from attncli.streams import IGNORE, stream
from tests.parity.weights import TOLERANCE, built, copy, linear, shaken, split

TEXTS = [[5, 6, 7, 8, 9, 10], [11, 12, 13], [14, 15, 16, 17]]


@cache
def theirs() -> SimpleNamespace:
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
    )
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from transformers.models.t5.modeling_t5 import T5Attention

    return SimpleNamespace(
        bert=BertForMaskedLM(
            BertConfig(
                vocab_size=29, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40,
                max_position_embeddings=16, type_vocab_size=2,
            )
        ),
        gpt=GPT2LMHeadModel(
            GPT2Config(
                vocab_size=300, n_positions=20, n_embd=24, n_layer=2, n_head=3, bos_token_id=2, eos_token_id=None
            )
        ),
        llama=LlamaForCausalLM(
            LlamaConfig(
                vocab_size=301, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                intermediate_size=44, rms_norm_eps=1e-5, max_position_embeddings=24, tie_word_embeddings=False,
                bos_token_id=2, eos_token_id=None, pad_token_id=0,
            )
        ),
        alibi=build_alibi_tensor,
        bucket=T5Attention._relative_position_bucket,
    )  # fmt: skip


BERT = """
name: bert
task: {kind: masked_language_model,
       output: {bias: true, transform: {activation: gelu, norm: &norm {kind: layer_norm, epsilon: 1e-12}}}}
model:
  norm: *norm
  init: {kind: normal, std: 0.02}
  encoder: {d_model: 24, layers: 2, max_length: 16, input: {position: learned, norm: *norm}, attention: {heads: 4},
            feedforward: {kind: gelu, d_ff: 40}, norm_place: post, bias: true}
tokenizer: {kind: wordpiece, vocabulary: 29}
"""

GPT = """
name: gpt-2
task: language_model
model:
  init: {kind: normal, std: 0.02, residual: by_depth}
  decoder: {d_model: 24, layers: 2, max_length: 20, input: {position: learned}, attention: {heads: 3},
            feedforward: gelu_tanh, norm: layer_norm, bias: true}
tokenizer: {kind: bpe, vocabulary: 300}
"""

LLAMA = """
name: llama
task: language_model
model:
  tie_embeddings: none
  decoder: {d_model: 32, layers: 2, max_length: 24, dropout: 0, feedforward: {d_ff: 44}, norm: {epsilon: 1e-5},
            attention: {heads: 4, kv_heads: 2, position: {base: 10000}}}
tokenizer: {kind: bpe, vocabulary: 301}
"""


def bert() -> tuple[Any, Model]:
    other, ours = shaken(theirs().bert), built(BERT)
    embeddings, head = other.bert.embeddings, other.cls.predictions
    weights = {
        "encoder.input.embedding.weight": embeddings.word_embeddings.weight,
        # every text is of segment 0, so the row of that segment belongs to each position
        "encoder.input.position.table.weight": embeddings.position_embeddings.weight
        + embeddings.token_type_embeddings.weight[0],
        "head.output.bias": head.bias,
    }
    weights |= linear(embeddings.LayerNorm, "encoder.input.norm")
    weights |= linear(head.transform.dense, "head.transform.map") | linear(
        head.transform.LayerNorm, "head.transform.norm"
    )
    for i, layer in enumerate(other.bert.encoder.layer):
        attention, forward = f"encoder.layers.{i}.attention", f"encoder.layers.{i}.feedforward"
        for name in ("query", "key", "value"):
            weights |= linear(getattr(layer.attention.self, name), f"{attention}.body.{name}")
        weights |= linear(layer.attention.output.dense, f"{attention}.body.output")
        weights |= linear(layer.attention.output.LayerNorm, f"{attention}.norm")
        weights |= linear(layer.intermediate.dense, f"{forward}.body.hidden")
        weights |= linear(layer.output.dense, f"{forward}.body.output")
        weights |= linear(layer.output.LayerNorm, f"{forward}.norm")
    copy(weights, ours)
    return other, ours


def gpt() -> tuple[Any, Model]:
    other, ours = shaken(theirs().gpt), built(GPT)
    weights = {
        "decoder.input.embedding.weight": other.transformer.wte.weight,
        "decoder.input.position.table.weight": other.transformer.wpe.weight,
    } | linear(other.transformer.ln_f, "decoder.final_norm")
    for i, layer in enumerate(other.transformer.h):
        attention, forward = f"decoder.layers.{i}.attention", f"decoder.layers.{i}.feedforward"
        weights |= split(layer.attn.c_attn.weight.T, layer.attn.c_attn.bias, f"{attention}.body")
        for theirs_, ours_ in (
            (layer.attn.c_proj, f"{attention}.body.output"),
            (layer.mlp.c_fc, f"{forward}.body.hidden"),
            (layer.mlp.c_proj, f"{forward}.body.output"),
        ):
            weights |= {f"{ours_}.weight": theirs_.weight.T, f"{ours_}.bias": theirs_.bias}
        weights |= linear(layer.ln_1, f"{attention}.norm") | linear(layer.ln_2, f"{forward}.norm")
    copy(weights, ours)
    return other, ours


def llama() -> tuple[Any, Model]:
    other, ours = shaken(theirs().llama), built(LLAMA)
    weights = {
        "decoder.input.embedding.weight": other.model.embed_tokens.weight,
        "decoder.final_norm.weight": other.model.norm.weight,
        "head.output.weight": other.lm_head.weight,
    }
    names = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
    for i, layer in enumerate(other.model.layers):
        attention, forward = f"decoder.layers.{i}.attention", f"decoder.layers.{i}.feedforward"
        for ours_, theirs_ in names.items():
            weights |= linear(getattr(layer.self_attn, theirs_), f"{attention}.body.{ours_}")
        for ours_, theirs_ in (("hidden", "up_proj"), ("gate", "gate_proj"), ("output", "down_proj")):
            weights |= linear(getattr(layer.mlp, theirs_), f"{forward}.body.{ours_}")
        weights |= linear(layer.input_layernorm, f"{attention}.norm")
        weights |= linear(layer.post_attention_layernorm, f"{forward}.norm")
    copy(weights, ours)
    return other, ours


MODELS = {"bert": bert, "gpt-2": gpt, "llama": llama}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


@every_model
@torch.no_grad()
def test_logits_of_padded_texts(make):
    other, ours = make()
    text = stream(TEXTS, pad=0)
    expected = other(input_ids=text.values, attention_mask=text.real.long()).logits
    torch.testing.assert_close(ours({"text": text})[text.real], expected[text.real], **TOLERANCE)
    assert expected.abs().max() > 1, "logits near 0 would agree whatever we do"


@every_model
def test_loss_and_gradients(make):
    other, ours = make()
    text = stream(TEXTS, pad=0)
    labels = stream([[token if i % 2 else IGNORE for i, token in enumerate(row)] for row in TEXTS], pad=IGNORE)
    logits = other(input_ids=text.values, attention_mask=text.real.long()).logits
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.values.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    found = ours.losses({"text": text, "labels": labels})
    torch.testing.assert_close(found.loss, expected, **TOLERANCE)
    expected.backward()
    found.loss.backward()
    mine, embedding = next(iter(ours.stacks.values())), other.get_input_embeddings().weight.grad
    scale = embedding.abs().max()
    torch.testing.assert_close(mine.input.embedding.weight.grad / scale, embedding / scale, **TOLERANCE)


@pytest.mark.parametrize("make", [gpt, llama], ids=["gpt-2", "llama"])
@torch.no_grad()
def test_cached_generation(make):
    """Greedy, from prompts of unlike length: the tokens of their `generate`, and the logits of every step."""
    other, ours = make()
    prompts = stream(TEXTS, pad=0, left=True)
    expected = other.generate(
        prompts.values, attention_mask=prompts.real.long(), max_new_tokens=8, do_sample=False, use_cache=True,
        pad_token_id=0, output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    cache = ours.start({}, capacity=14)
    logits = ours.step(prompts, cache)[:, -1]
    tokens: list[Tensor] = []
    for step in range(8):
        torch.testing.assert_close(logits, expected.logits[step], **TOLERANCE)
        tokens.append(logits.argmax(-1, keepdim=True))
        logits = ours.step(cache.next(tokens[-1]), cache)[:, 0]
    assert torch.equal(torch.cat(tokens, 1), expected.sequences[:, prompts.values.shape[1] :])
    assert cache.length == 14


@torch.no_grad()
def test_attention_weights_of_llama():
    """The maps that we show are those that their eager attention returns."""
    other, ours = llama()
    text, records = stream(TEXTS, pad=0), []
    other.set_attn_implementation("eager")
    expected = other(input_ids=text.values, attention_mask=text.real.long(), output_attentions=True).attentions
    other.set_attn_implementation("sdpa")
    ours({"text": text}, tap=records.append)
    assert len(expected) == len(records) == 2
    real = text.real[:, None, :].expand(3, 4, 6)
    for theirs_, record in zip(expected, records, strict=True):
        torch.testing.assert_close(record.attention.weights(record)[real], theirs_[real], **TOLERANCE)


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 7, 8, 12, 16, 20])
def test_alibi_against_bloom(heads):
    """BLOOM adds slope k where the paper has -slope (q - k): one constant a row apart, which softmax does not see."""
    length = 5
    bloom = theirs().alibi(torch.ones(1, length, dtype=torch.long), heads, torch.float32).view(heads, 1, length)
    places = torch.arange(length).unsqueeze(0)
    ours = Alibi(heads=heads).bias(places, places, lambda: distances_of(places, places))[0]
    seen = torch.ones(length, length, dtype=torch.bool).tril()
    rows = (bloom - ours).masked_fill(~seen, math.nan)
    for query in range(length):
        first = rows[:, query, :1].expand(-1, query + 1)
        torch.testing.assert_close(rows[:, query, : query + 1], first, **TOLERANCE)


@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 12), (64, 1000), (16, 20)])
@pytest.mark.parametrize("two_sided", [True, False], ids=["encoder", "decoder"])
def test_t5_buckets(buckets, max_distance, two_sided):
    offsets = torch.arange(-3 * max_distance, 3 * max_distance)
    ours = T5(heads=2, buckets=buckets, max_distance=max_distance, two_sided=two_sided)
    expected = theirs().bucket(offsets, bidirectional=two_sided, num_buckets=buckets, max_distance=max_distance)
    assert torch.equal(ours.bucket(offsets), expected)
