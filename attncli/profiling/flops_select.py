"""What the choice of keys costs beside the scores. Multiply-adds of one row."""

from attncli.spec.steps import Indexer, Select


def selected(select: Select, *, d_query: int, d_memory: int, queries: int, new_keys: int, keys: int) -> int:
    """Maps of an indexer, and its scores of all pairs, whatever the mask shows; the others cost none."""
    if not isinstance(select, Indexer):
        return 0
    maps = queries * d_query * select.heads * (select.d_head + 1) + new_keys * d_memory * select.d_head
    return maps + queries * keys * select.heads * (select.d_head + 1)
