"""A long text through a short window: each token predicted once, with at least half a window of what precedes it.

The first window predicts all its tokens; each later one is shifted by half its size and predicts its second half
alone, which sees the first half. (Perplexity over windows without overlap is larger, since their first tokens are
predicted from next to nothing; a shift of one token would be exact and `size` / 2 times as slow.)

A window that does not begin the text begins with the token before it, not with BOS, as chunks do in training.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attncli.streams import IGNORE


class Window(NamedTuple):
    """What the model reads, and what it is to predict at each place (IGNORE where another window does)."""

    text: list[int]
    labels: list[int]


def windows(ids: Sequence[int], *, bos: int, eos: int, size: int) -> Iterator[Window]:
    """The windows, of at most `size` places, of one text."""
    text, labels = [bos, *ids], [*ids, eos]
    done = min(size, len(text))
    yield Window(text[:done], labels[:done])
    while done < len(text):
        end = min(done + max(1, size // 2), len(text))
        start = end - size
        yield Window(text[start:end], [IGNORE] * (done - start) + labels[done:end])
        done = end
