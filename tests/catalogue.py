"""One line for each kind of the language, in the language. Every law is held over all of them; a new kind adds a line.

Each fragment says all that its kind can say, so that it also stands without a loader. Sizes fit heads of width 6 (4
where `d_rotary` is 4) and rows of at most 32 tokens.
"""

SCORES = {
    "scaled_dot": "{kind: scaled_dot, scale: 0.4}",
    "scaled_dot, learned": "{kind: scaled_dot, scale: learned}",
    "dot": "dot",
    "cosine": "cosine",
    "cosine, fixed": "{kind: cosine, temperature: 5}",
    "general": "general",
    "biased_dot": "biased_dot",
    "trilinear": "trilinear",
    "distance": "distance",
    "additive": "{kind: additive, d_hidden: 9}",
    "location": "{kind: location, max_length: 32}",
    "synthesizer": "{kind: synthesizer, max_length: 32}",
}

SEQUENTIAL_SCORES = {
    "coverage": "{kind: coverage, d_hidden: 9, loss: 0.7}",
    "coverage, no loss": "{kind: coverage, d_hidden: 5, loss: 0.0}",
    "location_aware": "{kind: location_aware, d_hidden: 9, channels: 3, kernel_size: 3}",
    "location_aware, wide": "{kind: location_aware, d_hidden: 4, channels: 2, kernel_size: 7}",
}
"""For decoders that run step by step."""

SPANS = {"predicted": "{kind: predicted, half_width: 2}"}
"""Reaches of an attention that reads a text of known length."""

SEQUENTIAL_NORMALIZERS = {
    "forward": "forward",
    "moving_window": "{kind: moving_window, keys: 2}",
    "monotonic": "{kind: monotonic, noise: 1.0, evaluation: expected}",
    "monotonic, hard": "{kind: monotonic, noise: 0.5, evaluation: hard}",
}
"""For decoders that run step by step."""

NORMALIZERS = {
    "softmax": "softmax",
    "sum, relu": "{kind: sum, activation: relu}",
    "sum, absolute": "{kind: sum, activation: absolute}",
    "sum, square": "{kind: sum, activation: square}",
    "sum, softplus": "{kind: sum, activation: softplus}",
    "sparsemax": "sparsemax",
    "entmax": "{kind: entmax, alpha: 1.5}",
    "entmax, 1.2": "{kind: entmax, alpha: 1.2}",
    "entmax, 2": "{kind: entmax, alpha: 2.0}",
    "entmax, learned": "{kind: entmax, alpha: learned}",
    "normmax": "{kind: normmax, alpha: 1.25}",
    "normmax, 1.4": "{kind: normmax, alpha: 1.4}",
    "budget": "{kind: budget, keys: 2}",
    "budget, one": "{kind: budget, keys: 1}",
    "hard": "hard",
    "gumbel": "{kind: gumbel, temperature: 0.5}",
    "sigmoid": "{kind: sigmoid, offset: log_visible}",
    "sigmoid, fixed": "{kind: sigmoid, offset: 0.7}",
    "queries": "queries",
    "pointwise": "{kind: pointwise, activation: softplus, divide_by: visible}",
    "pointwise, relu": "{kind: pointwise, activation: relu, divide_by: one}",
    "signed": "signed",
    "pointwise, squared": "{kind: pointwise, activation: relu_squared, divide_by: visible}",
}

READERS_ONLY = ("queries",)
"""Normalizers that no stack may have which writes token by token."""

HEADS = {
    "one head": "{heads: 1, kv_heads: 1, d_head: 6}",
    "three heads": "{heads: 3, kv_heads: 3, d_head: 4}",
    "grouped": "{heads: 4, kv_heads: 2, d_head: 6}",
    "multi-query": "{heads: 4, kv_heads: 1, d_head: 6, bias: [query, value]}",
    "wide values": "{heads: 4, kv_heads: 2, d_head: 6, d_value: 7}",
    "wide values, forced": "{heads: 4, kv_heads: 2, d_head: 6, d_value: 7, kernel: fused}",
    "no maps": "{heads: 4, kv_heads: 4, projections: none}",
    "maps of query and key": "{heads: 4, kv_heads: 4, d_head: 5, projections: [query, key]}",
    "maps of value and output": "{heads: 2, kv_heads: 2, d_value: 5, projections: [value, output]}",
}
"""Widths and maps of an attention in a stack of width 12."""

KINDS = {
    "differential": "{kind: differential, heads: 2, kv_heads: 1, d_head: 6, d_value: 7, start: 0.3}",
    "differential, halves": "{kind: differential, heads: 4, kv_heads: 2, d_head: 6, d_value: 12, pairs: halves, "
    "context_norm: none}",
    "differential, steps": "{kind: differential, heads: 3, kv_heads: 3, d_head: 4, d_value: 5, start: by_depth, "
    "score: biased_dot, talking_heads: both, sink: learned, head_scale: learned, gate: sigmoid, "
    "v_norm: {kind: rms_norm, epsilon: 1.0e-3}, qk_norm: {kind: rms_norm, epsilon: 1.0e-3}, "
    "context_norm: {kind: rms_norm, epsilon: 1.0e-3}}",
    "differential, no maps": "{kind: differential, heads: 2, kv_heads: 2, d_head: 3, d_value: 6, projections: none}",
}
"""Kinds of attention beside multi_head that have its keys too, in a stack of width 12."""

LATENTS = {
    "latent": "{kind: latent, heads: 3, q_rank: 5, kv_rank: 4, d_head: 6, d_rotary: 2, d_value: 7}",
    "latent, no q_rank": "{kind: latent, heads: 2, kv_rank: 5, d_head: 4, d_rotary: 4, d_value: 4, kernel: fused}",
}
"""Those that make keys and values of latents."""

RUNNING = {
    "linear": "{kind: linear, heads: 3, d_head: 4, d_value: 5, feature: elu}",
    "linear, relu": "{kind: linear, heads: 2, d_head: 6, d_value: 6, feature: relu, context_norm: rms_norm}",
    "linear, exp": "{kind: linear, heads: 1, d_head: 5, d_value: 3, feature: exp}",
    "performer": "{kind: performer, heads: 3, d_head: 4, d_value: 5, features: 10}",
    "performer, no position": "{kind: performer, heads: 1, d_head: 5, d_value: 3, features: 3, seed: 7, "
    "position: none, context_norm: rms_norm, redraw: step}",
    "retention": "{kind: retention, heads: 3, d_head: 4, d_value: 5}",
    "retention, interleaved": "{kind: retention, heads: 2, d_head: 6, d_value: 6, position: {layout: interleaved}, "
    "context_norm: layer_norm}",
    "retention, no position": "{kind: retention, heads: 1, d_head: 5, d_value: 3, position: none, context_norm: none}",
    "delta": "{kind: delta, heads: 3, d_head: 4, d_value: 5, qk_heads: 3}",
    "delta, gate": "{kind: delta, heads: 2, d_head: 6, d_value: 3, qk_heads: 1, gate: silu, short_convolution: none}",
    "gated_delta": "{kind: gated_delta, heads: 4, d_head: 5, d_value: 3, qk_heads: 2, short_convolution: 3}",
    "gated_delta, no gate": "{kind: gated_delta, heads: 1, qk_heads: 1, d_head: 4, d_value: 4, gate: none, "
    "context_norm: layer_norm}",
}
"""Those whose sums serve every query."""

MASKS = (
    "full",
    "causal",
    "causal & window(before=2)",
    "causal & block(3)",
    "causal & dilated(2)",
    "causal & (window(before=1) | first(1))",
    "causal & (window(before=0) | global(2))",
    "causal & same(document)",
    "causal & window(before=by_head(0, 1, 2, 3))",
    "h % 2 == 0 & causal | h % 2 == 1 & causal & window(before=1)",
    "k < q",  # the first row sees nothing
    "causal & k % 3 != 0",
    "0 <= q - k <= 3 & ~(q - k == 1)",
    "window(around=1)",
    "window(before=0, after=2)",
    "first(2)",
    "global(1)",
    "block(2)",
    "dilated(2)",
    "same(document)",
    "~causal",  # the last row sees nothing
    "abs(q - k) <= min(2, h)",
    "k >= k_length - 2",
    "q + k < q_length",
    "random_blocks(count=2, size=1, seed=3)",
    "window(around=1) | ~random_blocks(count=1, size=2, seed=0)",
)
"""Masks of four heads; attncli.spec.masks tells which of them are causal."""

DATA_MASKS = (
    "causal | prefix",
    "causal & (window(before=1) | prefix)",
    "k < prefix_length | k == q",
    "causal & k % 3 != part",
    "neighbourhood(3)",
    "causal & neighbourhood(3)",
    "causal & same(word)",
    "same(row) | column(q) == column(k)",
    "abs(row(q) - row(k)) <= 1 & k_length > part",
    "same(document) & word(k) <= word(q)",
)
"""Masks that read integers of tokens and samples, which `carried` gives."""


def carried(place: int, sample: int = 0) -> dict[str, int]:
    """What the token at a place carries: words of two tokens, rows of three columns, and what its sample says."""
    of_token = {"word": place // 2, "row": place // 3, "column": place % 3}
    return of_token | {"prefix_length": 1 + sample % 3, "part": sample % 2}


def carried_by_pair(q: int, k: int, k_length: int, sample: int = 0) -> dict[str, int]:
    """The same as a mask is asked."""
    sides = {f"{name}({side})": number for side, place in (("q", q), ("k", k))
             for name, number in carried(place, sample).items()}  # fmt: skip
    most = {f"most {name}": max(carried(place)[name] for place in range(k_length)) for name in ("row", "column")}
    return carried(q, sample) | sides | most


POSITIONS = {
    "none": "none",
    "rotary": "{kind: rotary, layout: half, d_rotary: 6}",
    "rotary, interleaved": "{kind: rotary, layout: interleaved, d_rotary: 6}",
    "rotary, partial": "{kind: rotary, layout: half, d_rotary: 4, base: 100.0}",
    "alibi": "{kind: alibi, slopes: fixed}",
    "alibi, learned": "{kind: alibi, slopes: learned}",
    "t5": "{kind: t5, buckets: 8, max_distance: 12, share: stack}",
    "t5, layer": "{kind: t5, buckets: 8, max_distance: 12, share: layer}",
    "kerple": "{kind: kerple, form: logarithm, share: stack}",
    "kerple, power": "{kind: kerple, form: power, share: layer}",
    "sandwich": "{kind: sandwich, width: 6, base: 50.0}",
    "log_distance": "{kind: log_distance, d_hidden: 5, share: layer}",
    "shaw": "{kind: shaw, max_distance: 2, 'on': both, share: layer}",
    "shaw, keys": "{kind: shaw, max_distance: 3, 'on': keys, share: stack}",
    "transformer_xl": "{kind: transformer_xl, share: stack}",
    "transformer_xl, layer": "{kind: transformer_xl, share: layer}",
    "disentangled": "{kind: disentangled, max_distance: 2}",
    "disentangled, released": "{kind: disentangled, max_distance: 8, key_distance: released}",
    "xpos": "{kind: xpos, layout: half, d_rotary: 6, scale_base: 4.0}",
    "xpos, interleaved": "{kind: xpos, layout: interleaved, d_rotary: 4, base: 100.0, scale_base: 9.0}",
    "bank": "{kind: bank, extent: 3, d_bank: 5}",
    "bank, one": "{kind: bank, extent: 20, d_bank: 1}",
    "pope": "{kind: pope, base: 50.0}",
    "cope": "{kind: cope, maximum: 2}",
    "forgetting": "forgetting",
}
"""Of an attention."""

SCALINGS = {
    "none": "none",
    "linear": "{kind: linear, factor: 2.5}",
    "ntk": "{kind: ntk, factor: 3.0}",
    "dynamic_ntk": "{kind: dynamic_ntk, factor: 2.0, original_length: 4}",
    "llama3": "{kind: llama3, factor: 4.0, original_length: 60}",
    "yarn": "{kind: yarn, factor: 4.0, original_length: 60, beta_fast: 8.0}",
    "yarn, logits": "{kind: yarn, factor: 4.0, original_length: 60, temperature: logits, ramp: exact}",
    "yarn, cool": "{kind: yarn, factor: 4.0, original_length: 60, temperature: none, ramp: exact}",
    "longrope": "{kind: longrope, factor: 8.0, original_length: 4, short: [1.0, 1.2, 2.0], long: [2.0, 5.0, 9.0]}",
}
"""Of rotary, for heads of 6."""
POSITIONS |= {
    f"rotary, {name}": f"{{kind: rotary, layout: half, d_rotary: 6, base: 100.0, scaling: {scaling}}}"
    for name, scaling in SCALINGS.items()
    if name != "none"
}

BACKWARD = tuple(name for name in POSITIONS if name.split(",")[0] in ("xpos", "cope", "forgetting"))
"""Positions that need a causal mask."""
READING = ("rotary, dynamic_ntk",)
"""Positions that no writer may have."""
UNFUSED = ("cope", "shaw")
"""Positions that no fused kernel serves."""

STEPS = {
    "qk_norm": "{qk_norm: {kind: rms_norm, epsilon: 1.0e-3}}",
    "qk_norm, projection": "{qk_norm: {kind: layer_norm, epsilon: 1.0e-3, over: projection}}",
    "v_norm": "{v_norm: {kind: rms_norm, epsilon: 1.0e-3}}",
    "values": "{values: keys, projections: [query, key, output], d_head: 6, d_value: 6}",
    "values, others": "{values: keys, projections: [query, key, output], d_head: 6, d_value: 6, persistent: 2, "
    "sink: learned, qk_norm: {kind: rms_norm, epsilon: 1.0e-3}, talking_heads: after}",
    "short_convolution": "{short_convolution: 3}",
    "short_convolution, others": "{short_convolution: 5, qk_norm: {kind: rms_norm, epsilon: 1.0e-3}, values: keys, "
    "projections: [query, key, output], d_head: 6, d_value: 6, persistent: 2, gate: sigmoid}",
    "qk_clip": "{qk_clip: 0.5}",
    "soft_cap": "{soft_cap: 0.7}",
    "length_temperature": "{length_temperature: {kind: llama4, scale: 0.4, floor: 2}}",
    "talking_heads, before": "{talking_heads: before}",
    "talking_heads, after": "{talking_heads: after}",
    "talking_heads, both": "{talking_heads: both}",
    "sink": "{sink: learned}",
    "sink, zero": "{sink: zero}",
    "sink, sparsemax": "{sink: learned, normalizer: sparsemax}",
    "sink, talking heads": "{sink: learned, talking_heads: both}",
    "select": "{select: {kind: top, keys: 2}}",
    "select, sink": "{select: {kind: top, keys: 1}, sink: learned, talking_heads: before}",
    "persistent": "{persistent: 3}",
    "persistent, others": "{persistent: 1, select: {kind: top, keys: 2}, sink: learned, talking_heads: after}",
    "span": "{span: {kind: adaptive, maximum: 3, ramp: 2, loss: 0.01}}",
    "span, others": "{span: {kind: adaptive, maximum: 4, ramp: 9}, persistent: 2, sink: learned, talking_heads: after}",
    "key_dropout": "{key_dropout: 0.4}",
    "context_norm": "{context_norm: {kind: layer_norm, epsilon: 1.0e-3}}",
    "head_scale": "{head_scale: learned}",
    "gate": "{gate: sigmoid}",
    "output": "{output: attention_on_attention}",
    "output, others": "{output: attention_on_attention, gate: sigmoid_per_head, head_scale: learned}",
    "gate a head": "{gate: sigmoid_per_head}",
    "many": "{qk_norm: {kind: rms_norm, epsilon: 1.0e-3}, v_norm: {kind: rms_norm, epsilon: 1.0e-3}, "
    "length_temperature: {kind: llama4, scale: 0.4, floor: 2}, sink: learned, head_scale: learned, gate: sigmoid}",
}
"""Keys of an attention of several heads that ask for a step between its maps."""

SELECTS = {
    "top": "{select: {kind: top, keys: 2}}",
    "indexer": "{select: {kind: indexer, keys: 3, heads: 4, d_head: 6, loss: 0.5}}",
    "indexer, others": "{select: {kind: indexer, keys: 3, heads: 1, d_head: 7}, persistent: 1, talking_heads: both, "
    "sink: learned}",
    "none": "{select: none}",
}
"""Those that choose keys; an indexer learns of a loss of its own."""

CAUSAL_STEPS = {
    "selective": "{selective: first_head}",
    "selective, others": "{selective: first_head, persistent: 2, select: {kind: top, keys: 3}, sink: learned, "
    "talking_heads: both, soft_cap: 5.0}",
    "selective, sparse": "{selective: first_head, normalizer: sparsemax, span: {kind: adaptive, maximum: 4, ramp: 9}}",
}
"""Those that need a causal mask."""

BETWEEN = {
    "value_residual": "[{}, {}, {}]",
    "value_residual, shared": "[{repeat: 3, share: all}]",
    "kv_from": "[{name: lender}, {attention: {kv_from: lender}}, {attention: {kv_from: lender, qk_norm: rms_norm}}]",
    "kv_from, groups": "[{repeat: 2, layers: [{name: lender}, {attention: {kv_from: lender, persistent: 2}}]}]",
    "kv_from, cross": "[{name: one}, {name: two}, {attention: {kv_from: one}, cross_attention: {kv_from: two}}]",
}
"""Layers that hand keys or values to later ones."""

SECOND = {
    "one row": "{second_projections: q == 2}",
    "every third": "{second_projections: q % 3 == 1, gate: sigmoid, sink: learned, talking_heads: both, "
    "v_norm: {kind: rms_norm, epsilon: 1.0e-3}, qk_norm: {kind: rms_norm, epsilon: 1.0e-3}}",
    "some maps": "{second_projections: q != 2, projections: [query, key], kv_heads: 4, d_head: 6, score: general}",
    "forgetting": "{second_projections: q > 1 | q == 0, position: forgetting, mask: causal}",
    "differential": "{kind: differential, heads: 2, second_projections: q < 2, bias: [query]}",
    "spans": "{second_projections: q >= 3, span: {kind: adaptive, maximum: 3, ramp: 2, loss: 0.01}}",
    "values of keys": "{second_projections: q % 2 == 0, kv_heads: 1, values: keys}",
}
"""Rows with projections of their own, in both self-attentions of a model."""

ABSOLUTE = {
    "none": "none",
    "sinusoidal": "{kind: sinusoidal, layout: interleaved}",
    "sinusoidal, concatenated": "{kind: sinusoidal, layout: concatenated, base: 500.0}",
    "learned": "learned",
}
"""Positions of an input."""

FEEDFORWARDS = {
    kind: kind
    for kind in ("swiglu", "geglu", "geglu_tanh", "reglu", "glu", "relu", "gelu", "gelu_tanh", "quick_gelu", "silu",
                 "relu_squared", "tanh")
} | {
    "swiglu, clamped": "{kind: swiglu, clamp: 0.7, slope: 1.702, up_offset: 1.0}",
    "geglu, steep": "{kind: geglu, slope: 1.3, inner_norm: layer_norm}",
    "glu, steep": "{kind: glu, slope: 0.7, clamp: 0.9}",
    "experts": "{kind: experts, experts: 3, active: 2, expert: {d_ff: 8}, balance: none}",
    "experts, one of them": "{kind: experts, experts: 3, active: 1, expert: {kind: relu, d_ff: 8}, balance: none, "
    "router: {normalize: all, bias: true}}",
    "experts in groups": "{kind: experts, experts: 6, active: 2, expert: {d_ff: 5}, shared: {d_ff: 4}, balance: none, "
    "router: {score: sigmoid, scale: 2.5, groups: 3, active_groups: 2}}",
    "experts, balanced by an offset": "{kind: experts, experts: 4, active: 2, expert: {d_ff: 5}, "
    "shared: {d_ff: 4, gate: sigmoid}, capacity: 1.3, balance: {kind: bias, rate: 0.01}, router: {score: sigmoid}}",
    "relu, normed": "{kind: relu, inner_norm: {kind: rms_norm, epsilon: 1.0e-3}}",
}  # fmt: skip

NORMS = {
    "rms_norm": "{kind: rms_norm, epsilon: 1.0e-3}",
    "layer_norm": "{kind: layer_norm, epsilon: 1.0e-3, bias: true}",
    "layer_norm, no bias": "{kind: layer_norm, epsilon: 1.0e-3, bias: false}",
    "rms_norm, one plus": "{kind: rms_norm, epsilon: 1.0e-3, gain: one_plus}",
    "scale_norm": "{kind: scale_norm, epsilon: 1.0e-2}",
    "dyt": "{kind: dyt, alpha: 0.7}",
    "none": "none",
}

PLACES = ("pre", "post", "sandwich", "output", "none")
"""Where a norm stands."""

RESIDUALS = {
    "add": "add",
    "scaled": "{kind: scaled, by: 0.5}",
    "deepnorm": "deepnorm",
    "rezero": "rezero",
    "layer_scale": "{kind: layer_scale, start: 0.1}",
    "gated": "{kind: gated, start: 0.3}",
}
"""deepnorm stands with norm_place: post alone."""

ORDERS = {
    "side by side": "[[attention, cross_attention, feedforward]]",
    "side by side, two norms": "[[attention, {feedforward: {kind: geglu}}], cross_attention]",
    "macaron": "[feedforward, attention, cross_attention, {feedforward: {kind: relu}}, norm]",
    "a norm of its own": "[attention, {norm: {kind: rms_norm, gain: one_plus}}, cross_attention, feedforward]",
}
"""Orders of a decoder's layer that are not the default one."""

INITS = {
    "fan_in": "{kind: fan_in, gain: 1.5, residual: by_depth}",
    "fan_in, plain": "{kind: fan_in, gain: 1.5, residual: plain}",
    "normal": "{kind: normal, std: 0.05, residual: by_depth}",
    "normal, plain": "{kind: normal, std: 0.05, residual: plain}",
    "xavier_uniform": "{kind: xavier_uniform, gain: 0.7}",
    "uniform": "{kind: uniform, bound: 0.2}",
    "t5": "t5",
}

POOLINGS = {
    "mean": "mean",
    "cls": "{kind: cls, dense: tanh}",
    "last": "{kind: last, dense: gelu}",
    "max": "max",
    "attention": "{kind: attention, heads: 2, queries: 3, score: {kind: additive, d_hidden: 5}, normalizer: sparsemax}",
    "attention, queries": "{kind: attention, heads: 2, queries: 3, normalizer: queries}",
    "attention, location": "{kind: attention, heads: 4, queries: 2, score: {kind: location, max_length: 32}}",
}

CELLS = {
    "gru": "{kind: gru, reset: after}",
    "gru, before": "{kind: gru, reset: before}",
    "lstm": "lstm",
    "rnn": "{kind: rnn, activation: tanh}",
    "rnn, relu": "{kind: rnn, activation: relu}",
}

DIRECTIONS = {
    "forward": "forward",
    "backward": "backward",
    "both": "{kind: both, merge: concatenate}",
    "both, sum": "{kind: both, merge: sum}",
}

WRITERS = {
    "Luong": "{query: state, input_feeding: none, readout: {kind: dense, activation: tanh}}",
    "Luong, feeding": "{query: state, input_feeding: readout, readout: {kind: dense, activation: relu}}",
    "Luong, context": "{query: state, input_feeding: context, readout: state}",
    "Bahdanau": "{query: previous_state, input_feeding: context, readout: {kind: dense, activation: none}}",
    "Bahdanau, late": "{query: previous_state, input_feeding: none, readout: dense}",
    "Bahdanau, readout": "{query: previous_state, input_feeding: {kind: readout, combine: linear}, readout: dense}",
    "Tu, source": "{query: state, input_feeding: none, readout: {kind: dense, activation: tanh, gate: source}}",
    "Tu, target": "{query: previous_state, input_feeding: none, readout: {kind: dense, activation: relu, "
    "gate: target}}",
    "Tu, both": "{query: state, input_feeding: readout, readout: {kind: dense, activation: tanh, gate: both}}",
    "maxout": "{query: state, input_feeding: none, readout: {kind: maxout, d_hidden: 5, pieces: 3}}",
    "maxout, previous": "{query: previous_state, input_feeding: context, readout: {kind: maxout, state: previous}}",
    "residual": "{query: previous_state, residual: add, input_feeding: none, readout: dense}",
    "residual, at once": "{query: state, residual: add, input_feeding: none, readout: dense}",
    "article": "{query: input_and_previous_state, input_feeding: {kind: context, combine: relu}, readout: state}",
}
"""What a recurrent decoder with attention asks, feeds back and gives to the head."""

OUTPUTS = {
    "linear": "{kind: linear, bias: true, scale: 0.5, soft_cap: 3}",
    "linear, transform": "{kind: linear, transform: {activation: gelu, norm: layer_norm}}",
    "adaptive": "{kind: adaptive, cutoffs: [5, 9], factor: 1, bias: true}",
    "adaptive, narrower": "{kind: adaptive, cutoffs: [4, 7, 11], factor: 2, bias: false}",
    "mixture": "{kind: mixture, components: 3, bias: true}",
}
"""Heads over a vocabulary of 17, for stacks of width 12."""

POINTER = "{kind: seq2seq, label_smoothing: 0, output: {kind: pointer_generator, bias: true}}"

LONG_WRITERS = {
    "See": "{query: state_and_cell, input_feeding: {kind: context, combine: linear}, "
    "readout: {kind: dense, activation: none}}",
}
"""Those that need an LSTM."""

BRIDGES = {
    "dense": "{kind: dense, of: final, activation: tanh}",
    "dense, backward": "{kind: dense, of: backward, activation: relu}",
    "dense, mean": "{kind: dense, of: mean, activation: none}",
    "copy": "copy",
    "none": "none",
}
