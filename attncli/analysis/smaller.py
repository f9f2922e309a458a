"""The spec of a model without some of its heads, or why there is none that does the same.

What a head reads and gives must be its own. Query heads of one kv head share its keys and values, so that a kv head
leaves with the last of them, and all kv heads must go on serving equally many. Everything else that tells one head by
its number, or joins several, is refused here with its reason.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from attncli.analysis.heads import Heads, Site, sites_of
from attncli.errors import InputError
from attncli.spec.attention import AnyAttention, MultiHead
from attncli.spec.base import Spec
from attncli.spec.delta import DeltaRule
from attncli.spec.fixed import PROJECTIONS
from attncli.spec.load import load_text
from attncli.spec.positions import Alibi, Sandwich
from attncli.spec.resolved import yaml_of
from attncli.spec.retention import Retention
from attncli.spec.run import Run
from attncli.spec.stacks import Layer, Transformer


class Kept(NamedTuple):
    """The heads that stay in one attention, by their numbers before."""

    heads: tuple[int, ...]
    groups: tuple[int, ...]
    """kv heads (qk heads of the delta rule)."""


def groups_of(part: AnyAttention) -> int:
    """kv heads; of the delta rule, whose queries and keys are shared, qk heads."""
    return part.qk_heads if isinstance(part, DeltaRule) else part.kv_heads


def without(run: Run, gone: Heads) -> tuple[Run, dict[str, Kept]]:
    """The spec without these heads, and what stays by address.

    Raises:
        InputError: every reason for which the smaller model would not be the masked one.
    """
    sites = sites_of(run)
    faults: list[str] = []
    kept: dict[str, Kept] = {}
    for address, heads in gone.items():
        if address not in sites:
            why = "the width of a pooling head is that of the states over their number: the others would be wider"
            faults.append(f"{address}: {why}")
            continue
        part = sites[address].part
        stay = tuple(head for head in range(part.heads) if head not in heads)
        share = part.heads // groups_of(part)
        kept[address] = Kept(stay, tuple(sorted({head // share for head in stay})))
        faults += [f"{address}: {reason}" for reason in _reasons(run, sites[address], kept[address])]
    faults += _shared(run, sites, kept)
    if faults:
        raise InputError(
            "\n".join(faults), help="leave these heads in, or mask them: inspect --importance tells what that costs"
        )
    return load_text(yaml_of(_rewritten(run, sites, kept)), name="the smaller spec").run, kept


def _reasons(run: Run, site: Site, kept: Kept) -> Iterator[str]:
    part = site.part
    heads, groups = kept
    if not heads:
        yield "no head would stay; to leave the attention out, leave it out of `order` and train anew"
        return
    lost = len(groups) < groups_of(part)
    counts = {sum(head // (part.heads // groups_of(part)) == group for head in heads) for group in groups}
    if len(counts) > 1:
        what = "qk head" if isinstance(part, DeltaRule) else "kv head"
        told = " and ".join(map(str, sorted(counts)))
        yield f"each {what} must serve equally many heads, and they would serve {told}"
    missing = [name for name in PROJECTIONS if not part.maps(name) and (name != "key" or part.score.kind != "location")]
    if missing:
        yield f"without maps of {', '.join(missing)} the widths of the states are those of all heads"
    if part.talking_heads != "none":
        yield "talking_heads mixes every head into every other"
    if part.selective != "none" and 0 not in heads:
        yield "the scores of head 0 say which keys all other heads may see (selective)"
    if getattr(part.qk_norm, "over", "head") == "projection":
        yield "qk_norm over: projection makes one vector of all heads, so none can leave without changing the others"
    if isinstance(part.position, Sandwich) or (isinstance(part.position, Alibi) and part.position.slopes == "fixed"):
        yield f"the slopes of {part.position.kind} follow from the number of heads"
    first = heads == tuple(range(len(heads)))
    if "h" in part.mask.names and (part.mask.values_by_head or not first):
        yield f"its mask tells heads by their number: {part.mask.text}"
    if isinstance(part, Retention) and not first:
        yield "the decay of a head follows from its number, so only the last ones can leave"
    if lost and isinstance(part, MultiHead) and _lends(run, site):
        yield "other layers read its keys or values, and would lose theirs"


def _lends(run: Run, site: Site) -> bool:
    """Whether keys or values go from one layer to another."""
    stack = run.model.stacks[site.stack]
    assert isinstance(stack, Transformer) or site.layer is None
    if not isinstance(stack, Transformer):
        return False
    others = [each.part for layer in stack.layers for each in layer.placed() if isinstance(each.part, MultiHead)]
    mixed = any(other.value_residual != "none" for other in others)
    name = next(layer.name for index, layer in enumerate(stack.expanded()) if index == site.layer)
    lends = name is not None and any(other.kv_from == name for other in others)
    return mixed or lends or (isinstance(site.part, MultiHead) and site.part.kv_from is not None)


def _shared(run: Run, sites: dict[str, Site], kept: dict[str, Kept]) -> Iterator[str]:
    """Layers with one set of weights must lose the same heads."""
    for name, stack in run.model.stacks.items():
        if not isinstance(stack, Transformer):
            continue
        owners = stack.owners()
        for address, site in sites.items():
            if site.stack != name or site.layer is None:
                continue
            layer, _, branch = address.removeprefix(f"{name}.").partition(".")
            owner = f"{name}.{owners[int(layer)][branch.split('.')[0]]}.{branch}"
            if kept.get(owner) != kept.get(address):
                yield f"{address}: it has the weights of {owner}; name the same heads of both"


def _rewritten(run: Run, sites: dict[str, Site], kept: dict[str, Kept]) -> Run:
    model = run.model
    for name, stack in model.stacks.items():
        mine = {address: site for address, site in sites.items() if site.stack == name and address in kept}
        if not mine:
            continue
        if isinstance(stack, Transformer):
            layers = _alone(stack)
            for address, site in mine.items():
                assert site.layer is not None
                layers[site.layer] = _replaced(layers[site.layer], site.where, _fewer(site.part, kept[address]))
            stack = stack.model_copy(update={"layers": tuple(_together(layers))})
        else:
            ((address, site),) = mine.items()
            stack = _replaced(stack, site.where, _fewer(site.part, kept[address]))
        model = model.model_copy(update={name: stack})
    return run.model_copy(update={"model": model})


def _fewer(part: AnyAttention, kept: Kept) -> AnyAttention:
    """The attention with fewer heads; a table that layers shared becomes its own, since it has a column a head."""
    new: dict[str, Any] = {"heads": len(kept.heads)}
    if isinstance(part, MultiHead):
        new["kv_heads"] = len(kept.groups)
    if isinstance(part, DeltaRule):
        new["qk_heads"] = len(kept.groups)
    if getattr(part.position, "share", "layer") == "stack":
        new["position"] = part.position.model_copy(update={"share": "layer"})
    return part.model_copy(update=new)


def _alone(stack: Transformer) -> list[Layer]:
    """Each layer that runs as one of its own; shared weights are named by the layer that has them."""
    found: list[Layer] = []
    for layer in stack.layers:
        first = len(found)
        for visit in range(layer.repeat):
            other = None if layer.same_as is None else layer.same_as + visit
            owner = first if other is None and visit and layer.share != "none" else other
            share = layer.share if owner is not None else "none"
            found.append(layer.model_copy(update={"repeat": 1, "share": share, "same_as": owner}))
    return found


def _together(layers: list[Layer]) -> Iterator[Layer]:
    """Equal neighbours with weights of their own as one that repeats."""
    count = 0
    for index, layer in enumerate(layers):
        count += 1
        if layer.share != "none" or layers[index + 1 : index + 2] != [layer]:
            yield layer.model_copy(update={"repeat": count})
            count = 0


def _replaced(record: Any, where: tuple[str | int, ...], value: Spec) -> Any:
    """The record with another value at a place inside it."""
    if not where:
        return value
    key, *rest = where
    if isinstance(key, int):
        return tuple(_replaced(one, tuple(rest), value) if at == key else one for at, one in enumerate(record))
    return record.model_copy(update={key: _replaced(getattr(record, key), tuple(rest), value)})
