"""An attention of attncli.nn told again in plain Python by attncli.reference: another road to the same numbers."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from attncli.checking.indexed import seen_through
from attncli.checking.oracle_positions import bias_of, related_of, turn_of
from attncli.nn import differential, normalizers, norms, positions, scores, sparse
from attncli.nn import steps as nn_steps
from attncli.nn.attention import Attention
from attncli.nn.latent import LatentAttention
from attncli.nn.normalizers import Normalizer
from attncli.nn.short import Short
from attncli.reference import attention as reference
from attncli.reference import differential as reference_differential
from attncli.reference import latent as reference_latent
from attncli.reference import normalizers as reference_normalizers
from attncli.reference import norms as reference_norms
from attncli.reference import scores as reference_scores
from attncli.reference import steps as reference_steps
from attncli.reference.vectors import Matrix, Vector

Numbers = list[float]


def outputs(module: Attention, x: Tensor, memory: Tensor, visible: reference.Visible) -> reference.Heads:
    """The reference's answer for one row: x (q d) and memory (k d)."""
    if isinstance(module, LatentAttention):
        return _latent_outputs(module, x, memory, visible)
    maps = reference.Projections(
        *(_matrix(module.query, x.shape[1]), _matrix(module.key, memory.shape[1])),
        *(_matrix(module.value, memory.shape[1]), _matrix(module.output, _joined(module, memory.shape[1]))),
        *(_bias(each) for each in (module.query, module.key, module.value, module.output)),
    )
    if module.indexer is not None:
        turn = turn_of(module.position, len(memory)) if isinstance(module.position, positions.Rotary) else None
        visible = seen_through(module.indexer, x, memory, turn, visible)
    difference = module.weighing.difference
    tell: Callable[..., reference.Heads] = reference.multi_head
    if difference is not None:
        share = reference_differential.Lambda(difference.query.tolist(), difference.key.tolist(), difference.start)
        tell = partial(reference_differential.differential, share=share, halves=difference.halves)
    return tell(
        x.tolist(),
        memory.tolist(),
        maps,
        heads=module.heads,
        kv_heads=module.kv_heads,
        score=score_of(module.score),
        normalizer=partial(normalizer_of, module.normalizer),
        visible=visible,
        bias=bias_of(module, memory.tolist()),
        turn=turn_of(module.position, len(memory)),
        related=related_of(module, x.tolist(), len(memory)),
        steps=steps_of(module),
        joint=reference_normalizers.over_queries if module.normalizer.joins_queries else None,
    )


def _latent_outputs(module: LatentAttention, x: Tensor, memory: Tensor, visible: reference.Visible) -> reference.Heads:
    direct, down = isinstance(module.query_down, nn.Identity), module.query_down
    ranked: tuple[Any, ...] = (
        None if isinstance(down, nn.Identity) else _matrix(down, 0),
        *(_matrix(each, 0) for each in (module.query_up, module.kv_down, module.kv_up, module.output)),
        *((lambda c: c) if direct else norm_of(module.query_latent_norm), norm_of(module.kv_latent_norm)),
        *(_bias(each) for each in (down, module.kv_down, module.output)),
    )
    d_head, d_rotary, _ = module.widths
    turn = turn_of(module.position, len(memory)) or (lambda x, at, side, head: list(x))
    return reference_latent.latent(
        x.tolist(), memory.tolist(), reference_latent.Latents(*ranked), heads=module.heads, d_head=d_head,
        d_rotary=d_rotary, visible=visible, turn=turn, bias=bias_of(module, memory.tolist()),
    )  # fmt: skip


def _joined(module: Attention, d_memory: int) -> int:
    if isinstance(module.value, nn.Linear):
        return module.heads * module.value.out_features // module.kv_heads
    return module.heads * d_memory // module.kv_heads


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


def norm_of(norm: Any) -> Callable[[Vector], Numbers]:
    """A norm of the reference with the weights of a module."""
    match norm:
        case nn.RMSNorm():
            return partial(reference_norms.rms_norm, gain=norm.weight.tolist(), epsilon=norm.eps)  # type: ignore[arg-type]  # the spec gives it
        case nn.LayerNorm():
            bias = None if norm.bias is None else norm.bias.tolist()
            return partial(reference_norms.layer_norm, gain=norm.weight.tolist(), bias=bias, epsilon=norm.eps)
        case norms.OnePlusRmsNorm():
            gain = [1 + each for each in norm.weight.tolist()]
            return partial(reference_norms.rms_norm, gain=gain, epsilon=norm.epsilon)
        case norms.ScaleNorm():
            return partial(reference_norms.scale_norm, gain=norm.weight.item(), epsilon=norm.epsilon)
        case norms.DynamicTanh():
            own: dict[str, Any] = {"alpha": norm.alpha.item(), "gain": norm.weight.tolist(), "bias": norm.bias.tolist()}
            return partial(reference_norms.dynamic_tanh, **own)
    raise AssertionError(f"tell the oracle of {type(norm).__name__}")


def over_heads(norm: Any) -> Callable[[reference_steps.Parts], reference_steps.Parts]:
    """A norm of the vectors of the heads of one place."""
    match norm:
        case nn_steps.OverHeads(over="head"):
            return lambda parts: [norm_of(norm.norm)(each) for each in parts]
        case nn_steps.OverHeads():
            return lambda parts: reference.split(norm_of(norm.norm)([x for each in parts for x in each]), len(parts))
        case nn_steps.EachHead():
            return lambda parts: [norm_of(own)(each) for own, each in zip(norm.norms, parts, strict=True)]
    return lambda parts: parts


def steps_of(module: Any) -> reference_steps.Steps:
    """The steps of the reference with the weights of a module."""
    weighing, ending, own = module.weighing, module.ending, module.persistent
    context = ending.norm.norm if isinstance(ending.norm, differential.Settled) else ending.norm
    factor, span = None, weighing.reach
    if weighing.temperature is not None:
        sizes = {"scale": weighing.temperature.scale, "every": weighing.temperature.floor}
        factor = partial(reference_steps.length_factor, **sizes)
    sinks = None
    if weighing.sink is not None:
        sinks = [0.0] * module.maps if weighing.sink.logit is None else weighing.sink.logit.tolist()
    return reference_steps.Steps(
        query=over_heads(module.query_norm),
        key=over_heads(module.key_norm),
        value=over_heads(module.value_norm),
        factor=factor,
        cap=weighing.cap,
        before=None if weighing.before is None else weighing.before.mix.tolist(),
        sinks=sinks,
        after=None if weighing.after is None else weighing.after.mix.tolist(),
        context=None if isinstance(context, nn.Identity) else norm_of(context),
        scales=None if isinstance(ending.scale, nn.Identity) else ending.scale.factor.tolist(),
        spans=None if span is None else (span.maximum * span.share).tolist(),
        ramp=1.0 if span is None else span.ramp,
        selective=weighing.selective is not None,
        top=None if weighing.select is None else weighing.select.keys,
        persistent=() if own is None else tuple(map(reference_steps.Learned, own.key.tolist(), own.values.tolist())),
        gate=None if module.gate is None else module.gate.map.weight.tolist(),
        on_attention=isinstance(module.output, nn_steps.OnAttention),
        short={} if module.short is None else {name: _in_order(module.short, name) for name in module.short.weights},
        ahead=0 if module.short is None else module.short.behind,
    )


def _in_order(short: Short, name: str) -> list[Numbers]:
    """The weights of a short convolution from the place farthest ahead to the one farthest back."""
    own, *others = short.weights[name].tolist()
    return [*reversed(others[short.before :]), own, *others[: short.before]]
