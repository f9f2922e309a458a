"""An attention of attncli.nn told again in plain Python by attncli.reference: another road to the same numbers."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from attncli.checking.indexed import seen_through, windowed
from attncli.checking.oracle_kinds import Earlier, running_outputs, stepped, trailed
from attncli.checking.oracle_positions import bias_of, related_of, turn_of
from attncli.checking.oracle_steps import norm_of, steps_of
from attncli.nn import normalizers, positions, scores, sparse
from attncli.nn.attention import Attention
from attncli.nn.latent import LatentAttention
from attncli.nn.normalizers import Normalizer
from attncli.nn.running import Running
from attncli.nn.sequential import SequentialNormalizer
from attncli.reference import attention as reference
from attncli.reference import differential as reference_differential
from attncli.reference import latent as reference_latent
from attncli.reference import normalizers as reference_normalizers
from attncli.reference import scores as reference_scores
from attncli.reference import steps as reference_steps
from attncli.reference.vectors import Matrix, Vector, affine

Numbers = list[float]


def _over_queries(head: int, scores: Matrix, seen: Sequence[Sequence[bool]]) -> list[list[float]]:
    return reference_normalizers.over_queries(scores, seen)


def outputs(
    module: Attention, x: Tensor, memory: Tensor, visible: reference.Visible, *, lender: Attention | None = None,
    asking: Attention | None = None,
    values: list[reference_steps.Parts] | None = None, at: int = 0, earlier: Earlier = (),
) -> reference.Heads:  # fmt: skip
    """The reference's answer for one row: x (q d) and memory (k d).

    `lender` is the attention that made the keys and values, where it is another, and `asking` that which made the
    queries; `values` (k g v) stand in place of those that are made of memory; the first query is at place `at`, and
    `earlier` are the weights of steps before it.
    """
    lender = lender or module
    normalizer, turn = module.normalizer, turn_of(module.position, len(memory))
    if isinstance(module, LatentAttention):
        assert isinstance(lender, LatentAttention)
        return _latent_outputs(module, x, memory, visible, lender)
    if isinstance(module, Running):
        norm = module.ending.norm
        return running_outputs(module, x, memory, turn, list if isinstance(norm, nn.Identity) else norm_of(norm))
    joint: reference.Joint | None = None
    if isinstance(normalizer, SequentialNormalizer):
        joint = stepped(normalizer, earlier)
    elif normalizer.joins_queries:
        joint = _over_queries
    reads = module.score.reads  # a key that no score compares is not made, and cannot be turned
    if module.indexer is not None:
        own = turn if isinstance(module.position, positions.Rotary) else None
        if module.span is not None:  # what an indexer chooses from is what the window of a head shows
            maps = maps_of(module, lender, x.shape[1], memory.shape[1], asking or module)
            visible = windowed(module, maps, x.tolist(), len(memory), turn, visible)
        visible = seen_through(module.indexer, x, memory, own, visible)
    difference = module.weighing.difference
    tell: Callable[..., reference.Heads] = reference.multi_head
    if difference is not None:
        share = reference_differential.Lambda(difference.query.tolist(), difference.key.tolist(), difference.start)
        tell = partial(reference_differential.differential, share=share, halves=difference.halves)
    return tell(
        x.tolist(),
        memory.tolist(),
        maps_of(module, lender, x.shape[1], memory.shape[1], asking or module),
        heads=module.heads,
        kv_heads=module.kv_heads,
        score=trailed(module.score, earlier) if module.score.sequential else score_of(module.score),
        normalizer=(lambda head: list) if joint is not None else partial(normalizer_of, normalizer),
        visible=lambda q, k, h: visible(q + at, k, h),
        bias=bias_of(module, memory.tolist()),
        turn=None if turn is None else lambda x, at, side, head: turn(x, at, side, head) if side in reads else list(x),
        related=related_of(module, x.tolist(), len(memory)),
        steps=steps_of(module, lender, at=at),
        joint=joint,
        values=values,
    )


def maps_of(
    module: Attention, lender: Attention, d_query: int, d_memory: int, asking: Attention
) -> reference.Projections:
    """The linear maps of an attention that reads the keys and values of `lender` with the queries of `asking`."""
    return reference.Projections(
        *(_matrix(asking.query, d_query), _matrix(lender.key, d_memory)),
        *(_matrix(lender.value, d_memory), _matrix(module.output, _joined(lender, d_memory, module.heads))),
        *(_bias(each) for each in (asking.query, lender.key, lender.value, module.output)),
    )


def values_of(module: Attention, memory: Matrix, first: list[reference_steps.Parts]) -> list[reference_steps.Parts]:
    """(k g v): the values of an attention, mixed with those of the first layer where it mixes them."""
    steps = steps_of(module, module, at=0)
    maps = maps_of(module, module, 1, len(memory[0]), module)
    own = reference.values_of(memory, maps, kv_heads=module.kv_heads, steps=steps)
    if module.value_residual is None or not first:
        return own
    a, b = module.value_residual.mix.tolist()
    return [
        [[a * x + b * y for x, y in zip(*pair, strict=True)] for pair in zip(*places, strict=True)]
        for places in zip(own, first, strict=True)
    ]


def _latent_outputs(
    module: LatentAttention, x: Tensor, memory: Tensor, visible: reference.Visible, lender: LatentAttention
) -> reference.Heads:
    direct, down = isinstance(module.query_down, nn.Identity), module.query_down
    ranked: tuple[Any, ...] = (
        None if isinstance(down, nn.Identity) else _matrix(down, 0),
        *(_matrix(each, 0) for each in (module.query_up, lender.kv_down, module.kv_up, module.output)),
        *((lambda c: c) if direct else norm_of(module.query_latent_norm), norm_of(lender.kv_latent_norm)),
        *(_bias(each) for each in (down, lender.kv_down, module.output)),
    )
    d_head, d_rotary, _ = module.widths
    turn = turn_of(module.position, len(memory)) or (lambda x, at, side, head: list(x))
    heat = module.position.heat if isinstance(module.position, positions.Rotary) else 1.0  # of whole queries
    related = related_of(module, x.tolist(), len(memory))
    if related != reference.Related():
        return _unabsorbed(module, x, memory, visible, reference_latent.Latents(*ranked), related, turn)
    return reference_latent.latent(
        x.tolist(), memory.tolist(), reference_latent.Latents(*ranked), heads=module.heads, d_head=d_head,
        d_rotary=d_rotary, visible=visible, bias=bias_of(module, memory.tolist()), heat=heat,
        turn=lambda x, at, side, head: [each / (heat if side == "query" else 1.0) for each in turn(x, at, side, head)],
    )  # fmt: skip


def _unabsorbed(
    module: LatentAttention, x: Tensor, memory: Tensor, visible: reference.Visible, maps: reference_latent.Latents,
    related: reference.Related, turn: Any,
) -> reference.Heads:  # fmt: skip
    """Latent attention as that of heads which read [c, r]: what compares queries with whole keys needs the keys."""
    (d_head, d_rotary, d_value), rank = module.widths, module.kv_rank
    read = [affine(each, maps.kv_down, maps.kv_bias) for each in memory.tolist()]
    states = [[*maps.kv_norm(each[:rank]), *each[rank:]] for each in read]
    asked = [
        each if maps.query_down is None else maps.query_norm(affine(each, maps.query_down, maps.query_bias))
        for each in x.tolist()
    ]
    shared = [[0.0] * rank + [float(i == j) for j in range(d_rotary)] for i in range(d_rotary)]
    keys: list[Vector] = []
    values: list[Vector] = []
    none = [0.0] * d_rotary
    for head in _blocks(maps.kv_up, module.heads):
        keys += [[*row, *none] for row in head[:d_head]] + shared
        values += [[*row, *none] for row in head[d_head : d_head + d_value]]
    return reference.multi_head(
        asked, states, reference.Projections(maps.query_up, keys, values, maps.output, output_bias=maps.output_bias),
        heads=module.heads, kv_heads=module.heads, score=score_of(module.score), visible=visible, related=related,
        bias=bias_of(module, memory.tolist()),
        turn=lambda part, at, side, head: [*part[:d_head], *turn(part[d_head:], at, side, head)],
    )  # fmt: skip


def _blocks(rows: Matrix, parts: int) -> list[Matrix]:
    size = len(rows) // parts
    return [rows[part * size : (part + 1) * size] for part in range(parts)]


def _joined(lender: Attention, d_memory: int, heads: int) -> int:
    width = lender.value.out_features if isinstance(lender.value, nn.Linear) else d_memory
    return heads * width // lender.kv_heads


def _matrix(map: nn.Module, width: int) -> list[Numbers]:
    return map.weight.tolist() if isinstance(map, nn.Linear) else torch.eye(width).tolist()


def _bias(map: nn.Module) -> Numbers | None:
    return map.bias.tolist() if isinstance(map, nn.Linear) and map.bias is not None else None


Score = Callable[[int, Vector, Matrix, Matrix], Numbers]


def score_of(score: scores.Score) -> Score:
    """A score of the reference with the weights of a module."""
    own = {name: parameter.tolist() for name, parameter in score.named_parameters()}

    def plain(head: int, query: Vector, keys: Matrix, values: Matrix) -> Numbers:
        match score:
            case scores.ScaledDot():
                return reference_scores.scaled_dot(query, keys, scale=own["factor"][head])
            case scores.Cosine():
                learned = score.log_temperature is not None
                temperature = min(math.exp(own["log_temperature"][head]), 100.0) if learned else score.scale
                return reference_scores.cosine(query, keys, temperature=temperature)
            case scores.General():
                return reference_scores.general(query, keys, weight=own["weight"][head])
            case scores.BiasedDot():
                weights = {"of_query": own["query"][head], "of_value": own["value"][head]}
                return reference_scores.biased_dot(query, keys, values, **weights)
            case scores.Additive():
                weights = {"of_query": own["query"][head], "of_key": own["key"][head], "weight": own["weight"][head]}
                return reference_scores.additive(query, keys, **weights)
            case scores.Trilinear():
                weights = {"of_query": own["query"][head], "of_key": own["key"][head]}
                return reference_scores.trilinear(query, keys, **weights, of_product=own["product"][head])
            case scores.Distance():
                return reference_scores.distance(query, keys)
            case scores.Synthesizer():
                weights = {"weight": own["weight"][head], "bias": own["bias"][head]}
                return reference_scores.synthesizer(query, len(keys), **weights)
            case scores.Location():
                return reference_scores.location(query, len(keys), weight=own["weight"][head])
            case scores.Product():
                return reference_scores.scaled_dot(query, keys, scale=score.scale)
        raise AssertionError(f"tell the oracle of {type(score).__name__}")

    return plain


def normalizer_of(normalizer: Normalizer, head: int) -> reference.Normalizer:
    """A normalizer of the reference like a module in evaluation."""
    match normalizer:
        case normalizers.Softmax() | normalizers.Queries():  # of queries, `outputs` tells all rows at once
            return reference_normalizers.softmax
        case normalizers.Sum():
            return partial(reference_normalizers.plain_sum, activation=normalizer.activation)
        case sparse.Sparsemax():
            return reference_normalizers.sparsemax
        case sparse.Entmax():
            return partial(reference_normalizers.entmax, alpha=normalizer.alpha)
        case sparse.LearnedEntmax():
            alpha = 1.01 + 0.99 / (1 + math.exp(-normalizer.theta[head].item()))
            return partial(reference_normalizers.entmax, alpha=alpha)
        case sparse.Normmax():
            return partial(reference_normalizers.normmax, alpha=normalizer.alpha)
        case sparse.Budget():
            return partial(reference_normalizers.budget, keys=normalizer.keys)
        case normalizers.Signed():
            return reference_normalizers.signed
        case normalizers.Hard():
            return reference_normalizers.hard
        case normalizers.Gumbel():
            return partial(reference_normalizers.gumbel, temperature=normalizer.temperature)
        case normalizers.Sigmoid():
            return partial(reference_normalizers.sigmoid, offset=normalizer.offset)
        case normalizers.Pointwise():
            activation, divide = normalizer.activation, normalizer.divides
            return partial(reference_normalizers.pointwise, activation=activation, divide=divide)
    raise AssertionError(f"tell the oracle of {type(normalizer).__name__}")
