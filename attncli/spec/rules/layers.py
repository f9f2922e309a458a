"""What the layers of a stack owe each other: keys and values that one takes from another."""

from collections.abc import Iterator

from attncli.spec.attention import AnyAttention, CrossAttention, Latent, MultiHead
from attncli.spec.base import Fault
from attncli.spec.rules.sections import Where
from attncli.spec.running import Running
from attncli.spec.stacks import Transformer
from attncli.spec.words import listed, nearest

ALIKE = ("kind", "kv_heads", "d_head", "d_value", "position", "values", "second_projections")
"""What both sides of kv_from must have in common."""


def faults(at: Where, stack: Transformer) -> Iterator[Fault]:
    """Every rule between the layers of one stack."""
    lent: dict[str, dict[str, MultiHead]] = {}
    first: AnyAttention | None = None
    for index, layer in enumerate(stack.layers):
        for each in layer.placed():
            part, branch = each.part, each.branch
            if layer.name is not None:
                lent.setdefault(layer.name, {})
            if branch == "attention" and isinstance(part, (Latent, Running)):
                first = first or part
            if not isinstance(part, MultiHead):
                continue
            where = (*at, "layers", index, *each.where)
            if part.kv_from is not None:
                yield from _lent(where, part, branch, lent)
            if part.value_residual == "first":
                yield from _mixed(where, part, first, alone=_alone(stack))
            if branch == "attention":
                first = first or part
            if layer.name is not None:
                lent[layer.name][branch] = part


def _alone(stack: Transformer) -> bool:
    return sum(layer.repeat * len(layer.attentions) for layer in stack.layers) < 2


def _lent(where: Where, part: MultiHead, branch: str, lent: dict[str, dict[str, MultiHead]]) -> Iterator[Fault]:
    where, name = (*where, "kv_from"), part.kv_from or ""
    if name not in lent:
        near = nearest(name, lent)
        help = f"did you mean '{near}'?" if near else "give an earlier layer that name"
        yield Fault(where, f"no layer before this one is named '{name}'", help)
        return
    source = lent[name].get(branch)
    if source is None:
        yield Fault(where, f"the layer '{name}' has no {branch} to take keys and values from", "name another layer")
        return
    unlike = [key for key in ALIKE if getattr(part, key) != getattr(source, key)]
    unlike += ["score"] if part.score.kind != source.score.kind else []
    unlike += ["stack"] if _read(part) != _read(source) else []
    if unlike:
        rule = f"the keys and values of '{name}' are of another {listed(unlike)}"
        yield Fault(where, rule, f"write the same {listed(unlike)} in both layers")


def _read(part: MultiHead) -> str | None:
    return part.stack if isinstance(part, CrossAttention) else None


def _mixed(where: Where, part: MultiHead, first: AnyAttention | None, *, alone: bool) -> Iterator[Fault]:
    where = (*where, "value_residual")
    if isinstance(part, CrossAttention):
        rule = "the first layer's values stand at the places of the tokens themselves, not of what is read"
        yield Fault(where, rule, "leave value_residual out of cross_attention")
    elif alone:
        yield Fault(where, "the only attention has no earlier values to mix in", "leave value_residual out")
    elif isinstance(first, Latent):
        yield Fault(where, "the first attention is latent and keeps no values", "leave value_residual out")
    elif first is not None and first.values == "keys":
        rule = "the values of the first attention are its keys, turned to their places"
        yield Fault(where, rule, "leave value_residual out")
    elif first is not None and (part.kv_heads, part.d_value) != (first.kv_heads, first.d_value):
        rule = (f"the values are {part.kv_heads} heads of {part.d_value}, and those of the first attention "
                f"{first.kv_heads} of {first.d_value}")  # fmt: skip
        yield Fault(where, rule, "write the same kv_heads and d_value in both")
