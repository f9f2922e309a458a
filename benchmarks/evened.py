"""Equal terms for trainers whose batches are so many rows: an order in which updates read like many tokens."""

from collections.abc import Mapping
from random import Random


def evened(grouped: list[int], lengths: list[int], facts: Mapping[str, int]) -> list[int]:
    """Rows grouped by length, with their batches in such an order that every two read as many tokens as all others.

    A group of many batches comes with its longest rows first, so that a few updates would read far more than the mean.
    """
    size, random = facts["sentences"], Random(1)
    batches = [grouped[start : start + size] for start in range(0, len(grouped), size)]
    read = [sum(lengths[row] for row in batch) for batch in batches]
    left, total = list(range(len(batches))), 0
    order: list[int] = []
    while left:
        due = (len(order) + 1) * facts["tokens"] - total
        chosen = min(left, key=lambda each: abs(read[each] - due)) if len(order) % 2 else random.choice(left)
        left.remove(chosen)
        order.append(chosen)
        total += read[chosen]
    return [row for batch in order for row in batches[batch]]
