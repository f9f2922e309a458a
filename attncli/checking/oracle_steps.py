"""The norms and the steps of an attention, told by attncli.reference with the weights of its modules."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from attncli.checking.oracle_kinds import gaze_of
from attncli.nn import differential, norms
from attncli.nn import steps as nn_steps
from attncli.nn.short import Short
from attncli.reference import attention as reference
from attncli.reference import norms as reference_norms
from attncli.reference import steps as reference_steps
from attncli.reference.vectors import Vector

Numbers = list[float]


def norm_of(norm: Any) -> Callable[[Vector], Numbers]:
    """A norm of the reference with the weights of a module."""
    match norm:
        case nn.RMSNorm(eps=float(epsilon)):
            return partial(reference_norms.rms_norm, gain=norm.weight.tolist(), epsilon=epsilon)
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


def _length_factor(at: int, *, scale: float, every: int) -> Callable[[int], float]:
    return lambda q: reference_steps.length_factor(q + at, scale=scale, every=every)


def steps_of(module: Any, lender: Any, *, at: int) -> reference_steps.Steps:
    """The steps of the reference with the weights of a module that reads keys and values of `lender`."""
    weighing, ending, own = module.weighing, module.ending, module.persistent
    context = ending.norm.norm if isinstance(ending.norm, differential.Settled) else ending.norm
    factor, span = None, weighing.reach
    if weighing.temperature is not None:
        made = weighing.temperature
        factor = _length_factor(at, scale=made.scale, every=made.floor)
    sinks = None
    if weighing.sink is not None:
        sinks = [0.0] * module.maps if weighing.sink.logit is None else weighing.sink.logit.tolist()
    return reference_steps.Steps(
        query=over_heads(module.query_norm),
        key=over_heads(lender.key_norm),
        value=over_heads(lender.value_norm),
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
        gaze=None if module.span is None else partial(gaze_of, module.span),
        top=None if weighing.select is None else weighing.select.keys,
        persistent=() if own is None else _learned(own, weighing.difference),
        gate=None if module.gate is None else module.gate.map.weight.tolist(),
        on_attention=isinstance(module.output, nn_steps.OnAttention),
        short={
            name: _in_order(each.short, name)
            for each, names in ((module, ("query",)), (lender, ("key", "value")))
            for name in names
            if each.short is not None and name in each.short.weights
        },
        ahead=next((each.short.behind for each in (module, lender) if each.short is not None), 0),
    )


Learned = tuple[reference_steps.Learned, ...]


def _learned(own: nn_steps.Persistent, difference: differential.Difference | None) -> Learned:
    """The learned keys of each map with the values that it mixes; two maps of a difference mix the same."""
    keys, values = own.key.tolist(), own.values.tolist()
    if difference is not None:
        values = [values[each % len(values) if difference.halves else each // 2] for each in range(len(keys))]
    return tuple(reference_steps.Learned(*pair) for pair in zip(keys, values, strict=True))


def _in_order(short: Short, name: str) -> list[Numbers]:
    """The weights of a short convolution from the place farthest ahead to the one farthest back."""
    own, *others = short.weights[name].tolist()
    return [*reversed(others[short.before :]), own, *others[: short.before]]
