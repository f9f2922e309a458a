"""What the oracle tells of step-by-step attentions, predicted spans, and attentions that are recurrences."""

from collections.abc import Sequence
from functools import partial
from math import exp, log1p
from typing import Any

from torch import Tensor, nn

from attncli.nn.delta import DeltaRule
from attncli.nn.features import Favor, Plain, fixed
from attncli.nn.linear import LinearAttention
from attncli.nn.retention import Retention
from attncli.nn.running import Running
from attncli.nn.scores import Score
from attncli.nn.sequential import ForwardAttention, Monotonic, MovingWindow, SequentialNormalizer
from attncli.nn.spans import Predicted
from attncli.nn.trailed import Coverage, LocationAware
from attncli.reference import attention as reference
from attncli.reference import delta, linear, retention, sequential, spans
from attncli.reference.feedforward import activation
from attncli.reference.recurrent import sigmoid
from attncli.reference.vectors import Matrix, Vector, affine, times

Numbers = list[float]
Earlier = Sequence[Sequence[Vector]]
"""The weights of earlier steps (step h k)."""


def trailed(score: Score, earlier: Earlier) -> Any:
    """A score of the reference that reads the weights of earlier steps."""
    own: dict[str, Any] = {name: parameter.tolist() for name, parameter in score.named_parameters()}

    def plain(head: int, query: Vector, keys: Matrix, values: Matrix) -> Numbers:
        known = {"of_query": own["query"], "of_key": own["key"], "bias": own["bias"], "weight": own["weight"]}
        known = {name: weights[head] for name, weights in known.items()}
        steps = [step[head] for step in earlier]
        match score:
            case Coverage():
                return sequential.coverage(query, keys, steps, of_coverage=own["coverage"][head][0], **known)
            case LocationAware():
                last = steps[-1] if steps else [1 / len(keys)] * len(keys)
                kernel = {"kernel": own["kernel"][head], "of_features": own["features"][head]}
                return sequential.location_aware(query, keys, last, **kernel, **known)
        raise AssertionError(f"tell the oracle of {type(score).__name__}")

    return plain


def stepped(normalizer: SequentialNormalizer, earlier: Earlier) -> reference.Joint:
    """A normalizer of the reference that reads the weights of the last step."""

    def joint(head: int, scores: Matrix, seen: Sequence[Sequence[bool]]) -> list[Numbers]:
        (row,), (sees,) = scores, seen
        last = earlier[-1][head] if earlier else [1.0] + [0.0] * (len(row) - 1)
        if isinstance(normalizer, MovingWindow):  # a step that saw no key leaves the window where it was
            last = next((step[head] for step in reversed(earlier) if any(step[head])), [1.0] + [0.0] * (len(row) - 1))
        match normalizer:
            case ForwardAttention():
                return [sequential.forward_step(row, last, sees)]
            case MovingWindow(keys=keys):
                return [sequential.window_step(row, last, keys=keys, seen=sees)]
            case Monotonic(hard=True):
                return [sequential.hard_monotonic_step(row, last, sees)]
            case Monotonic():
                return [sequential.monotonic_step(row, last, sees)]
        raise AssertionError(f"tell the oracle of {type(normalizer).__name__}")

    return joint


def gaze_of(span: Predicted, head: int, query: Vector, length: int) -> Numbers:
    """By what a predicted span multiplies the weights of a query."""
    weight, vector = span.weight[head].tolist(), span.vector[head].tolist()
    centre = spans.predicted_centre(query, length, weight=weight, vector=vector)
    return [spans.gaussian(k, centre, half_width=span.half_width) for k in range(length)]


def running_outputs(module: Running, x: Tensor, memory: Tensor, turn: Any, context: Any) -> reference.Heads:
    """Attentions that are recurrences: the reference walks from token to token, and no weight is made."""
    read = memory.tolist()
    contexts = _written(module, read) if isinstance(module, DeltaRule) else _summed(module, x.tolist(), read, turn)
    joined = []
    for q, state in enumerate(x.tolist()):
        made = [each for head in contexts for each in context(head[q])]
        if isinstance(module, (Retention, DeltaRule)) and module.swish is not None:
            made = times(made, [activation("silu", each) for each in affine(state, *_map(module.swish))])
        joined.append(affine(made, *_map(module.output)))
    return reference.Heads(joined, [])


def _summed(module: Running, x: Matrix, memory: Matrix, turn: Any) -> list[list[Numbers]]:
    """Mixtures (h n v) of linear attention, of performers, and of retention."""
    queries, keys, values = (
        [reference.split(affine(each, *_map(of)), module.heads) for each in states]
        for of, states in ((module.query, x), (module.key, memory), (module.value, memory))
    )
    if turn is not None:
        narrow = len(queries[0][0])
        queries = [[turn(part, q, "query", h) for h, part in enumerate(heads)] for q, heads in enumerate(queries)]
        keys = [[turn(part, k, "key", h) for h, part in enumerate(heads)] for k, heads in enumerate(keys)]
        # a position that keeps each key in two turns does not make the products smaller
        wider = (len(queries[0][0]) / narrow) ** 0.5
        queries = [[[wider * each for each in head] for head in heads] for heads in queries]
    contexts = []
    for head in range(module.heads):
        own = [[each[head] for each in part] for part in (queries, keys, values)]
        match module:
            case LinearAttention():
                told = partial(linear.recurrent, feature=_feature(module), causal=module.mask.text == "causal")
            case Retention():
                told = partial(retention.recurrent, decay=retention.decay_of(head))
            case _:
                raise AssertionError(f"tell the oracle of {type(module).__name__}")
        contexts.append(told(*own))
    return contexts


def _feature(module: LinearAttention) -> Any:
    match module.feature:
        case Plain(kind=kind):
            return partial(linear.feature, kind=kind)
        case Favor(sizes=sizes, draw=draw):  # what directions are drawn is no matter of an equation
            return partial(linear.favor, directions=fixed(*sizes, draw).tolist())
    raise AssertionError(f"tell the oracle of {type(module.feature).__name__}")


def _written(module: DeltaRule, states: Matrix) -> list[list[Numbers]]:
    """Mixtures (h n v) of the delta rule."""
    maps = [_map(of) for of in (module.query, module.key, module.value)]
    rows = [[number for of in maps for number in affine(each, *of)] for each in states]
    if module.convolution is not None:
        rows = delta.convolved(rows, module.convolution.weight.tolist())
    rows = [[activation("silu", each) for each in row] for row in rows]
    wide = module.widths[0]
    queries, keys, values = (
        [reference.split(row[start : start + width], heads) for row in rows]
        for start, width, heads in zip(
            (0, wide, 2 * wide), module.widths, (module.qk_heads, module.qk_heads, module.heads), strict=True
        )
    )
    strengths = [[sigmoid(each) for each in affine(state, *_map(module.strength))] for state in states]
    contexts = []
    for head in range(module.heads):
        of, fades = head // (module.heads // module.qk_heads), None
        if module.fade is not None:
            rate, offset = exp(module.fade.rate[head].item()), module.fade.offset[head].item()
            fades = [exp(-rate * log1p(exp(affine(state, *_map(module.fade.map))[head] + offset))) for state in states]
        contexts.append(
            delta.recurrent(
                [delta.unit(each[of]) for each in queries], [delta.unit(each[of]) for each in keys],
                [each[head] for each in values], strengths=[each[head] for each in strengths], fades=fades,
            )
        )  # fmt: skip
    return contexts


def _map(of: nn.Module) -> tuple[Matrix, Vector | None]:
    assert isinstance(of, nn.Linear)
    return of.weight.tolist(), None if of.bias is None else of.bias.tolist()
