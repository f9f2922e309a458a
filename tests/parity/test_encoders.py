"""ModernBERT, ALBERT, T5 and BART of transformers with their weights copied: logits and gradients, to 1e-5, float32."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attncli.nn.model import Model
from attncli.streams import Batch, stream
from tests.parity.weights import TOLERANCE, built, copy, renamed, shaken

TEXTS = [[5, 6, 7, 8, 9, 10, 11, 12, 13], [11, 12, 13], [14, 15, 16, 17, 5, 9]]
TARGETS = [[2, 7, 8, 9], [2, 11, 12, 13, 14, 15], [2, 5, 8]]

MODERNBERT = """
name: modernbert
task: {kind: masked_language_model,
       output: {bias: true, transform: {activation: gelu, bias: false, norm: &norm {kind: layer_norm, bias: false}}}}
model:
  encoder: {d_model: 24, max_length: 32, dropout: 0, norm: *norm, input: {norm: *norm},
            attention: {heads: 3, position: {base: 160}}, feedforward: {kind: geglu, d_ff: 20}, layers: [
              {attention: {norm: none}},
              {repeat: 2, attention: {mask: window(around=2), position: {base: 10}}},
              {repeat: 1}]}
tokenizer: {kind: unigram, vocabulary: 41}
"""

ALBERT = """
name: albert
task: {kind: masked_language_model,
       output: {bias: true, transform: {activation: gelu_tanh, norm: &norm {kind: layer_norm, epsilon: 1e-12}}}}
model:
  norm: *norm
  encoder: {d_model: 24, max_length: 32, input: {position: learned, d_embedding: 8, norm: *norm}, attention: {heads: 3},
            feedforward: {kind: gelu_tanh, d_ff: 20}, norm_place: post, bias: true, layers: [{repeat: 3, share: all}]}
tokenizer: {kind: unigram, vocabulary: 41}
"""

T5 = """
name: t5
task: {kind: seq2seq, label_smoothing: 0, output: {scale: inverse_sqrt_d_model}}
model:
  {d_model: 24, max_length: 32, attention: {heads: 3, score: dot, position: {kind: t5, buckets: 8, max_distance: 10}},
   feedforward: {kind: relu, d_ff: 40}, encoder: {layers: 2}, decoder: {layers: 2}}
tokenizer: {kind: unigram, vocabulary: 41}
"""

BART = """
name: bart
task: seq2seq
model:
  {d_model: 24, max_length: 32, input: {position: learned, norm: layer_norm}, attention: {heads: 3},
   feedforward: {kind: gelu, d_ff: 40}, norm: layer_norm, norm_place: post, bias: true,
   encoder: {layers: 2}, decoder: {layers: 2}}
tokenizer: {kind: unigram, vocabulary: 41}
"""

DEBERTA = """
name: deberta
task: {kind: masked_language_model,
       output: {bias: true, transform: {activation: gelu, norm: &norm {kind: layer_norm, epsilon: 1e-7}}}}
model:
  norm: *norm
  encoder: {d_model: 24, layers: 2, max_length: 32, input: {norm: *norm}, feedforward: {kind: gelu, d_ff: 40},
            norm_place: post, bias: true,
            attention: {heads: 3, bias: [query, value, output],
                        position: {kind: disentangled, max_distance: 5, key_distance: released}}}
tokenizer: {kind: unigram, vocabulary: 41}
"""

IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "attn_implementation": "eager"}


def modernbert() -> tuple[Any, Model]:
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    config = ModernBertConfig(
        vocab_size=41, hidden_size=24, intermediate_size=20, num_hidden_layers=4, num_attention_heads=3,
        local_attention=4, cls_token_id=2, sep_token_id=3, **IDS,
        rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 160.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 10.0}},
    )  # fmt: skip
    other = shaken(ModernBertForMaskedLM(config), 0.5)
    joined = {
        "model.layers.{}.attn.Wqkv": ("attention.body.query", "attention.body.key", "attention.body.value"),
        "model.layers.{}.mlp.Wi": ("feedforward.body.gate", "feedforward.body.hidden"),
    }
    weights = {}
    for theirs_, parts in joined.items():
        for layer in range(4):
            both = other.get_submodule(theirs_.format(layer)).weight.chunk(len(parts))
            weights |= {f"encoder.layers.{layer}.{part}.weight": one for part, one in zip(parts, both, strict=True)}
    rules = {
        r"model\.layers\.\d+\.(attn\.Wqkv|mlp\.Wi)\.weight": "joined",
        r"model\.embeddings\.tok_embeddings\.weight": "encoder.input.embedding.weight",
        r"model\.embeddings\.norm\.weight": "encoder.input.norm.weight",
        r"model\.layers\.(\d+)\.attn_norm\.weight": r"encoder.layers.\1.attention.norm.weight",
        r"model\.layers\.(\d+)\.mlp_norm\.weight": r"encoder.layers.\1.feedforward.norm.weight",
        r"model\.layers\.(\d+)\.attn\.Wo\.weight": r"encoder.layers.\1.attention.body.output.weight",
        r"model\.layers\.(\d+)\.mlp\.Wo\.weight": r"encoder.layers.\1.feedforward.body.output.weight",
        r"model\.final_norm\.weight": "encoder.final_norm.weight",
        r"head\.dense\.weight": "head.transform.map.weight",
        r"head\.norm\.weight": "head.transform.norm.weight",
        r"decoder\.bias": "head.output.bias",
    }
    found = renamed(other, rules)
    del found["joined"]
    return other, carried(found | weights, MODERNBERT)


def albert() -> tuple[Any, Model]:
    from transformers import AlbertConfig, AlbertForMaskedLM

    config = AlbertConfig(
        vocab_size=41, hidden_size=24, embedding_size=8, intermediate_size=20, num_hidden_layers=3,
        num_attention_heads=3, max_position_embeddings=32, hidden_act="gelu_new", **IDS,
    )  # fmt: skip
    other = shaken(AlbertForMaskedLM(config), 0.5)
    layer = r"albert\.encoder\.albert_layer_groups\.0\.albert_layers\.0\."
    found = renamed(other, {
        r"albert\.embeddings\.word_embeddings\.weight": "encoder.input.embedding.weight",
        r"albert\.embeddings\.position_embeddings\.weight": "encoder.input.position.table.weight",
        r"albert\.embeddings\.token_type_embeddings\.weight": "segments",
        r"albert\.embeddings\.LayerNorm\.(\w+)": r"encoder.input.norm.\1",
        r"albert\.encoder\.embedding_hidden_mapping_in\.(\w+)": r"encoder.input.map.\1",
        layer + r"attention\.(query|key|value)\.(\w+)": r"encoder.layers.0.attention.body.\1.\2",
        layer + r"attention\.dense\.(\w+)": r"encoder.layers.0.attention.body.output.\1",
        layer + r"attention\.LayerNorm\.(\w+)": r"encoder.layers.0.attention.norm.\1",
        layer + r"ffn\.(\w+)": r"encoder.layers.0.feedforward.body.hidden.\1",
        layer + r"ffn_output\.(\w+)": r"encoder.layers.0.feedforward.body.output.\1",
        layer + r"full_layer_layer_norm\.(\w+)": r"encoder.layers.0.feedforward.norm.\1",
        r"predictions\.bias": "head.output.bias",
        r"predictions\.dense\.(\w+)": r"head.transform.map.\1",
        r"predictions\.LayerNorm\.(\w+)": r"head.transform.norm.\1",
    })  # fmt: skip
    # every text is of segment 0, so the row of that segment belongs to each position
    table = found["encoder.input.position.table.weight"] + found.pop("segments")[0]
    return other, carried(found | {"encoder.input.position.table.weight": table}, ALBERT)


def t5() -> tuple[Any, Model]:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=41, d_model=24, d_kv=8, d_ff=40, num_layers=2, num_heads=3, relative_attention_num_buckets=8,
        relative_attention_max_distance=10, **IDS,
    )  # fmt: skip
    other = shaken(T5ForConditionalGeneration(config), 0.7)
    rules = {
        r"shared\.weight": "encoder.input.embedding.weight",
        r"(encoder|decoder)\.final_layer_norm\.weight": r"\1.final_norm.weight",
        r"(encoder|decoder)\.block\.0\.layer\.0\.SelfAttention\.relative_attention_bias\.weight":
            r"\1.layers.0.attention.body.position.table.weight",
    }  # fmt: skip
    branches = {
        ("encoder", 0): "attention", ("encoder", 1): "feedforward", ("decoder", 0): "attention",
        ("decoder", 1): "cross_attention", ("decoder", 2): "feedforward",
    }  # fmt: skip
    maps = {"q": "query", "k": "key", "v": "value", "o": "output", "wi": "hidden", "wo": "output"}
    for (stack, place), ours in branches.items():
        layer = rf"{stack}\.block\.(\d+)\.layer\.{place}\."
        rules[layer + r"layer_norm\.weight"] = rf"{stack}.layers.\1.{ours}.norm.weight"
        for theirs_, name in maps.items():
            if (name == "hidden" or theirs_ == "wo") == (ours == "feedforward"):
                rules[layer + rf"\w+\.{theirs_}\.weight"] = rf"{stack}.layers.\1.{ours}.body.{name}.weight"
    return other, carried(renamed(other, rules), T5)


def bart() -> tuple[Any, Model]:
    from transformers import BartConfig, BartForConditionalGeneration

    config = BartConfig(
        vocab_size=41, d_model=24, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=40, decoder_ffn_dim=40,
        encoder_attention_heads=3, decoder_attention_heads=3, max_position_embeddings=32, **IDS,
    )  # fmt: skip
    other = shaken(BartForConditionalGeneration(config), 0.4)
    layer, ours = r"model\.(encoder|decoder)\.layers\.(\d+)\.", r"\1.layers.\2."
    rules = {
        r"model\.shared\.weight": "encoder.input.embedding.weight",
        r"model\.(encoder|decoder)\.embed_positions\.weight": r"\1.input.position.table.weight",
        r"model\.(encoder|decoder)\.layernorm_embedding\.(\w+)": r"\1.input.norm.\2",
        layer + r"fc1\.(\w+)": ours + r"feedforward.body.hidden.\3",
        layer + r"fc2\.(\w+)": ours + r"feedforward.body.output.\3",
        layer + r"final_layer_norm\.(\w+)": ours + r"feedforward.norm.\3",
    }
    for theirs_, branch in (("self_attn", "attention"), ("encoder_attn", "cross_attention")):
        rules[layer + rf"{theirs_}_layer_norm\.(\w+)"] = ours + rf"{branch}.norm.\3"
        for short, name in {"q": "query", "k": "key", "v": "value", "out": "output"}.items():
            rules[layer + rf"{theirs_}\.{short}_proj\.(\w+)"] = ours + rf"{branch}.body.{name}.\3"
    found = renamed(other, rules)
    for stack in ("encoder", "decoder"):  # their tables begin at 2
        found[f"{stack}.input.position.table.weight"] = found[f"{stack}.input.position.table.weight"][2:]
    return other, carried(found, BART)


def deberta() -> tuple[Any, Model]:
    """Theirs adds a bias to the queries made of positions, which the paper has not: it is 0 here."""
    from transformers import DebertaConfig, DebertaForMaskedLM

    config = DebertaConfig(
        vocab_size=41, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        relative_attention=True, pos_att_type=["c2p", "p2c"], max_position_embeddings=32, max_relative_positions=5,
        position_biased_input=False, type_vocab_size=0, legacy=True, **IDS,
    )  # fmt: skip
    other = shaken(DebertaForMaskedLM(config), 0.5)
    weights = {}
    for number, layer in enumerate(other.deberta.encoder.layer):
        attention, ours = layer.attention.self, f"encoder.layers.{number}.attention.body"
        torch.nn.init.zeros_(attention.pos_q_proj.bias)
        heads = attention.in_proj.weight.view(3, 3, 8, 24)  # of each head its query, key and value
        for place, name in enumerate(("query", "key", "value")):
            weights[f"{ours}.{name}.weight"] = heads[:, place].flatten(0, 1)
        weights |= {f"{ours}.query.bias": attention.q_bias, f"{ours}.value.bias": attention.v_bias}
    layer, ours = r"deberta\.encoder\.layer\.(\d+)\.", r"encoder.layers.\1."
    found = renamed(other, {
        r"deberta\.embeddings\.word_embeddings\.weight": "encoder.input.embedding.weight",
        r"deberta\.embeddings\.LayerNorm\.(\w+)": r"encoder.input.norm.\1",
        r"deberta\.encoder\.rel_embeddings\.weight": "encoder.layers.0.attention.body.position.table.weight",
        layer + r"attention\.self\.(in_proj\.weight|[qv]_bias|pos_q_proj\.bias)": "joined",
        layer + r"attention\.self\.pos_proj\.weight": ours + "attention.body.position.key.weight",
        layer + r"attention\.self\.pos_q_proj\.weight": ours + "attention.body.position.query.weight",
        layer + r"attention\.output\.dense\.(\w+)": ours + r"attention.body.output.\2",
        layer + r"attention\.output\.LayerNorm\.(\w+)": ours + r"attention.norm.\2",
        layer + r"intermediate\.dense\.(\w+)": ours + r"feedforward.body.hidden.\2",
        layer + r"output\.dense\.(\w+)": ours + r"feedforward.body.output.\2",
        layer + r"output\.LayerNorm\.(\w+)": ours + r"feedforward.norm.\2",
        r"cls\.predictions\.bias": "head.output.bias",
        r"cls\.predictions\.transform\.dense\.(\w+)": r"head.transform.map.\1",
        r"cls\.predictions\.transform\.LayerNorm\.(\w+)": r"head.transform.norm.\1",
    })  # fmt: skip
    del found["joined"]
    return other, carried(found | weights, DEBERTA)


def carried(weights: dict[str, Tensor], text: str) -> Model:
    """Our model of a spec with these weights."""
    ours = built(text)
    copy(weights, ours)
    return ours


MODELS = {"modernbert": modernbert, "albert": albert, "deberta": deberta, "t5": t5, "bart": bart}


@cache
def pair(name: str) -> tuple[Any, Model]:
    return MODELS[name]()


def texts(name: str) -> tuple[dict[str, Tensor], Batch, Tensor]:
    """What they read, what we read, and the places that have a token."""
    text = stream(TEXTS, pad=0)
    asked = {"input_ids": text.values, "attention_mask": text.real.long()}
    if name in ("modernbert", "albert", "deberta"):
        return asked, {"text": text}, text.real
    target = stream(TARGETS, pad=0)
    asked |= {"decoder_input_ids": target.values}
    return asked, {"source": text, "target": target}, target.real


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_gradients_of_padded_texts(name):
    other, ours = pair(name)
    asked, batch, real = texts(name)
    expected, found = other(**asked).logits[real], ours(batch)[real]
    torch.testing.assert_close(found, expected, **TOLERANCE)
    assert expected.abs().max() > 1, "logits near 0 would agree whatever we do"
    embedding: nn.Module = next(iter(ours.stacks.values())).input.embedding
    (slope,) = torch.autograd.grad(expected.square().mean(), other.get_input_embeddings().weight)
    (ours_slope,) = torch.autograd.grad(found.square().mean(), embedding.weight)
    torch.testing.assert_close(ours_slope / slope.abs().max(), slope / slope.abs().max(), **TOLERANCE)


@pytest.mark.parametrize("name", ["t5", "bart"])
@torch.no_grad()
def test_writing_with_a_cache(name):
    """A start, then token by token, beside sources of unlike length."""
    other, ours = pair(name)
    source = stream(TEXTS[:2], pad=0)
    tokens = torch.tensor([[2, 6, 7, 8, 9, 10, 11, 12, 5, 7, 9, 30], [2, 14, 16, 18, 20, 5, 7, 8, 31, 32, 33, 9]])
    expected = other(
        input_ids=source.values, attention_mask=source.real.long(), decoder_input_ids=tokens, use_cache=False
    ).logits
    memory = ours.start({"source": source}, capacity=12)
    found = [ours.step(stream(tokens[:, :3].tolist(), pad=0), memory)]
    found += [ours.step(memory.next(tokens[:, at : at + 1]), memory) for at in range(3, 12)]
    torch.testing.assert_close(torch.cat(found, 1), expected, **TOLERANCE)
