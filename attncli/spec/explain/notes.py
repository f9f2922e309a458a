"""What readers of the founding article should know of a kind, beside its equation."""

NOTES: dict[str, tuple[str, ...]] = {
    "score.dot": (
        "The founding article (4.1.1) calls this dot-product attention, unscaled, but its formula divides by "
        "sqrt(d_k): that is scaled_dot. They differ in a factor, which makes the weights of dot sharper as heads grow "
        "wider.",
    ),
    "score.scaled_dot": (
        "The founding article (4.1.3) divides by sqrt(d_k) and multiplies by 1/sqrt(d_k) again. The published form "
        "scales once. The scale is free, so the article's can be written too: {kind: scaled_dot, scale: 0.3333} for "
        "d_k = 3.",
    ),
    "score.additive": (
        "The founding article (4.1.2) gives this name to a dot product with biases, softmax((QK' + w_Q Q + w_V V) / "
        "sqrt(d_k)) V: that is kind biased_dot. Additive in the literature is Bahdanau's, this one.",
        "The products of the article's additive example, a 5 x 3 weight by a 5 x 3 matrix, do not exist: see "
        "examples/worked_example.md.",
    ),
    "score.biased_dot": (
        "The query term w_q.q is one number for the whole row, so softmax cancels it, as the example shows; the value "
        "term moves the weights. With normalizer sum the query term does count.",
    ),
    "score.location": (
        "The founding article's GRU listing (5.2) scores so: from the embedded token and the previous state, never "
        "looking at the keys. Its decoder asks with query: input_and_previous_state.",
    ),
    "normalizer.sum": (
        "The founding article (3.1.2) divides each similarity by their sum. Where similarities can be negative that "
        "gives negative weights, and where they sum to 0 none at all; so f makes them non-negative first, and a row "
        "whose sum is 0 gives zeros.",
    ),
    "attention.multi_head": (
        "The founding article (3.2) says that the input sequence is split into subsequences. It is not: what is split "
        "is the width of each state. Every head sees every token, with its own part of the features.",
        "Self-attention (3.3) is no special case of many heads: it means that query, key and value come from one "
        "sequence, with any number of heads. See self_attention.",
    ),
    "self_attention": (
        "The founding article (3.3) calls it a special case of multi-head attention in which each element is taken "
        "alone. It is independent of the number of heads: with one or many, each token asks all tokens of its own "
        "sequence.",
    ),
    "stack.recurrent": (
        "The founding article's listing (5.2) cannot run: bytes in a tensor, no embedding in the decoder, no padding, "
        "weights of the wrong length, no targets. A spec of its four sentences does; `specs/` holds it.",
    ),
    "cell.gru": (
        "The reset gate multiplies after the matrix product, as torch computes it; Cho et al. apply it before.",
    ),
    "task.seq2seq": (
        "Training is teacher-forced: the decoder reads the right previous token, whatever it would have written.",
    ),
}
"""By role and kind, or by name for what has no role."""
