"""Hand-made maps for tests: rows that sum to one, of any size, with any tokens."""

from collections.abc import Sequence

import numpy as np

from attncli.maps.record import AttentionMap, Certificate, Kind, Maps, Sample

GOOD = Certificate(row_sum_error=3e-7, row_sum_tolerance=1e-5, output_error=5e-7, output_tolerance=1e-5, worst="head 0")
BAD = Certificate(
    row_sum_error=3e-7, row_sum_tolerance=1e-5, output_error=0.25, output_tolerance=1e-5, worst="head 1, query 2 'b'"
)


def attention(
    queries: Sequence[str] = ("a", "b", "c"),
    keys: Sequence[str] = ("a", "b", "c"),
    *,
    heads: int = 2,
    address: str = "encoder.0.attention",
    kind: Kind = "self",
    causal: bool = False,
    sharp: float = 2.0,
    seed: int = 0,
    certificate: Certificate = GOOD,
    writes: Sequence[str] | None = None,
) -> AttentionMap:
    """A map with softmax rows of random scores."""
    scores = np.random.default_rng(seed).normal(size=(heads, len(queries), len(keys))) * sharp
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[1:], dtype=bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return AttentionMap(
        address,
        kind,
        tuple(queries),
        tuple(keys),
        weights.astype(np.float32),
        certificate,
        kernel="fused",
        dtype="float32",
        writes=None if writes is None else tuple(writes),
    )


def maps(*attentions: AttentionMap, texts: dict[str, str] | None = None) -> Maps:
    """One sample with these maps."""
    sample = Sample(texts or {"source": "a b c"}, attentions or (attention(),), "forced")
    return Maps((sample,), {"run": "dates", "checkpoint": "step 1000"})
