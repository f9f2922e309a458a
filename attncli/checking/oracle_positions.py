"""The positions of an attention told again in plain Python by attncli.reference. Part of oracle.py."""

import cmath
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attncli.nn import positions
from attncli.nn.attention import Attention
from attncli.reference import attention as reference
from attncli.reference import positions as reference_positions
from attncli.reference.vectors import Matrix, Vector, dot

Numbers = list[float]


def bias_of(module: Attention, memory: list[Numbers]) -> Callable[[int, int, int], float] | None:
    """What a relative position adds to the logit of (query, key, head)."""
    position, heads = module.position, module.maps
    own: dict[str, Any] = {name: parameter.tolist() for name, parameter in position.named_parameters()}
    match position:
        case positions.Alibi():
            slopes = own.get("slopes", reference_positions.alibi_slopes(heads))
            return lambda q, k, h: reference_positions.alibi(slopes[h], q, k)
        case positions.T5():
            table = own["table.weight"]
            bucket = partial(
                reference_positions.t5_bucket, two_sided=position.two_sided, buckets=position.buckets,
                max_distance=position.max_distance,
            )  # fmt: skip
            return lambda q, k, h: table[bucket(k - q)][h]
        case positions.Kerple():
            sizes = [math.log1p(math.exp(x)) for x in own["size"]]
            powers = position.form == "power"
            shapes = [2 / (1 + math.exp(-x)) if powers else math.log1p(math.exp(x)) for x in own["shape"]]
            return lambda q, k, h: reference_positions.kerple(q - k, size=sizes[h], shape=shapes[h], form=position.form)
        case positions.Sandwich():
            width = 2 * len(position.rates)
            base = position.rates[-1] ** (-width / (width - 2)) if width > 2 else 1.0
            return lambda q, k, h: reference_positions.sandwich(q - k, h, heads=heads, width=width, base=base)
        case positions.LogDistance():
            hidden = {"hidden": own["hidden.weight"], "hidden_bias": own["hidden.bias"]}
            return lambda q, k, h: reference_positions.log_distance(k - q, out=own["out.weight"][h], **hidden)
        case positions.Forgetting():
            weight, bias = own["gate.weight"], own["gate.bias"]
            gates = [
                [reference_positions.forget_gate(state, weight=weight[h], bias=bias[h]) for state in memory]
                for h in range(heads)
            ]
            return lambda q, k, h: reference_positions.forgetting(gates[h], q, k)
    return None


def turn_of(position: Any, length: int) -> Callable[[Vector, int, str, int], Numbers] | None:
    """How a relative position turns a query or a key at a place of a text of some length."""
    if isinstance(position, positions.Pope):
        return partial(_polar, position.offset.tolist(), position.rates[1] ** -len(position.rates))
    if not isinstance(position, positions.Rotary):
        return None
    kind: Any = position
    width = 2 * len(position.rates)
    turn = partial(reference_positions.rotary, d_rotary=width, layout=position.layout)

    def grown(x: Vector, at: int, rates: Vector) -> Numbers:
        return [each * position.size for each in turn(x, at, rates=rates)[:width]] + list(x[width:])

    def plain(x: Vector, at: int, side: str, head: int) -> Numbers:
        rates = position.rates
        if isinstance(position, positions.DynamicNtk):
            rates = reference_positions.dynamic_ntk(
                width // 2, length=length, factor=position.factor, original_length=position.original_length,
                base=position.base,
            )  # fmt: skip
        heat = position.heat if side == "query" else 1.0
        return [each * heat for each in grown(x, at, rates)]

    def sized(x: Vector, at: int, side: str, head: int) -> Numbers:
        base = kind.rates[1] ** (-width / 2)
        scale_base = math.log(0.4 / 1.4) / kind.decays[0]
        sizes = {"d_rotary": width, "base": base, "layout": kind.layout, "scale_base": scale_base}
        return reference_positions.xpos(x, at, side=side, **sizes)

    def either(x: Vector, at: int, side: str, head: int) -> Numbers:
        """Longrope: by the length where a query looks ahead; else keys in both turns, of which a query reads one."""
        short, long = grown(x, at, kind.rates), grown(x, at, kind.long)
        if kind.two_sided:
            return long if length > kind.original_length else short
        none = [0.0] * len(x)
        if side == "key":
            return short + long
        return none + long if at >= kind.original_length else short + none

    if isinstance(position, positions.Longrope):
        return either
    return sized if isinstance(position, positions.Xpos) else plain


def _polar(offset: Sequence[Vector], base: float, x: Vector, at: int, side: str, head: int) -> Numbers:
    """A polar query or key as real parts and imaginary ones: the dot product of two is Re(conj(q) k)."""
    found = reference_positions.pope(x, at, base=base)
    if side == "query":
        found = [each * cmath.rect(1.0, -t) for each, t in zip(found, offset[head], strict=True)]
    return [each.real for each in found] + [each.imag for each in found]


def met_by(position: positions.Relative, length: int) -> Callable[[Vector, int, int | None], Numbers]:
    """A key as the query at q meets it: turned by their distance, in one turn; one without a place by q alone."""
    if not isinstance(position, positions.Rotary):
        return lambda key, q, k: list(key)
    width = 2 * len(position.rates)

    def met(key: Vector, q: int, k: int | None) -> Numbers:
        rates, size = position.rates, position.size ** (1 if k is None else 2)
        if isinstance(position, positions.DynamicNtk):
            rates = reference_positions.dynamic_ntk(
                width // 2, length=length, factor=position.factor, original_length=position.original_length,
                base=position.base,
            )  # fmt: skip
        if isinstance(position, positions.Longrope):
            beyond = length > position.original_length if position.two_sided else q >= position.original_length
            rates = position.long if beyond else position.rates
        away = -q if k is None else k - q
        turned = reference_positions.rotary(key, away, d_rotary=width, layout=position.layout, rates=rates)
        decays = position.decays if isinstance(position, positions.Xpos) else [0.0] * len(rates)
        half = position.layout == "half"
        grown = [math.exp(-decays[i % len(rates) if half else i // 2] * away) * size for i in range(width)]
        return [x * by for x, by in zip(turned[:width], grown, strict=True)] + list(turned[width:])

    return met


def related_of(module: Attention, x: Matrix, length: int) -> reference.Related:
    """What a relative position makes of queries and keys, with the weights of a module."""
    position, heads, kv_heads = module.position, module.maps, module.key_heads
    own: dict[str, Any] = {name: parameter.tolist() for name, parameter in position.named_parameters()}
    scale = getattr(module.score, "scale", 1.0)

    def of_head(matrix: list[Numbers], parts: int, head: int) -> list[Numbers]:
        rows = len(matrix) // parts
        at = head // (heads // parts) * rows
        return matrix[at : at + rows]

    def term(h: int, q: int, query: Vector, keys: Matrix, scores: Vector, seen: Sequence[bool]) -> Numbers:
        match position:
            case positions.Shaw():
                return reference_positions.shaw(query, q, len(keys), table=own["key.weight"], scale=scale)
            case positions.TransformerXl():
                return reference_positions.transformer_xl(
                    query, q, keys, of_content=own["directions.content"][h], of_position=own["directions.position"][h],
                    map=of_head(own["map.weight"], kv_heads, h), width=position.d_model, scale=scale,
                )  # fmt: skip
            case positions.Disentangled():
                return reference_positions.disentangled(
                    query, q, keys, table=own["table.weight"], of_key=of_head(own["key.weight"], kv_heads, h),
                    of_query=of_head(own["query.weight"], heads, h), released=position.released, scale=scale,
                )  # fmt: skip
            case positions.Bank():
                demand = of_head(own["map.weight"], heads, h)
                return reference_positions.bank(x[q], q, len(keys), map=demand, profiles=own["profiles.weight"])
        return reference_positions.cope(query, q, scores, seen, table=own["table.weight"])

    def placeless(h: int, keys: Matrix, scores: Vector) -> Numbers:
        match position:
            case positions.TransformerXl():
                content = own["directions.content"][h]
                return [score + scale * dot(content, key) for score, key in zip(scores, keys, strict=True)]
            case positions.Disentangled():
                return [score / math.sqrt(3) for score in scores]
        return list(scores)

    def carry(q: int, weights: Vector) -> Numbers:
        return reference_positions.shaw_carried(weights, q, table=own["value.weight"])

    kinds = (positions.Shaw, positions.TransformerXl, positions.Disentangled, positions.Cope, positions.Bank)
    return reference.Related(
        term if isinstance(position, kinds) else None,
        carry if "value.weight" in own else None,
        met_by(position, length) if module.shared else None,
        placeless if isinstance(position, kinds) else None,
    )
