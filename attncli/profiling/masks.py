"""Drawings of the masks of a model, for a terminal. Imports no torch."""

from collections.abc import Iterator

from attncli.errors import InputError
from attncli.profiling.outline import alike, describe_attention, numbers
from attncli.spec.attention import CrossAttention, MultiHead
from attncli.spec.recurrent import Recurrent
from attncli.spec.run import Run

LENGTH = 24
"""Positions that a drawing shows."""
COUNTED = 4096
"""Positions up to which pairs are counted, where a stack has more."""


def attentions_of(run: Run) -> dict[str, tuple[MultiHead, str]]:
    """Every attention of the stacks by its address; each with a title, which says what other layers are alike."""
    found: dict[str, tuple[MultiHead, str]] = {}
    for name, stack in run.model.stacks.items():
        if isinstance(stack, Recurrent):
            if stack.cross_attention:
                address = f"{name}.cross_attention"
                found[address] = (stack.cross_attention, address)
            continue
        for layer, indices in alike(stack):
            for each in layer.placed():
                part = each.part
                if isinstance(part, MultiHead):
                    title = f"{name}.{each.address} of layers {numbers(indices)}" if len(indices) > 1 else ""
                    for index in indices:
                        found[f"{name}.{index}.{each.address}"] = (part, title or f"{name}.{index}.{each.address}")
    return found


def drawings(run: Run, address: str = "") -> Iterator[str]:
    """The lines of the drawing of one attention's mask, or of all masks, those of like layers once.

    Errors: InputError where the model has no attention at the address.
    """
    found = attentions_of(run)
    if address and address not in found:
        from difflib import get_close_matches

        near = get_close_matches(address, found, 1)
        help = f"did you mean '{near[0]}'?" if near else f"its attentions are {', '.join(found) or 'none'}"
        raise InputError(f"--mask {address}: {run.name} has no attention of that address", help=help)
    shown: set[str] = set()
    yield "keys to the right, queries down; █ all pairs of a cell are seen, ▓▒░ some, · none"
    for each, (part, title) in found.items():
        title = each if address else title
        if (address and each != address) or title in shown:
            continue
        shown.add(title)
        yield ""
        yield title
        yield describe_attention(part)
        yield from _drawn(part, run, each.split(".")[0])


def _drawn(part: MultiHead, run: Run, reader: str) -> Iterator[str]:
    if part.mask.full:
        yield "every query sees every key"
        return
    heads = range(part.heads) if "h" in part.mask.names else range(1)
    drawn: dict[tuple[str, ...], list[int]] = {}
    for head in heads:
        drawn.setdefault(tuple(part.mask.picture(LENGTH, head=head)), []).append(head)
    for lines, same in drawn.items():
        yield from ([f"heads {numbers(same)}" if len(same) > 1 else f"head {same[0]}"] if len(drawn) > 1 else [])
        yield from lines
    source = part.stack if isinstance(part, CrossAttention) else reader
    queries, keys = (min(run.model.stacks[name].max_length, COUNTED) for name in (reader, source))
    seen = part.mask.visible(queries, keys, heads=part.heads) / (part.heads * queries * keys)
    yield f"{seen:.1%} of the pairs of {queries} queries and {keys} keys"
