"""Rows with projections of their own are chosen by their place alone, and need steps that treat each row by itself."""

from collections.abc import Iterator

from attncli.spec.attention import AnyAttention
from attncli.spec.base import Fault
from attncli.spec.masks import Mask
from attncli.spec.masks.predicates import Predicate
from attncli.spec.masks.tree import Name
from attncli.spec.rules.sections import Site

MOST_TRIED = 4096
"""Rows in which it is looked for one that is chosen, and for one that is not."""


def faults(site: Site) -> Iterator[Fault]:
    """Every rule that the second projections of an attention break."""
    rows = site.attention.second_projections
    if rows is None:
        return
    for rule, help in (*_rows(rows, min(site.q_length, MOST_TRIED)), *_beside(site)):
        yield Fault((*site.where, "second_projections"), rule, help)


def _rows(rows: Mask, length: int) -> Iterator[tuple[str, str]]:
    other = next((node for node in rows.tree.walk() if isinstance(node, Predicate)
                  or (isinstance(node, Name) and node.name != "q")), None)  # fmt: skip
    if other is not None or rows.names:
        named = str(other) if other is not None else min(rows.names)
        yield f"a row is chosen by its place q, and '{named}' is another thing", "write a comparison such as q < 1"
        return
    chosen = {bool(rows.allows(q, 0)) for q in range(length)}
    if chosen == {True}:
        yield "every row is chosen, so no row reads the first projections", "leave second_projections out"
    elif chosen == {False}:
        yield f"no row of {length} is chosen", "write a comparison such as q < 1, or leave second_projections out"


def _beside(site: Site) -> Iterator[tuple[str, str]]:
    a: AnyAttention = site.attention
    if site.source is not None:
        yield f"rows of '{site.name}' are chosen to read their own text otherwise", "write it in attention"
    if not {"query", "key", "value"} & set(a.projections):
        yield "without maps of query, key or value there is none that a row could have of its own", "write projections"
    if a.kv_from is not None:
        yield f"the keys are those of '{a.kv_from}', made by one pair of maps", "leave kv_from out"
    if a.persistent:
        yield "a persistent key is one of the first maps, and these rows compare keys of others", "leave persistent out"
    if getattr(a, "short_convolution", None) is not None:
        yield (
            "a short convolution mixes a row with those beside it, which have other maps",
            "leave short_convolution out",
        )
    if a.select.kind == "indexer":
        yield "an indexer learns from the weights of one pair of maps", "write another select, or leave it out"
    if a.selective != "none":
        yield "tokens mark earlier ones by scores of one pair of maps", "leave selective out"
    if a.normalizer.kind == "queries":
        yield "under 'queries' all rows share out each key, and these rows read others", "write normalizer: softmax"
