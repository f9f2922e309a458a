"""What a mask must obey where it stands: on this many heads, in rows of at most this length, in a stack that writes."""

from collections.abc import Iterator
from functools import lru_cache

from attncli.spec.base import Fault
from attncli.spec.masks.mask import Mask
from attncli.spec.masks.predicates import Predicate, RandomBlocks
from attncli.spec.masks.tree import Pair


@lru_cache(maxsize=256)
def mask_faults(
    mask: Mask, *, heads: int, q_length: int, k_length: int, causal: bool = False, prompt: bool = False
) -> tuple[Fault, ...]:
    """Every rule that the mask breaks there; `where` of each fault is empty, the mask itself.

    `causal` is whether its stack predicts the tokens that it reads, `prompt` whether those of a prompt are given. The
    lengths are the most tokens of each side.
    """
    if broken := tuple(_by_head(mask, heads)) or tuple(_amounts(mask, heads)):
        return broken
    ahead = _ahead(mask, heads, q_length, prompt) if causal else ()
    return (*_sight(mask, heads, q_length, k_length), *ahead)


@lru_cache(maxsize=256)
def mask_notes(mask: Mask, *, heads: int, q_length: int, k_length: int) -> tuple[str, ...]:
    """What is allowed there, and worth a word."""
    if any(_by_head(mask, heads)) or any(_amounts(mask, heads)):
        return ()
    empty = mask.empty_rows(q_length, k_length, heads=heads)
    if empty is None:
        return ()
    of_head = f" of head {empty.h}" if "h" in mask.names else ""
    return (f"'{mask}' shows no key to query {empty.q}{of_head}; its output is zeros",)


def _by_head(mask: Mask, heads: int) -> Iterator[Fault]:
    for values in sorted(mask.values_by_head - {heads}):
        rule = f"by_head gives {values} value{'s' * (values > 1)}, and there are {heads} heads"
        yield Fault((), rule, "give one value for each head")


def _amounts(mask: Mask, heads: int) -> Iterator[Fault]:
    """Arguments that depend on h, which the grammar could not judge."""
    for node in (each for each in mask.tree.walk() if isinstance(each, Predicate)):
        for name, value in node.arguments().items():
            amounts = [value.value(Pair(0, 0, head)) for head in range(heads)]
            for head, fault in enumerate(node.fault_of(name, amount) for amount in amounts):
                if fault:
                    must, _, _ = fault.partition("; ")
                    rule = f"{name} of {node.word} {must}; for head {head} it is {amounts[head]}"
                    yield Fault((), rule, f"make '{value}' {must.removeprefix('must be ')} for every head".rstrip())
                    break


def _sight(mask: Mask, heads: int, q_length: int, k_length: int) -> Iterator[Fault]:
    if mask.shows_nothing(q_length, k_length, heads=heads):
        yield Fault((), f"'{mask}' shows no key to any query", "loosen it, or leave the attention out")
        return
    for idle in mask.idle(q_length, k_length):
        yield Fault((), f"'{idle.term}' {idle.reason}", idle.help)


def _ahead(mask: Mask, heads: int, length: int, prompt: bool) -> Iterator[Fault]:
    random = any(isinstance(node, RandomBlocks) for node in mask.tree.walk())
    for name in sorted({"q_length", "k_length"} & mask.names):
        drawn = " (random_blocks are drawn among all blocks)" if random and name == "k_length" else ""
        yield Fault((), f"{name} is unknown while the stack writes{drawn}", "take it out of the mask of a causal stack")
    if witness := (mask.leaks if prompt else mask.causal)(length=length, heads=heads):
        of_head = f" of head {witness.h}" if "h" in mask.names else ""
        rule = f"'{mask}' lets query {witness.q}{of_head} see key {witness.k}, which is still to be written"
        behind = f"write {mask.behind()}"
        of_prompt = mask.reads_prefix and not prompt and mask.leaks(length=length, heads=heads) is None
        yield Fault((), rule, "write task.loss_on: answer, so that the prompt is given" if of_prompt else behind)
