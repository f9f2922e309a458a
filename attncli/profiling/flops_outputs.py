"""What the logits of one place cost, for every kind of output."""

from itertools import pairwise
from typing import assert_never

from attncli.spec import outputs


def map_of(output: outputs.Output, width: int, read: int, classes: int) -> int:
    """Multiplications from states of `width` features to `classes` logits, whose rows are `read` wide.

    With clusters those of all of them, of which training makes the label's alone.
    """
    match output:
        case outputs.Linear(transform=given):
            return read * classes + (width * read if given else 0)
        case outputs.PointerGenerator():
            return read * classes
        case outputs.Mixture(components=components):
            return components * (width * (read + 1) + read * classes)
        case outputs.Adaptive(cutoffs=cutoffs, factor=factor):
            found = width * (cutoffs[0] + len(cutoffs))
            for power, (start, end) in enumerate(pairwise((*cutoffs, classes)), 1):
                narrow = width // factor**power
                found += narrow * (end - start) + (width * narrow if factor > 1 else 0)
            return found
        case _:
            assert_never(output)
