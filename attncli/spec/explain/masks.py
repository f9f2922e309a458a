"""Masks explained: the words they are made of, and what one expression shows."""

from dataclasses import dataclass

from attncli.spec.explain.catalogue import first_sentence
from attncli.spec.explain.entries import Entry
from attncli.spec.explain.names import chinese_of
from attncli.spec.masks import Mask, parse
from attncli.spec.masks.calls import FUNCTIONS, NAMES
from attncli.spec.masks.predicates import PREDICATES, TOKENS, Predicate, Same, Window
from attncli.spec.masks.proof import Witness
from attncli.spec.masks.rules import mask_faults

WHERE = "model.attention.mask"
LENGTH = 12
PROMPT = 4
"""Tokens of the prompt of the rows that are drawn."""


@dataclass(frozen=True)
class MaskReport:
    """What an expression shows over rows of `length` tokens, all of one document."""

    mask: Mask
    length: int
    heads: int
    drawings: dict[str, list[str]]
    """The lines of a drawing by the heads that it holds for."""
    visible: int
    pairs: int
    ahead: Witness | None
    """The first query that sees a later key; None where the mask is causal."""
    empty: Witness | None
    """The first query that sees no key."""
    faults: tuple[str, ...]


def examine(text: str, *, length: int, heads: int | None = None) -> MaskReport:
    """Everything that is known of an expression without running it. Raises MaskError, at a column."""
    mask = parse(text)
    several = heads or max(mask.values_by_head, default=4 if "h" in mask.names else 1)
    found = tuple(fault.rule for fault in mask_faults(mask, heads=several, q_length=length, k_length=length))
    if any("by_head" in rule or "for head" in rule for rule in found):
        return MaskReport(mask, length, several, {}, 0, several * length**2, None, None, found)
    return MaskReport(
        mask,
        length,
        several,
        _drawings(mask, length, several),
        mask.with_prefix(min(PROMPT, length)).visible(length, heads=several),
        several * length**2,
        mask.causal(length=max(length, 256), heads=several),
        mask.empty_rows(length, heads=several),
        found,
    )


def _drawings(mask: Mask, length: int, heads: int) -> dict[str, list[str]]:
    mask = mask.with_prefix(min(PROMPT, length))
    if "h" not in mask.names:
        return {"": mask.picture(length)}
    alike: dict[tuple[str, ...], list[int]] = {}
    for head in range(heads):
        alike.setdefault(tuple(mask.picture(length, head=head)), []).append(head)
    return {f"head {', '.join(map(str, of))}": list(lines) for lines, of in alike.items()}


def language() -> Entry:
    """The words of masks."""
    lines = [
        "A mask is an expression that says which keys a query may see: predicates and comparisons of integers, joined "
        "by & (and), | (or), ~ (not).",
        "A comparison binds tighter than ~, ~ than &, & than |. Right of // and % stands a positive constant.",
        "Positions count the tokens of the sample; padding is hidden always and never written. In a decoder a mask "
        "must be causal as it stands.",
        f"Names: {', '.join(NAMES)}. Functions: {', '.join(FUNCTIONS)}. "
        f"Of tokens: {', '.join(f'{token}(q)' for token in TOKENS)}.",
        "Draw one: attncli explain mask 'causal & (window(before=3) | first(1))'",
        "Predicates:",
        *(f"  {usage(predicate):<26}{predicate.summary}" for predicate in PREDICATES.values()),
    ]
    return Entry("mask", "an expression", WHERE, chinese_of("mask"), "\n".join(lines))


def usage(predicate: type[Predicate]) -> str:
    """The predicate as it is called."""
    if predicate is Same:
        return f"same({TOKENS[0]})"
    parameters = predicate.parameters()
    if predicate is Window:
        return "window(before, after)"
    return f"{predicate.word}({', '.join(parameters)})" if parameters else predicate.word


def of_predicate(word: str) -> Entry:
    """One predicate, drawn."""
    predicate = PREDICATES[word]
    text = f"{usage(predicate)}: {predicate.summary}\n{' '.join((predicate.__doc__ or '').split())}"
    amounts = {"window": "window(before=3, after=1)", "random_blocks": "random_blocks(count=2, size=2, seed=0)"}
    sample = amounts.get(word, f"{word}(3)" if predicate.parameters() else word)
    drawn = None if predicate is Same else parse(sample).with_prefix(PROMPT)
    drawing = (sample, *drawn.picture(LENGTH)) if drawn is not None and drawn.positional else ()
    return Entry(word, "a predicate of masks", WHERE, chinese_of(word), text, drawing=drawing)


def one_line(word: str) -> str:
    """What a predicate sees, for a list."""
    return first_sentence(PREDICATES[word].__doc__ or "")
