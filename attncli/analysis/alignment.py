"""How well cross attention aligns words, where people have aligned them.

    AER = 1 - (|A & S| + |A & P|) / (|A| + |S|);   S sure and P possible links, S within P, A those of a head

Och and Ney 2003, Computational Linguistics 29(1), eq. 2. Links are read in the Pharaoh format, a line a row: `0-0 1-2`
sure, `1?2` possible, words of source and target counted from 0. A word is what stands between blanks; what attention
gives to its tokens is summed for the source and is the mean for the target (Zenkel et al. 2019, arXiv:1901.11359). Each
target word is linked with the source word that gets most, read in the row that writes it, or in the next, which has
read it (Chen et al. 2020, arXiv:2004.14837): of both the better is told.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attncli.data.vocabulary import Vocabulary
from attncli.errors import DataError
from attncli.maps.record import AttentionMap

Links = frozenset[tuple[int, int]]
LINK = re.compile(r"(\d+)([-?])(\d+)")
Row = Literal["written", "read"]


@dataclass(frozen=True)
class Gold:
    """The links of one row."""

    sure: Links
    possible: Links
    """The sure ones among them."""


def read_gold(path: Path) -> list[Gold]:
    """The links of a file. Errors: DataError names the line."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        sure, possible = set(), set()
        for word in line.split():
            match = LINK.fullmatch(word)
            if match is None:
                raise DataError(
                    f"{path}:{number}: '{word}' is no link", help="write 0-0 1-2, or 1?2 for a possible one"
                )
            link = int(match[1]), int(match[3])
            possible.add(link)
            if match[2] == "-":
                sure.add(link)
        found.append(Gold(frozenset(sure), frozenset(possible)))
    return found


@dataclass
class Errors:
    """The sums of which the rate is made."""

    made: int = 0
    sure: int = 0
    hits: int = 0

    def add(self, links: Links, gold: Gold) -> None:
        """Join one row."""
        self.made += len(links)
        self.sure += len(gold.sure)
        self.hits += len(links & gold.sure) + len(links & gold.possible)

    @property
    def rate(self) -> float:
        """AER; NaN where there is no link at all."""
        return 1 - self.hits / (self.made + self.sure) if self.made + self.sure else float("nan")


@dataclass
class Aligning:
    """The rates of every head of the cross attentions, and of the mean of each attention's heads (head None)."""

    errors: dict[tuple[str, int | None, Row], Errors] = field(default_factory=dict)

    def add(self, attention: AttentionMap, gold: Gold, words: tuple[list[int], list[int]]) -> None:
        """Join the map of one row; `words` are those of the source's and the target's tokens, -1 for none."""
        weights = attention.whole()[..., attention.ahead :].astype(np.float64)
        heads: list[tuple[int | None, NDArray[np.float64]]] = [(None, weights.mean(0)), *enumerate(weights)]
        for head, one in heads:
            for row in ("written", "read"):
                rows = one if row == "written" else one[1:]
                self.errors.setdefault((attention.address, head, row), Errors()).add(links_of(rows, words), gold)

    def best(self) -> list[tuple[str, int | None, Row, float]]:
        """(address, head, row, rate) of each head by its better row, the best first."""
        rates: dict[tuple[str, int | None], tuple[float, Row]] = {}
        for (address, head, row), errors in self.errors.items():
            rates[address, head] = min(rates.get((address, head), (np.inf, row)), (errors.rate, row))
        found = [(address, head, row, rate) for (address, head), (rate, row) in rates.items()]
        return sorted(found, key=lambda each: each[3])


def links_of(weights: NDArray[np.float64], words: tuple[list[int], list[int]]) -> Links:
    """The source word that each target word's rows (q k) give most."""
    source, target = words
    if not source or not target:
        return frozenset()
    table = np.zeros((max(target) + 1, max(source) + 1))
    for query, word in enumerate(target[: len(weights)]):
        for key, other in enumerate(source[: weights.shape[1]]):
            if word >= 0 and other >= 0:
                table[word, other] += weights[query, key] / target.count(word)
    return frozenset((int(row.argmax()), word) for word, row in enumerate(table) if row.max() > 0)


def words_of(vocabulary: Vocabulary, text: str) -> list[int]:
    """The number of the word that each token of a text begins or goes on, -1 where it is a blank."""
    starts = [match.span() for match in re.finditer(r"\S+", text)]
    spans = vocabulary.tokenizer.encode(text, add_special_tokens=False).offsets
    found = []
    for begin, end in spans:
        meets = [number for number, (first, last) in enumerate(starts) if begin < last and end > first]
        found.append(meets[0] if meets else -1)
    return found
