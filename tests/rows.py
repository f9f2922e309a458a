"""What of the literature can be said in the language: one row a mechanism, with how it is written and who proves it.

    python -m tests.rows > docs/coverage.md

The rows are the 154 of a survey of eleven public libraries, and some more that came since. tests/test_rows.py holds that
each row that is served loads and builds, and that the reference and the tests named are there.
"""

from typing import NamedTuple

import yaml

from tests.matrix.options import laid

ATTENTION, CACHE, MODEL = "tests/nn/test_attention.py", "tests/nn/test_cache.py", "tests/nn/test_model.py"
MASKS, RECURRENT, STACKS = "tests/spec/test_masks.py", "tests/nn/test_recurrent.py", "tests/nn/test_stacks.py"
NORMALIZERS, POSITIONS = "tests/nn/test_normalizers.py", "tests/nn/test_positions.py"


TOP = ("task", "data")
"""Keys of a row's spec that stand beside `model`, not below it."""


class Row(NamedTuple):
    """One mechanism."""

    group: str
    name: str
    source: str
    spec: str | None
    """Below `model`, in a model of width 32 (LM: a decoder; else named by `on`); None where it is not served."""
    test: str = ATTENTION
    on: str = "decoder"
    why: str = ""
    """Why it is not served."""


BASES = {
    "decoder": "name: x\ntask: language_model\nmodel: {d_model: 32, max_length: 64, attention: {heads: 4}, decoder: {layers: 2}}",
    "encoder": "name: x\ntask: {kind: tagging, tags: 3}\nmodel: {d_model: 32, max_length: 64, attention: {heads: 4}, encoder: {layers: 2}}",
    "both": "name: x\ntask: seq2seq\nmodel: {d_model: 32, max_length: 64, attention: {heads: 4}, encoder: {layers: 2}, decoder: {layers: 2}}",
    "recurrent": "name: x\ntask: seq2seq\nmodel: {d_hidden: 16, max_length: 64, encoder: {kind: recurrent, direction: both}, "
    "decoder: {kind: recurrent, cross_attention: {score: general}}}",
}  # fmt: skip


ROWS = (
    # A. scores
    Row("A", "Dot, unscaled", "Luong 2015", "attention: {score: dot}"),
    Row("A", "Scaled dot", "Vaswani 2017", "attention: {score: scaled_dot}"),
    Row("A", "Free scale: constant or learned", "Gemma 2 2024; Yang 2022", "attention: {score: {kind: scaled_dot, scale: learned}}"),
    Row("A", "Cosine with temperature", "Henry 2020; Liu 2022", "attention: {score: {kind: cosine, temperature: learned}}"),
    Row("A", "RMS or layer norm of query and key", "Dehghani 2023", "attention: {qk_norm: rms_norm}"),
    Row("A", "Norm of the value", "Gemma 3n 2025", "attention: {v_norm: rms_norm}"),
    Row("A", "General, bilinear", "Luong 2015", "attention: {score: general}"),
    Row("A", "Additive; concat", "Bahdanau 2015; Luong 2015", "attention: {score: additive}"),
    Row("A", "Trilinear", "Seo 2017", "attention: {score: trilinear}"),
    Row("A", "Location-aware", "Chorowski 2015", "decoder: {cross_attention: {score: {kind: location_aware, d_hidden: 8, channels: 4, kernel_size: 3}}}", RECURRENT, "recurrent"),
    Row("A", "Coverage in the score", "Tu 2016; See 2017", "decoder: {cross_attention: {score: {kind: coverage, d_hidden: 8}}}", RECURRENT, "recurrent"),
    Row("A", "Forward, monotonic", "Zhang 2018; Raffel 2017", "decoder: {cross_attention: {normalizer: forward}}", RECURRENT, "recurrent"),
    Row("A", "Negative squared distance", "Kim 2021", "attention: {score: distance}"),
    Row("A", "Talking heads", "Shazeer 2020", "attention: {talking_heads: both}"),
    Row("A", "Disentangled content and position", "He 2021", "attention: {position: {kind: disentangled, max_distance: 16}}"),
    Row("A", "Synthesizer", "Tay 2020", "attention: {score: {kind: synthesizer, max_length: 64}}"),
    Row("A", "Soft-cap of logits", "Gemma 2 2024", "attention: {soft_cap: 50}"),
    Row("A", "Length temperature", "Llama 4 2025", "attention: {length_temperature: {kind: llama4, floor: 8}}"),
    Row("A", "Selective attention", "Leviathan 2024", "attention: {selective: first_head}", "tests/nn/test_selective.py"),
    Row("A", "Signed weights", "Lv 2024", "attention: {normalizer: signed}", NORMALIZERS),
    Row("A", "Learned key selection", "DeepSeek-V3.2 2025", "attention: {select: {kind: indexer, keys: 8}}", "tests/nn/test_indexer.py"),
    # B. normalizers
    Row("B", "Softmax", "Vaswani 2017", "attention: {normalizer: softmax}", NORMALIZERS),
    Row("B", "Plain normalization of the founding article", "article, 3.1.2", "attention: {normalizer: sum}", NORMALIZERS),
    Row("B", "Sparsemax", "Martins 2016", "attention: {normalizer: sparsemax}", NORMALIZERS),
    Row("B", "Entmax", "Peters 2019", "attention: {normalizer: {kind: entmax, alpha: 1.5}}", NORMALIZERS),
    Row("B", "Learned alpha a head", "Correia 2019", "attention: {normalizer: {kind: entmax, alpha: learned}}", NORMALIZERS),
    Row("B", "Sigmoid", "Ramapuram 2024", "attention: {normalizer: sigmoid}", NORMALIZERS),
    Row("B", "Pointwise relu, gelu, relu squared", "Wortsman 2023", "attention: {normalizer: {kind: pointwise, activation: relu}}", NORMALIZERS),
    Row("B", "Softmax plus one", "Miller 2023", "attention: {sink: zero}"),
    Row("B", "Learned sink", "gpt-oss 2025", "attention: {sink: learned}"),
    Row("B", "Hard argmax, straight through", "Bengio 2013", "attention: {normalizer: hard}", NORMALIZERS),
    Row("B", "Gumbel softmax", "Jang 2017", "attention: {normalizer: gumbel}", NORMALIZERS),
    Row("B", "Top-k", "Zhao 2019", "attention: {select: {kind: top, keys: 8}}"),
    Row("B", "Kernel sum", "Katharopoulos 2020", "attention: {kind: linear}", "tests/nn/test_running.py"),
    Row("B", "Random features of the softmax", "Choromanski 2021", "attention: {kind: performer, features: 16}", "tests/nn/test_features.py"),
    Row("B", "Inverted, over queries", "Locatello 2020", "attention: {normalizer: queries}", NORMALIZERS, "encoder"),
    Row("B", "Adaptive span", "Sukhbaatar 2019", "attention: {span: {kind: adaptive, maximum: 32}}"),
    Row("B", "Normmax, budget", "Santos 2024", "encoder: {attention: {normalizer: {kind: budget, keys: 4}}}, decoder: {attention: {normalizer: normmax}}", NORMALIZERS, "both"),
    # C. masks
    Row("C", "Causal", "Vaswani 2017", "attention: {mask: causal}", MASKS),
    Row("C", "Padding of keys, left and right", "–", "{}", MODEL),
    Row("C", "Window, causal", "Beltagy 2020; Mistral 2023", "attention: {mask: causal & window(before=15)}", MASKS),
    Row("C", "Window, two-sided", "Beltagy 2020", "attention: {mask: window(around=8)}", MASKS, "encoder"),
    Row("C", "Chunked, block-local", "Llama 4 2025", "attention: {mask: causal & block(16)}", MASKS),
    Row("C", "Dilated", "Beltagy 2020; Ding 2023", "attention: {mask: causal & dilated(4)}", MASKS),
    Row("C", "Strided and fixed", "Child 2019", "attention: {mask: causal & (block(16) | k % 16 >= 12)}", MASKS),
    Row("C", "Global and window", "Beltagy 2020", "attention: {mask: window(around=8) | global(2)}", MASKS, "encoder"),
    Row("C", "Block sparse with random blocks", "Zaheer 2020", 'attention: {mask: "abs(q // 8 - k // 8) <= 1 | random_blocks(count=2, size=8, seed=0) | global(8)"}', MASKS, "encoder"),
    Row("C", "Prefix", "Raffel 2020", "task: {kind: language_model, loss_on: answer}, attention: {mask: causal | prefix}", MASKS),
    Row("C", "Documents, packing", "Krell 2021", "attention: {mask: causal & same(document)}", MASKS),
    Row("C", "Two-sided spans inside causal", "PaliGemma 2024", None, MASKS, why="needs spans in the data"),
    Row("C", "Tree, ancestors", "Miao 2024", None, MASKS, why="outside on purpose: positions would be depths"),
    Row("C", "2-D neighbourhood", "Hassani 2023", "data: {train: x.tsv, fields: {row: {kind: integers}, column: {kind: integers}}}, attention: {mask: neighbourhood(3)}", MASKS, "encoder"),
    Row("C", "Axial", "Ho 2019", None, MASKS, why="comes with image inputs"),
    Row("C", "Shifted 2-D windows", "Liu 2021", None, MASKS, why="comes with image inputs"),
    Row("C", "Block diffusion", "Arriola 2025", None, MASKS, why="outside on purpose: a doubled sequence"),
    Row("C", "Any predicate of positions", "–", "attention: {mask: 0 <= q - k <= 7 & ~(q - k == 3)}", MASKS),
    Row("C", "A mask a head", "Child 2019", 'attention: {mask: "causal & window(before=by_head(3, 3, 15, 31))"}', MASKS),
    Row("C", "A mask as an expression in the file", "–", "attention: {mask: h % 2 == 0 & causal | h % 2 == 1 & causal & dilated(4)}", MASKS),
    Row("C", "Random dropping of keys", "Liu 2022", "attention: {key_dropout: 0.15}", "tests/nn/test_forgetful.py"),
    Row("C", "Monotonic window while writing", "Ping 2018", "decoder: {cross_attention: {normalizer: moving_window}}", RECURRENT, "recurrent"),
    # D. positions
    Row("D", "Sinusoidal", "Vaswani 2017", "input: {position: sinusoidal}", POSITIONS),
    Row("D", "Learned absolute", "Gehring 2017", "input: {position: learned}", POSITIONS),
    Row("D", "None, for each layer", "Kazemnejad 2023", "decoder: {layers: [{attention: {position: none}}, {}]}", POSITIONS),
    Row("D", "Rotary, halves", "Su 2021", "attention: {position: {kind: rotary, layout: half}}", POSITIONS),
    Row("D", "Rotary, interleaved", "Su 2021", "attention: {position: {kind: rotary, layout: interleaved}}", POSITIONS),
    Row("D", "Partial rotary", "GPT-J 2021", "attention: {position: {kind: rotary, d_rotary: 4}}", POSITIONS),
    Row("D", "Linear interpolation", "Chen 2023", "attention: {position: {scaling: {kind: linear, factor: 4}}}", POSITIONS),
    Row("D", "NTK-aware, dynamic NTK", "bloc97 2023", "attention: {position: {scaling: {kind: ntk, factor: 4}}}", POSITIONS),
    Row("D", "YaRN", "Peng 2023", "attention: {position: {scaling: {kind: yarn, factor: 4, original_length: 16}}}", POSITIONS),
    Row("D", "Llama 3 scaling", "Dubey 2024", "attention: {position: {scaling: {kind: llama3, factor: 8, original_length: 16}}}", POSITIONS),
    Row("D", "LongRoPE", "Ding 2024", "attention: {position: {scaling: {kind: longrope, factor: 4, original_length: 16, short: [1, 1.1, 1.2, 1.3], long: [2, 2.1, 2.2, 2.3]}}}", POSITIONS),
    Row("D", "Several axes", "Wang 2024", None, POSITIONS, why="comes with image inputs"),
    Row("D", "xPos", "Sun 2022", "attention: {position: xpos}", POSITIONS),
    Row("D", "PoPE", "Gopalakrishnan 2025", "attention: {position: pope}", POSITIONS),
    Row("D", "ALiBi, causal", "Press 2022", "attention: {position: alibi}", POSITIONS),
    Row("D", "ALiBi, two-sided", "Press 2022", "attention: {position: alibi}", POSITIONS, "encoder"),
    Row("D", "Forgetting: decay from the data", "Lin 2025", "attention: {position: forgetting}", POSITIONS),
    Row("D", "T5's buckets", "Raffel 2020", "attention: {position: t5}", POSITIONS),
    Row("D", "Relative keys and values", "Shaw 2018", "attention: {position: {kind: shaw, max_distance: 8}}", POSITIONS),
    Row("D", "Transformer-XL's", "Dai 2019", "attention: {position: transformer_xl}", POSITIONS),
    Row("D", "CoPE", "Golovneva 2024", "attention: {position: {kind: cope, maximum: 16}}", POSITIONS),
    Row("D", "Log-distance bias by a small network", "Liu 2022", "attention: {position: log_distance}", POSITIONS),
    Row("D", "Kernels of the distance: KERPLE, Sandwich", "Chi 2022, 2023", "attention: {position: kerple}", POSITIONS),
    Row("D", "Bank of distances asked by the query", "Inkling 2026", "attention: {position: {kind: bank, extent: 8}}", POSITIONS),
    Row("D", "PaTH", "Yang 2025", None, POSITIONS, why="not built"),
    Row("D", "2-D relative table", "Liu 2021", None, POSITIONS, why="comes with image inputs"),
    Row("D", "Convolutional positions", "Baevski 2020", None, POSITIONS, why="comes with audio inputs"),
    # E. heads
    Row("E", "Free widths of heads and values", "Vaswani 2017", "attention: {d_head: 6, d_value: 10}"),
    Row("E", "Grouped and multi-query", "Shazeer 2019; Ainslie 2023", "attention: {kv_heads: 2}"),
    Row("E", "Latent attention", "DeepSeek-V2 2024", "attention: {kind: latent, heads: 4, kv_rank: 16, d_head: 8, d_rotary: 4}", "tests/nn/test_latent.py"),
    Row("E", "Keys that are the values", "DeepSeek-V4 2026", "attention: {kv_heads: 1, values: keys}"),
    Row("E", "Global rows with projections of their own", "Beltagy 2020", "attention: {mask: window(around=4) | global(2), second_projections: q < 2}", "tests/nn/test_second.py", "encoder"),
    Row("E", "Differential", "Ye 2024", "attention: {kind: differential, heads: 2}", "tests/nn/test_differential.py"),
    Row("E", "Output gate", "Qiu 2025", "attention: {gate: sigmoid}"),
    Row("E", "Scale or gate a head", "Shleifer 2021; Bondarenko 2023", "attention: {head_scale: learned}"),
    Row("E", "Value residual", "Zhou 2024", "attention: {value_residual: first}"),
    Row("E", "Persistent keys and values", "Sukhbaatar 2019", "attention: {persistent: 4}"),
    Row("E", "Attention on attention", "Huang 2019", "attention: {output: attention_on_attention}"),
    Row("E", "Keys and values across layers", "Brandon 2024; Sun 2024", "decoder: {layers: [{name: writer}, {attention: {kv_from: writer}}]}"),
    Row("E", "Cross-attention, memory of another width", "Bahdanau 2015", "tie_embeddings: none, encoder: {d_model: 48}", on="both"),
    Row("E", "Gated cross-attention", "Alayrac 2022", "decoder: {cross_attention: {residual: gated}}", STACKS, "both"),
    Row("E", "Attention beside a state space model", "Dong 2024", None, why="not built"),
    Row("E", "Experts of attention", "Fedus 2021; Du 2025", None, why="outside on purpose (MoM)"),
    Row("E", "Clipping of queries and keys", "Kimi K2 2025", "attention: {qk_clip: 100}", "tests/nn/test_clipping.py"),
    Row("E", "Short convolution on query, key, value", "So 2021", "attention: {short_convolution: 3}", "tests/nn/test_short.py"),
    # F. efficient, memory, cache
    Row("F", "Linear attention", "Katharopoulos 2020", "attention: {kind: linear}", "tests/nn/test_running.py"),
    Row("F", "Performer", "Choromanski 2021", "attention: {kind: performer}", "tests/nn/test_running.py"),
    Row("F", "Linformer, Nyström, Fourier mix", "Wang 2020; Xiong 2021; Lee-Thorp 2021", None, why="outside on purpose: they mix a fixed length as a whole"),
    Row("F", "Hashed and clustered keys", "Kitaev 2020; Vyas 2020; Roy 2020", None, why="outside on purpose: approximate, and not to be proved"),
    Row("F", "Attention-free transformer", "Zhai 2021", None, why="not built"),
    Row("F", "Retention", "Sun 2023", "attention: {kind: retention}", "tests/nn/test_running.py"),
    Row("F", "Delta rule", "Schlag 2021; Yang 2024", "attention: {kind: delta}", "tests/nn/test_delta.py"),
    Row("F", "Gated delta rule", "Yang 2024", "attention: {kind: gated_delta, qk_heads: 2}", "tests/nn/test_delta.py"),
    Row("F", "Gated linear attention, RWKV, state space models", "Yang 2024; Dao 2024", None, why="not built; gated_delta is the nearest"),
    Row("F", "Blocks of keys that are chosen", "Yuan 2025; Lu 2025", None, why="not built; an indexer chooses single keys"),
    Row("F", "Lightweight and dynamic convolution", "Wu 2019", None, why="not built"),
    Row("F", "Memory of past segments", "Dai 2019", "decoder: {segment_memory: 96}", "tests/nn/test_segments.py"),
    Row("F", "Cache of keys and values", "–", "{}", CACHE),
    Row("F", "Cache of a window alone", "Mistral 2023", None, why="not built: the cache keeps all keys"),
    Row("F", "Quantised cache", "Liu 2024", None, why="not built"),
    Row("F", "Paged cache", "Kwon 2023", None, why="outside on purpose: for servers"),
    Row("F", "Cache of a recurrent state", "–", "attention: {kind: gated_delta, qk_heads: 2}", "tests/nn/test_running.py"),
    # G. stack
    Row("G", "Pre and post norm", "Xiong 2020", "norm_place: post", STACKS),
    Row("G", "Sandwich, peri norm", "Ding 2021; Kim 2025", "norm_place: sandwich", STACKS),
    Row("G", "Sub-LN, NormFormer", "Wang 2022; Shleifer 2021", "attention: {context_norm: rms_norm}, feedforward: {inner_norm: layer_norm}", STACKS),
    Row("G", "Layer, RMS, scale norm, DyT", "Zhang 2019; Nguyen 2019; Zhu 2025", "norm: dyt", STACKS),
    Row("G", "GLU family", "Shazeer 2020", "feedforward: reglu", "tests/nn/test_feedforward.py"),
    Row("G", "Mixture of experts", "Shazeer 2017; Fedus 2021", "feedforward: {kind: experts, experts: 4, active: 2, expert: {d_ff: 16}}", "tests/nn/test_experts.py"),
    Row("G", "Balance without a loss, capacity, gated shared expert", "Wang 2024; Fedus 2021; Qwen 2024", "feedforward: {kind: experts, experts: 4, active: 2, expert: {d_ff: 16}, shared: {d_ff: 16, gate: sigmoid}, capacity: 1.5, balance: bias}", "tests/nn/test_experts.py"),
    Row("G", "Attention and feed-forward side by side", "GPT-J 2021; Chowdhery 2022", "decoder: {order: [[attention, feedforward]]}", STACKS),
    Row("G", "DeepNorm", "Wang 2022", "norm_place: post, residual: deepnorm", STACKS),
    Row("G", "ReZero, LayerScale, gates", "Bachlechner 2021; Touvron 2021", "residual: {kind: layer_scale, start: 0.1}", STACKS),
    Row("G", "Hyper-connections", "Zhu 2024", None, STACKS, why="outside on purpose"),
    Row("G", "Layer sharing", "Lan 2020", "decoder: {layers: [{repeat: 2, share: all}]}", STACKS),
    Row("G", "A pattern of layers", "Gemma 2 2024", "decoder: {layers: [{repeat: 2, layers: [{attention: {mask: causal & window(before=15)}}, {}]}]}", STACKS),
    Row("G", "Macaron, sandwich order", "Lu 2019; Press 2020", "decoder: {order: [feedforward, attention, feedforward]}", STACKS),
    Row("G", "Tied and factorised embeddings", "Press 2017; Lan 2020", "task: {kind: language_model, output: {transform: {activation: gelu}}}, input: {d_embedding: 16}", "tests/nn/test_inputs.py"),
    Row("G", "Two objectives on one stack", "Devlin 2019; Lan 2020", "task: [masked_language_model, {kind: sentence_pair, negatives: swapped}]", "tests/data/test_pairs.py", "encoder"),
    Row("G", "Denoising: BART, T5", "Lewis 2020; Raffel 2020", "task: {kind: denoising, corruption: sentinels}", "tests/data/test_denoising.py", "both"),
    Row("G", "Stochastic depth", "Huang 2016; Fan 2020", "stochastic_depth: 0.1", STACKS),
    # H. recurrent
    Row("H", "GRU and LSTM encoder, both ways", "Cho 2014", "cell: lstm", RECURRENT, "recurrent"),
    Row("H", "Luong's decoder: the new state asks", "Luong 2015", "decoder: {query: state}", RECURRENT, "recurrent"),
    Row("H", "Bahdanau's decoder: the previous state asks", "Bahdanau 2015", "decoder: {query: previous_state}", RECURRENT, "recurrent"),
    Row("H", "Input feeding", "Luong 2015", "decoder: {input_feeding: readout}", RECURRENT, "recurrent"),
    Row("H", "Local-m and local-p", "Luong 2015", "decoder: {cross_attention: {span: {kind: predicted, half_width: 4}}}", RECURRENT, "recurrent"),
    Row("H", "Coverage with its loss", "See 2017", "decoder: {cross_attention: {score: {kind: coverage, d_hidden: 8, loss: 1}}}", RECURRENT, "recurrent"),
    Row("H", "Scheduled teacher forcing", "Bengio 2015; Duckworth 2019", "task: {kind: seq2seq, teacher_forcing: {scheduled: 0.25, over: 50%}}", "tests/training/test_forcing.py", "both"),
    Row("H", "Copying: pointer-generator", "See 2017", "task: {kind: seq2seq, label_smoothing: 0, output: pointer_generator}", "tests/nn/test_pointer.py", "both"),
    Row("H", "Context gate", "Tu 2017", "decoder: {readout: {kind: dense, gate: both}}", RECURRENT, "recurrent"),
    Row("H", "Convolutional sequence to sequence", "Gehring 2017", None, RECURRENT, why="not built"),
    Row("H", "Structured attention", "Kim 2017", None, RECURRENT, why="not built"),
    # I. inputs, outputs, pooling
    Row("I", "Segments of a text", "Devlin 2019", "encoder: {input: {segments: 2}}", "tests/data/test_segments.py", "encoder"),
    Row("I", "Image patches", "Dosovitskiy 2021", None, why="comes with image inputs"),
    Row("I", "Spectrograms", "Gulati 2020", None, why="comes with audio inputs"),
    Row("I", "Numbers as inputs", "Golkar 2023", None, why="models read text"),
    Row("I", "Heads that name tokens: the next, the hidden", "Devlin 2019", "task: {kind: masked_language_model, output: {bias: true}}", "tests/nn/test_tasks.py", "encoder"),
    Row("I", "A class of a text, tags of words", "Devlin 2019", "task: {kind: classification, classes: 3}", "tests/nn/test_tasks.py", "encoder"),
    Row("I", "Alignment-free losses: CTC, transducer", "Graves 2006; 2012", None, why="comes with audio inputs"),
    Row("I", "Contrast of two encoders", "Radford 2021", None, why="not built"),
    Row("I", "Regression", "–", None, why="not built"),
    Row("I", "Pooling: first, mean, last, largest, attention", "Lee 2019", "task: {kind: classification, classes: 3, pooling: {kind: attention, queries: 2}}", "tests/nn/test_tasks.py", "encoder"),
    Row("I", "Adaptive softmax", "Grave 2017", "tie_embeddings: none, task: {kind: language_model, output: {kind: adaptive, cutoffs: [6, 12], factor: 2}}", "tests/nn/test_outputs.py"),
    Row("I", "Mixture of softmaxes", "Yang 2018", "task: {kind: language_model, output: {kind: mixture, components: 3}}", "tests/nn/test_outputs.py"),
)  # fmt: skip

GROUPS = {
    "A": "Scores", "B": "Normalizers", "C": "Masks", "D": "Positions", "E": "Heads and projections", "F": "Efficient kinds, memory, cache",
    "G": "Stack", "H": "Recurrent encoder and decoder", "I": "Inputs, outputs, pooling",
}  # fmt: skip


def spec_of(row: Row) -> str:
    """The whole spec of a row."""
    assert row.spec is not None
    whole = yaml.safe_load(BASES[row.on])
    written = yaml.safe_load("{" + row.spec + "}") if row.spec != "{}" else {}
    whole |= {key: value for key, value in written.items() if key in TOP}
    whole["model"] = laid(whole["model"], {key: value for key, value in written.items() if key not in TOP})
    if row.on == "recurrent":
        whole["tokenizer"] = "words"
    return yaml.safe_dump(whole, sort_keys=False, width=10_000)


def table() -> str:
    """docs/coverage.md."""
    served = sum(row.spec is not None for row in ROWS)
    lines = [
        "# What of the literature can be said",
        "",
        f"{served} of {len(ROWS)} mechanisms are served, each below `model` as written here, in any combination that has a "
        "meaning. The list is that",
        "of a survey of eleven public libraries, of which the widest serves 80 of 154 rows. Written by "
        "`python -m tests.rows > docs/coverage.md`;",
        "a test holds that every row loads and builds, and that the tests named are there. "
        "Each kind's equation and source: `attncli explain KIND`.",
    ]
    for group, title in GROUPS.items():
        rows = [row for row in ROWS if row.group == group]
        count = sum(row.spec is not None for row in rows)
        lines += ["", f"## {title}: {count} of {len(rows)}", "", "| mechanism | source | written as | held by |"]
        lines.append("|---|---|---|---|")
        for row in rows:
            how = (
                "–"
                if row.spec is None
                else "as it is"
                if row.spec == "{}"
                else "`" + row.spec.replace("|", "\\|") + "`"
            )
            lines.append(
                f"| {row.name} | {row.source} | {how if row.spec else row.why} | {row.test if row.spec else '–'} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
