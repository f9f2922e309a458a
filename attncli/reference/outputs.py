"""Distributions over a vocabulary that are no single softmax, at one place."""

from collections.abc import Sequence
from math import fsum, tanh

from attncli.reference.normalizers import softmax
from attncli.reference.vectors import Matrix, Vector, affine


def adaptive(head: Vector, tails: Sequence[Vector]) -> list[float]:
    """The softmax of the head, whose last entries are clusters; each is shared out by the softmax of its tail.

    Grave et al. 2017, arXiv:1609.04309, section 4.2.
    """
    shares = softmax(head)
    first = len(head) - len(tails)
    found = shares[:first]
    for share, tail in zip(shares[first:], tails, strict=True):
        found += [share * each for each in softmax(tail)]
    return found


def mixture(prior: Vector, latent: Matrix, weight: Matrix, bias: Vector | None = None) -> list[float]:
    """sum_k softmax(prior)_k softmax(W tanh(latent_k) + b). Yang et al. 2018, arXiv:1711.03953, eq. 3."""
    shares = softmax(prior)
    parts = [softmax(affine([tanh(each) for each in one], weight, bias)) for one in latent]
    return [fsum(share * part[w] for share, part in zip(shares, parts, strict=True)) for w in range(len(weight))]
