"""Small specs that between them use every part whose cost is counted."""

SIZES = "d_model: 24, max_length: 11"


def seq2seq(model: str) -> str:
    return f"name: x\ntask: seq2seq\ntokenizer: bytes\nmodel: {{{model}}}"


def transformer(attention: str = "heads: 4", more: str = "") -> str:
    return seq2seq(
        f"{SIZES}, {more}attention: {{kernel: reference, {attention}}}, encoder: {{layers: 2}}, decoder: {{layers: 1}}"
    )


def recurrent(encoder: str, decoder: str) -> str:
    return seq2seq(f"d_hidden: 12, max_length: 11, encoder: {{kind: recurrent{encoder}}}, "
                   f"decoder: {{kind: recurrent, {decoder}}}")  # fmt: skip


def one_stack(task: str, stack: str = "encoder") -> str:
    model = f"{{{SIZES}, attention: {{kernel: reference, heads: 3}}, {stack}: {{layers: 2}}}}"
    return f"name: x\ntask: {task}\ntokenizer: bytes\nmodel: {model}"


TRANSFORMERS = {
    "plain": transformer(),
    "grouped": transformer("heads: 4, kv_heads: 2, d_head: 10, d_value: 6, position: none"),
    "additive": transformer("heads: 4, kv_heads: 2, score: {kind: additive, d_hidden: 5}"),
    "general": transformer("heads: 4, score: general"),
    "biased_dot": transformer("heads: 4, score: biased_dot"),
    "cosine": transformer("heads: 2, score: cosine"),
    "second": transformer("heads: 4, kv_heads: 2, second_projections: q == 1 | q > 4"),
    "no_maps": transformer("heads: 4, projections: [value, output], score: general"),
    "talking_gated": transformer("heads: 4, kv_heads: 2, talking_heads: both, gate: sigmoid, sink: learned"),
    "talking_gated_heads": transformer("heads: 4, talking_heads: after, gate: sigmoid_per_head, qk_norm: rms_norm"),
    "narrow_embedding": transformer(more="tie_embeddings: none, input: {d_embedding: 10}, feedforward: relu, "),
    "language_model": one_stack("language_model", "decoder"),
    "masked": one_stack("{kind: masked_language_model, output: {transform: {}}}"),
    "tagging": one_stack("{kind: tagging, tags: 5}"),
    "two_tasks": one_stack("[masked_language_model, sentence_pair]"),
    "orders": transformer().replace(
        "decoder: {layers: 1",
        "decoder: {layers: 2, order: [feedforward, [attention, cross_attention], {feedforward: {kind: relu}}]",
    ),
    "experts": transformer(
        more="feedforward: {kind: experts, experts: 3, active: 2, expert: {d_ff: 8}, shared: {kind: relu, d_ff: 6}}, "
    ),
    "shared": one_stack("language_model", "decoder").replace("layers: 2", "layers: [{repeat: 3, share: all}]"),
    "albert": one_stack("{kind: masked_language_model, output: {bias: true, transform: {norm: layer_norm}}}").replace(
        "layers: 2", "input: {d_embedding: 10}, layers: [{repeat: 2, share: attention}], norm_place: sandwich"
    ),
}
TRANSFORMERS["pointer"] = transformer().replace(
    "seq2seq", "{kind: seq2seq, label_smoothing: 0, output: pointer_generator}"
)
CHOSEN = {
    "indexer": transformer(
        "heads: 4, kv_heads: 2, position: none, select: {kind: indexer, keys: 3, heads: 2, d_head: 8}"
    ),
}
"""Parts that send no gradient to what they read, so that a training step costs less than three forward passes."""
POOLED = {
    "mean": one_stack("{kind: classification, classes: 5, pooling: {kind: mean, dense: tanh}}"),
    "attention": one_stack("{kind: classification, classes: 5, pooling: {kind: attention, heads: 2, queries: 3}}"),
    "additive_pooling": one_stack(
        "{kind: classification, classes: 5, pooling: {kind: attention, heads: 2, score: additive, dense: gelu}}"
    ),
}
RECURRENT = {
    "bahdanau": recurrent(", direction: both, input: {d_embedding: 10}",
                          "query: previous_state, cross_attention: {score: additive}"),
    "luong": recurrent(", layers: 2, cell: lstm", "layers: 2, cell: lstm, bridge: copy, input_feeding: readout, "
                       "cross_attention: {score: general, span: {kind: predicted, half_width: 3}}"),
    "gated": recurrent(", layers: 2, residual: add, cell: {kind: gru, reset: before}",
                       "cell: rnn, layers: 2, residual: add, readout: {gate: both}, bridge: {of: mean}"),
    "maxout": recurrent(", cell: lstm", "cell: lstm, query: state_and_cell, readout: {kind: maxout, d_hidden: 7}"),
    "coverage": recurrent("", "cell: lstm, query: state_and_cell, cross_attention: {score: {kind: coverage}}"),
    "location_aware": recurrent("", "query: previous_state, cross_attention: {normalizer: forward, "
                                "score: {kind: location_aware, channels: 3, kernel_size: 5}}"),
    "pointer": recurrent("", "cell: lstm, query: state_and_cell, input_feeding: {kind: context, combine: linear}"
                         ).replace("seq2seq", "{kind: seq2seq, label_smoothing: 0, output: pointer_generator}"),
    "mixture": recurrent("", "cell: lstm").replace(
        "seq2seq", "{kind: seq2seq, output: {kind: mixture, components: 3}}"),
    "article": recurrent("", "query: input_and_previous_state, input_feeding: {kind: context, combine: relu}, "
                         "readout: state, cross_attention: {score: {kind: location, max_length: 11}}"),
    "over_transformer": seq2seq("max_length: 11, encoder: {d_model: 24, layers: 1}, "
                                "decoder: {kind: recurrent, d_hidden: 12, cross_attention: {score: additive}}"),
}  # fmt: skip


def placed(position: str) -> str:
    attention = f"{{kernel: reference, heads: 4, kv_heads: 2, position: {position}}}"
    model = f"{{{SIZES}, attention: {attention}, decoder: {{layers: 2}}}}"
    return f"name: x\ntask: language_model\ntokenizer: bytes\nmodel: {model}"


PLACED = {
    "shaw": placed("{kind: shaw, max_distance: 2}"),
    "shaw_keys": placed("{kind: shaw, max_distance: 9, on: keys}"),
    "transformer_xl": placed("transformer_xl"),
    "disentangled": placed("{kind: disentangled, max_distance: 3}"),
    "released": placed("{kind: disentangled, max_distance: 3, key_distance: released}"),
    "cope": placed("{kind: cope, maximum: 3}"),
    "forgetting": placed("forgetting"),
    "log_distance": placed("{kind: log_distance, d_hidden: 7}"),
    "longrope": placed("{kind: rotary, scaling: {kind: longrope, factor: 2, original_length: 4, "
                       "short: [1, 1, 1], long: [2, 2, 2]}}"),
}  # fmt: skip
"""Positions; a step of training makes no gradient of the distances themselves, so it is less than three times this."""
LATENT = {
    "latent": placed("{layout: interleaved}").replace("kv_heads: 2", "kind: latent, kv_rank: 5, d_rotary: 4"),
    "latent, wide": placed("none").replace("kv_heads: 2", "kind: latent, q_rank: 7, kv_rank: 40, d_value: 5"),
}
"""Their keys and values are made of all that a text has, or not at all."""
ALL = LATENT | TRANSFORMERS | CHOSEN | POOLED | RECURRENT | PLACED
