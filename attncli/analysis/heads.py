"""Heads as users name them, `decoder.0.attention:1,3`, and where a spec writes their attentions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from attncli.errors import InputError
from attncli.spec.attention import ATTENTIONS, AnyAttention
from attncli.spec.recurrent import Recurrent
from attncli.spec.run import Run
from attncli.spec.words import nearest

Heads = dict[str, tuple[int, ...]]
"""Heads by the address of their attention."""
FORM = re.compile(r"([^:,\s]+):(\d{1,6}(?:,\d{1,6})*)")
NEXT = re.compile(r",(?=[^:,]*:)")
"""The comma before another address."""


class Site(NamedTuple):
    """One attention of a spec; layers are those that run, each repeat by itself."""

    stack: str
    layer: int | None
    """None in a recurrent stack."""
    where: tuple[str | int, ...]
    """The keys that lead to it from its layer, or from its stack."""
    part: AnyAttention


def sites_of(run: Run) -> dict[str, Site]:
    """Every attention of the stacks by its address."""
    return dict(_sites(run))


def _sites(run: Run) -> Iterator[tuple[str, Site]]:
    for name, stack in run.model.stacks.items():
        if isinstance(stack, Recurrent):
            if stack.cross_attention is not None:
                yield f"{name}.cross_attention", Site(name, None, ("cross_attention",), stack.cross_attention)
            continue
        for index, layer in enumerate(stack.expanded()):
            for each in layer.placed():
                if isinstance(each.part, ATTENTIONS):
                    yield f"{name}.{index}.{each.address}", Site(name, index, each.where, each.part)


def read_heads(texts: Sequence[str], there: Mapping[str, int], option: str = "--heads") -> Heads:
    """The heads of `ADDRESS:HEAD,HEAD` texts, of one address or of several with commas between them; `there` tells how
    many heads each address has.

    Raises:
        InputError: every text that names none, in one report.
    """
    found: Heads = {}
    faults = []
    for text in (part.strip() for whole in texts for part in NEXT.split(whole)):
        match = FORM.fullmatch(text)
        if match is None:
            faults.append(f"{option} '{text}': this names no heads; write ADDRESS:HEAD,HEAD")
            continue
        address, heads = match[1], [int(head) for head in match[2].split(",")]
        if address not in there:
            near = nearest(address, there)
            close = f"did you mean {near}?" if near else f"there are {', '.join(there)}"
            faults.append(f"{option} {text}: no attention has the address '{address}'; {close}")
            continue
        faults += [
            f"{option} {text}: {address} has no head {head}; its heads are 0 to {there[address] - 1}"
            for head in heads
            if head >= there[address]
        ]
        found[address] = tuple(sorted({*found.get(address, ()), *heads}))
    if faults:
        raise InputError("\n".join(faults), help="addresses and heads are those that `attncli build` prints")
    return found
