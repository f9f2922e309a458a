"""What a misspelt or foreign word may have meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher

FOREIGN: dict[str, tuple[str, ...]] = {
    "heads": ("num_heads", "n_heads", "n_head", "nhead", "nheads", "head_count", "num_attention_heads",
              "attention_heads"),
    "kv_heads": ("num_kv_heads", "n_kv_heads", "num_key_value_heads", "num_kv", "key_value_heads"),
    "d_head": ("head_dim", "d_k", "d_kv", "dim_head", "head_size", "d_qk"),
    "d_value": ("d_v", "v_head_dim", "value_dim"),
    "d_model": ("hidden_size", "n_embd", "embed_dim", "model_dim", "dim", "d_embed", "dmodel", "width", "emb_dim"),
    "d_embedding": ("embedding_size", "embedding_dim", "word_vec_size"),
    "d_hidden": ("rnn_size", "hidden_units", "hidden_dim", "units"),
    "d_ff": ("intermediate_size", "ffn_dim", "dim_feedforward", "n_inner", "ff_size", "ffn_hidden_size", "d_inner",
             "dff"),
    "layers": ("num_layers", "n_layer", "n_layers", "num_hidden_layers", "depth", "layer_count", "num_blocks"),
    "repeat": ("count", "times"),
    "max_length": ("max_position_embeddings", "n_positions", "max_len", "max_seq_len", "block_size", "context_length",
                   "n_ctx", "max_seq_length", "max_source_length", "seq_len"),
    "dropout": ("dropout_rate", "dropout_prob", "hidden_dropout_prob", "attention_dropout", "attn_pdrop", "resid_pdrop",
                "embd_pdrop", "attention_probs_dropout_prob", "p_dropout"),
    "base": ("rope_theta", "theta", "rotary_base"),
    "epsilon": ("eps", "layer_norm_eps", "rms_norm_eps", "layer_norm_epsilon", "norm_eps"),
    "attention": ("self_attention", "self_attn", "attn"),
    "cross_attention": ("cross_attn", "encoder_attention", "src_attention"),
    "feedforward": ("ffn", "mlp", "feed_forward", "activation", "hidden_act", "activation_function"),
    "norm_place": ("norm_first", "normalization_position", "pre_norm", "norm_position"),
    "norm": ("layer_norm", "layernorm", "normalization"),
    "position": ("positional_encoding", "position_embedding", "pos_emb", "positions", "position_encoding"),
    "score": ("attn_type", "attention_type", "scoring", "score_function", "similarity"),
    "normalizer": ("softmax", "normaliser", "normalization_function"),
    "mask": ("attn_mask", "attention_mask"),
    "input_feeding": ("input_feed",),
    "cell": ("rnn_type", "rnn", "cell_type"),
    "direction": ("bidirectional",),
    "tie_embeddings": ("tie_word_embeddings", "tie_weights", "share_embeddings", "tied_embeddings", "tied"),
    "init": ("initializer", "initialization", "param_init", "weight_init"),
    "learning_rate": ("lr", "max_lr", "peak_lr"),
    "duration": ("epochs", "num_epochs", "max_steps", "steps", "max_epochs", "num_train_epochs",
                 "train_steps", "iterations"),
    "batch": ("batch_size", "per_device_train_batch_size", "train_batch_size"),
    "accumulate": ("gradient_accumulation_steps", "accumulate_grad_batches", "accum_count"),
    "warmup": ("warmup_steps", "warmup_ratio", "warmup_iters", "num_warmup_steps", "learning_rate_warmup"),
    "clip": ("grad_clip", "max_grad_norm", "clip_grad_norm", "gradient_clip_val", "gradient_clipping"),
    "schedule": ("scheduler", "lr_scheduler", "lr_schedule", "decay_method"),
    "optimizer": ("optim", "optimiser"),
    "label_smoothing": ("smoothing", "label_smoothing_factor"),
    "vocabulary": ("vocab_size", "vocab", "n_vocab", "vocabulary_size"),
    "decoding": ("beam_size", "num_beams", "generation"),
    "length_penalty": ("alpha_length",),
    "early_stopping": ("patience",),
    "classes": ("num_classes", "num_labels", "labels", "n_classes"),
    "train": ("training", "trainer"),
    "evaluate": ("evaluation", "eval", "testing"),
    "valid": ("validation", "dev", "val", "validation_file"),
    "kind": ("type", "name_", "class", "_target_"),
    "seed": ("random_seed",),
    "tokenizer": ("tokeniser", "vocabs"),
    "data": ("dataset", "datasets"),
    "precision": ("amp", "mixed_precision", "dtype", "model_dtype"),
    "normal": ("gaussian", "truncated_normal"),
    "xavier_uniform": ("xavier", "glorot", "glorot_uniform"),
    "additive": ("bahdanau", "concat", "mlp_score"),
    "general": ("luong", "bilinear", "multiplicative"),
    "scaled_dot": ("scaled_dot_product", "sdpa", "scaled_dot_product_attention"),
    "multi_head": ("mha", "multihead", "gqa", "mqa", "self_attention"),
    "rotary": ("rope", "rotary_embedding"),
    "sinusoidal": ("sine", "sin", "fixed", "absolute"),
    "layer_norm": ("ln", "layernorm"),
    "rms_norm": ("rms", "rmsnorm"),
    "inverse_sqrt": ("noam", "rsqrt", "inverse_square_root"),
    "language_model": ("lm", "clm", "causal_lm", "text_generation", "gpt"),
    "masked_language_model": ("mlm", "fill_mask", "bert"),
    "classification": ("text_classification", "sequence_classification", "sentiment"),
    "tagging": ("ner", "token_classification", "sequence_labelling", "sequence_labeling", "pos_tagging"),
    "seq2seq": ("translation", "encoder_decoder", "text2text", "machine_translation", "summarization"),
    "recurrent": ("rnn", "lstm", "gru"),
    "bpe": ("byte_level_bpe", "sentencepiece", "subword"),
    "characters": ("char", "chars", "character"),
    "sample": ("sampling", "nucleus", "top_k", "top_p"),
    "none": ("null", "false", "no", "off"),
}  # fmt: skip
"""Our word, and what others call it. Never accepted, only understood."""


def ours(word: str, valid: Iterable[str]) -> str | None:
    """Our name for a foreign word, if it is valid here."""
    lower = word.lower().replace("-", "_")
    return next((name for name in valid if lower in FOREIGN.get(name, ())), None)


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word that was most likely meant; None if none is near."""
    choices = sorted(valid)
    lower = word.lower().replace("-", "_")
    if lower != word and lower in choices:
        return lower
    if not choices:
        return None

    def far_off(choice: str) -> tuple[int, bool, float]:
        same_letters = sorted(lower) == sorted(choice)
        return edits(lower, choice), not same_letters, -SequenceMatcher(None, lower, choice).ratio()

    ranked = sorted(choices, key=far_off)
    best = ranked[0]
    far = edits(lower, best)
    if far <= max(1, len(best) // 4):
        return best
    for choice in choices:
        if min(len(lower), len(choice)) >= 4 and (lower.startswith(choice) or choice.startswith(lower)):
            return choice
    return best if far <= len(best) // 3 else None


def edits(one: str, other: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


def listed(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
