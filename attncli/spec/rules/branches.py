"""What the branches of a layer must obey: their norms, how they join the stream, and what may stand side by side."""

from collections.abc import Iterator
from itertools import groupby

from attncli.spec.attention import ATTENTIONS, AnyAttention
from attncli.spec.base import Fault
from attncli.spec.feedforward import FeedforwardKind
from attncli.spec.norms import NoNorm
from attncli.spec.residuals import DeepNorm
from attncli.spec.rules.sections import Where
from attncli.spec.stacks import Layer, Placed


def branch_faults(at: Where, layer: Layer) -> Iterator[Fault]:
    """Every rule that the branches of one layer break."""
    placed = layer.placed()
    if not placed:
        yield Fault((*at, "order"), "a layer without branches does nothing", "name a branch")
    for each in placed:
        where = (*at, *each.where)
        if each.branch == "norm":
            if isinstance(each.part, NoNorm):
                yield Fault(where, "a norm of kind none changes nothing", "take it out of order")
            continue
        part = body(each)
        if part.norm_place == "none" and not isinstance(part.norm, NoNorm):
            rule = "norm_place: none leaves no place for it"
            yield Fault((*where, "norm"), rule, "take norm away, or write norm_place: pre")
        if isinstance(part.residual, DeepNorm) and part.norm_place != "post":
            rule = f"deepnorm is norm(alpha x + f), which norm_place: {part.norm_place} is not"
            yield Fault((*where, "residual"), rule, "write norm_place: post")
    for _, group in groupby(placed, key=lambda each: each.step):
        beside = list(group)
        if len(beside) > 1:
            yield from _beside(at, beside)


def body(each: Placed) -> AnyAttention | FeedforwardKind:
    """The part of a branch that is no norm."""
    assert isinstance(each.part, (*ATTENTIONS, FeedforwardKind))
    return each.part


def _beside(at: Where, beside: list[Placed]) -> Iterator[Fault]:
    """One input, one norm, one sum. A branch that `order` overrides may have a norm of its own before it."""
    first = body(beside[0]) if beside[0].branch != "norm" else None
    for each in beside:
        where = (*at, *each.where)
        if each.branch == "norm" or first is None:
            yield Fault((*at, "order"), "a norm of the stream stands alone", "take the brackets around it away")
            return
        part = body(each)
        if part.norm_place != first.norm_place:
            rule = f"side by side are branches of one place of the norm, not {first.norm_place} and {part.norm_place}"
            yield Fault((*where, "norm_place"), rule, "give both the same norm_place")
        elif part.norm != first.norm and (part.norm_place == "post" or not each.overridden):
            yield Fault((*where, "norm"), "branches side by side share one norm", "give both the same norm")
        if isinstance(part.residual, DeepNorm) != isinstance(first.residual, DeepNorm):
            yield Fault(
                (*where, "residual"), "side by side deepnorm is that of all or none", "give both the same residual"
            )
