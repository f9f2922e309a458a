"""The map that every position goes through alone."""

from collections.abc import Callable, Collection, Sequence
from math import ceil, erf, inf, pi, sqrt, tanh
from typing import NamedTuple

from attncli.reference.normalizers import softmax
from attncli.reference.recurrent import sigmoid
from attncli.reference.vectors import Matrix, Vector, affine


def activation(kind: str, x: float) -> float:
    """The function of a feed-forward kind, at one number.

    relu max(x, 0); gelu x Phi(x), and its tanh approximation (Hendrycks & Gimpel 2016, arXiv:1606.08415); silu
    x sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118); quick_gelu x sigmoid(1.702 x); relu_squared max(x, 0)^2 (So et
    al. 2021, arXiv:2109.08668). swiglu gates with silu, geglu with gelu, reglu with relu, glu with the sigmoid itself.
    """
    match kind:
        case "relu" | "reglu":
            return max(x, 0.0)
        case "gelu" | "geglu":
            return x * (1 + erf(x / sqrt(2))) / 2
        case "gelu_tanh" | "geglu_tanh":
            return x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2
        case "silu" | "swiglu":
            return x * sigmoid(x)
        case "quick_gelu":
            return x * sigmoid(1.702 * x)
        case "relu_squared":
            return max(x, 0.0) ** 2
        case "tanh":
            return tanh(x)
        case "glu":
            return sigmoid(x)
        case _:
            raise ValueError(f"there is no activation '{kind}'")


class MapWeights(NamedTuple):
    """A linear map as torch keeps it: weight (outputs inputs), bias (outputs)."""

    weight: Matrix
    bias: Vector | None = None


def gated_unit(kind: str, gate: float, up: float, *, clamp: float = inf, slope: float = 1, offset: float = 0) -> float:
    """One hidden unit u s(a u) (v + o) of a gate u and the other half v, both clamped first; glu is s(a u) (v + o).

    s is what multiplies u in the activation: the sigmoid in silu, the normal distribution in gelu, the step in relu.
    OpenAI 2025 (gpt-oss) has slope 1.702, clamp 7, offset 1.
    """
    gate, up = min(gate, clamp), max(-clamp, min(up, clamp))
    steep = activation(kind, slope * gate)
    return (steep if kind == "glu" else steep / slope) * (up + offset)


def feedforward(
    x: Vector, kind: str, *, hidden: MapWeights, output: MapWeights, gate: MapWeights | None = None,
    inner_norm: Callable[[Vector], Vector] = list, **options: float,
) -> list[float]:  # fmt: skip
    """f(W x + b), or f(V x + c) * (W x + b) where there is a gate V, normed and mapped back by the output.

    Vaswani et al. 2017, arXiv:1706.03762, eq. 2; Shazeer 2020, arXiv:2002.05202, eq. 6, whose W is the gate and whose V
    is `hidden`; the norm: Shleifer et al. 2021, arXiv:2110.09456. `options` are those of gated_unit.
    """
    opened = affine(x, *hidden)
    if gate is None:
        opened = [activation(kind, each) for each in opened]
    else:
        opened = [gated_unit(kind, u, v, **options) for u, v in zip(affine(x, *gate), opened, strict=True)]
    return affine(inner_norm(opened), *output)


def route(
    logits: Vector, active: int, *, score: str = "softmax", normalize: str = "selected", scale: float = 1,
    groups: int = 1, active_groups: int = 1, offset: Vector | None = None,
) -> dict[int, float]:  # fmt: skip
    """The experts that one token is sent to, the likeliest first, with their weights; `offset` helps to choose them.

    Jiang et al. 2024 (Mixtral), arXiv:2401.04088, section 2.1; with groups and sigmoid DeepSeek-AI 2024 (DeepSeek-V3),
    arXiv:2412.19437, eq. 12 to 16; with normalize "all" and one expert Fedus et al. 2021, arXiv:2101.03961, eq. 2.
    """
    scores = softmax(logits) if score == "softmax" else [sigmoid(each) for each in logits]
    liked = scores if offset is None else [s + b for s, b in zip(scores, offset, strict=True)]
    size = len(scores) // groups
    strength = [sum(sorted(liked[g * size : (g + 1) * size])[-2:]) for g in range(groups)]
    best = sorted(range(groups), key=lambda g: -strength[g])[:active_groups]
    able = [e for e in range(len(scores)) if e // size in best]
    chosen = sorted(able, key=lambda e: -liked[e])[:active]
    whole = sum(scores[e] for e in chosen) if normalize == "selected" else 1
    return {e: scale * scores[e] / whole for e in chosen}


def served(chosen: Sequence[Sequence[int]], experts: int, capacity: float) -> list[tuple[int, int]]:
    """The (token, expert) that are served where each expert has room for ceil(capacity choices / experts) of them.

    First choices go before second ones, and earlier tokens before later ones. Lepikhin et al. 2020 (GShard),
    arXiv:2006.16668, algorithm 1; the room: Fedus et al. 2021, arXiv:2101.03961, eq. 3.
    """
    active = len(chosen[0])
    room = [ceil(capacity * active * len(chosen) / experts)] * experts
    found = []
    for rank in range(active):
        for token, experts_of_token in enumerate(chosen):
            expert = experts_of_token[rank]
            if room[expert]:
                room[expert] -= 1
                found.append((token, expert))
    return found


def rebalanced(offset: Vector, used: Sequence[int], rate: float) -> list[float]:
    """b + rate sign(mean(c) - c) of the choices c that fell on each expert. Wang et al. 2024, arXiv:2408.15664."""
    mean = sum(used) / len(used)
    return [b + rate * ((c < mean) - (c > mean)) for b, c in zip(offset, used, strict=True)]


def imbalance(scores: Matrix, chosen: Sequence[Collection[int]]) -> float:
    """E sum_e f_e P_e over the tokens of a batch: f_e the share of all choices that fall on e, P_e its mean score.

    Scores are first divided by their sum. Fedus et al. 2021, arXiv:2101.03961, eq. 4.
    """
    experts, total = len(scores[0]), sum(map(len, chosen))
    used = [sum(e in each for each in chosen) / total for e in range(experts)]
    mean = [sum(row[e] / sum(row) for row in scores) / len(scores) for e in range(experts)]
    return experts * sum(f * p for f, p in zip(used, mean, strict=True))
