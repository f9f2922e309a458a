"""Drawings of the masks of a model, for a terminal, and what is known of them. Imports no torch."""

from collections.abc import Iterator
from dataclasses import dataclass

from attncli.errors import InputError
from attncli.profiling.outline import alike, describe_attention, numbers
from attncli.spec.attention import ATTENTIONS, AnyAttention, CrossAttention
from attncli.spec.masks import Mask
from attncli.spec.masks.reach import field_of
from attncli.spec.masks.rows import Rows
from attncli.spec.recurrent import Recurrent
from attncli.spec.run import Run

LENGTH = 24
"""Positions that a drawing shows."""
COUNTED = 4096
"""Positions up to which pairs are counted, where a stack has more."""
TRIED = 1024
"""Positions of the rows in which pairs are tried where no proof is found."""
FIELD = 256
"""Positions up to which the field of a stack is followed."""


def attentions_of(run: Run) -> dict[str, tuple[AnyAttention, str]]:
    """Every attention of the stacks by its address; each with a title, which says what other layers are alike."""
    found: dict[str, tuple[AnyAttention, str]] = {}
    for name, stack in run.model.stacks.items():
        if isinstance(stack, Recurrent):
            if stack.cross_attention:
                address = f"{name}.cross_attention"
                found[address] = (stack.cross_attention, address)
            continue
        for layer, indices in alike(stack):
            for each in layer.placed():
                part = each.part
                if isinstance(part, ATTENTIONS):
                    title = f"{name}.{each.address} of layers {numbers(indices)}" if len(indices) > 1 else ""
                    for index in indices:
                        found[f"{name}.{index}.{each.address}"] = (part, title or f"{name}.{index}.{each.address}")
    return found


@dataclass(frozen=True)
class Panel:
    """One mask to draw: of which attention and heads, over how many positions, and what is to be known of it."""

    address: str
    title: str
    mask: str
    rows: Rows
    note: str


def panels(run: Run, address: str = "", *, length: int = LENGTH) -> Iterator[Panel]:
    """The different masks of one attention, or of all, those of like layers and heads once.

    Errors: InputError where the model has no attention at the address.
    """
    for each, (part, title) in _chosen(run, address).items():
        mask, note = _bound(part.mask, each, length)
        like: dict[tuple[int, ...], list[int]] = {}
        for head in range(part.heads) if "h" in mask.names else range(1):
            like.setdefault(tuple(mask.rows(length, head=head)), []).append(head)
        for same in like.values():
            of_heads = f", {_heads(same)}" if len(like) > 1 else ""
            yield Panel(each, title + of_heads, part.mask.text, mask.rows(length, head=same[0]), note)


def _heads(same: list[int]) -> str:
    return f"heads {numbers(same)}" if len(same) > 1 else f"head {same[0]}"


def _bound(mask: Mask, address: str, length: int) -> tuple[Mask, str]:
    """The mask as it is drawn, with what was taken for granted."""
    layer = next((int(step) for step in address.split(".") if step.isdigit()), 0)
    drawn, prompt = mask.of_layer(layer).with_prefix(length // 3), "the first third of the row is taken as the prompt"
    if not drawn.positional:
        read = ", ".join(sorted(drawn.of_samples | drawn.of_tokens - {"document"}))
        return drawn, f"what the data say of {read} is taken as true: no more than this is seen"
    return drawn, prompt if mask.reads_prefix else f"layer {layer}" if "layer" in mask.names else ""


def _chosen(run: Run, address: str) -> dict[str, tuple[AnyAttention, str]]:
    found = attentions_of(run)
    if address and address not in found:
        from difflib import get_close_matches

        near = get_close_matches(address, found, 1)
        help = f"did you mean '{near[0]}'?" if near else f"its attentions are {', '.join(found) or 'none'}"
        raise InputError(f"--mask {address}: {run.name} has no attention of that address", help=help)
    if address:
        return {address: (found[address][0], address)}
    first: dict[str, str] = {}
    for each, (_, title) in found.items():
        first.setdefault(title, each)
    return {each: found[each] for each in first.values()}


def drawings(run: Run, address: str = "") -> Iterator[str]:
    """The lines of the drawing of one attention's mask, or of all masks, and how far each stack reads.

    Errors: InputError where the model has no attention at the address.
    """
    chosen = _chosen(run, address)
    yield "keys to the right, queries down; █ all pairs of a cell are seen, ▓▒░ some, · none"
    for each, (part, title) in chosen.items():
        yield ""
        yield title
        yield describe_attention(part)
        yield from _drawn(part, run, each)
    if not address:
        yield from _fields(run)


def _drawn(part: AnyAttention, run: Run, address: str) -> Iterator[str]:
    reader = address.split(".")[0]
    if part.mask.full:
        yield "every query sees every key"
        return
    mask, note = _bound(part.mask, address, LENGTH)
    drawn: dict[tuple[str, ...], list[int]] = {}
    for head in range(part.heads) if "h" in mask.names else range(1):
        drawn.setdefault(tuple(mask.picture(LENGTH, head=head)), []).append(head)
    for lines, same in drawn.items():
        yield from [_heads(same)] if len(drawn) > 1 else []
        yield from lines
    yield from [note] if note else []
    source = part.stack if isinstance(part, CrossAttention) else reader
    queries, keys = (min(run.model.stacks[name].max_length, COUNTED) for name in (reader, source))
    mask, _ = _bound(part.mask, address, keys)
    seen, pairs = mask.visible(queries, keys, heads=part.heads), part.heads * queries * keys
    most = "at most " if not mask.positional else ""
    yield f"{most}{seen / pairs:.1%} of the pairs of {queries} queries and {keys} keys"
    yield from _told(mask, part.heads, queries, keys, own=source == reader)


def _told(mask: Mask, heads: int, queries: int, keys: int, *, own: bool) -> Iterator[str]:
    """Causal or not, with a witness, and the first row that sees nothing."""
    if own and (ahead := mask.causal(length=min(queries, TRIED), heads=heads)) is not None:
        of_head = f" of head {ahead.h}" if "h" in mask.names else ""
        yield f"not causal: query {ahead.q}{of_head} {'sees' if mask.positional else 'may see'} key {ahead.k}"
    elif own:
        yield "causal: no query sees a later key"
    if (empty := mask.empty_rows(min(queries, TRIED), min(keys, TRIED), heads=heads)) is not None:
        of_head = f" of head {empty.h}" if "h" in mask.names else ""
        yield f"query {empty.q}{of_head} sees no key: zeros"


def _fields(run: Run) -> Iterator[str]:
    """How far what stands in one place travels through the self-attentions of each Transformer."""
    parts = attentions_of(run)
    for name, stack in run.model.stacks.items():
        own = {address: part for address, (part, _) in parts.items()
               if address.startswith(f"{name}.") and not isinstance(part, CrossAttention)}  # fmt: skip
        if isinstance(stack, Recurrent) or not own or all(part.mask.full for part in own.values()):
            continue
        length = min(stack.max_length, FIELD)
        masks = [(_bound(part.mask, address, length)[0], part.heads) for address, part in own.items()]
        field, layers = field_of(masks, length), f"{len(masks)} layer{'s' * (len(masks) > 1)}"
        most = "" if all(mask.positional for mask, _ in masks) else "at most "
        yield ""
        yield (
            f"through {layers} of {name} a place reads {most}{_far(field.back, length)} tokens back, "
            f"{_far(field.ahead, length)} ahead, in rows of {length}"
        )


def _far(tokens: int, length: int) -> str:
    return "all" if tokens == length - 1 else str(tokens)
