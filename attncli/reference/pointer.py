"""The distribution of a pointer-generator at one place."""

from collections.abc import Sequence

from attncli.reference.normalizers import softmax
from attncli.reference.recurrent import sigmoid
from attncli.reference.vectors import Vector


def mixture(logits: Vector, gate: float, weights: Vector, source: Sequence[int], *, size: int) -> list[float]:
    """g softmax(logits)_w + (1 - g) sum of the weights of the source's tokens w, g = sigmoid(gate), for `size` ids.

    See et al. 2017, arXiv:1704.04368, eq. 9. Ids from len(logits) on are words of the source alone.
    """
    generate = sigmoid(gate)
    shares = [generate * share for share in softmax(logits)] + [0.0] * (size - len(logits))
    for token, weight in zip(source, weights, strict=True):
        shares[token] += (1 - generate) * weight
    return shares
