"""Built-in examples: every row is a pure function of (seed, split, index), so nothing is stored.

    dates      de Nov 22, 2026  ->  22. November 2026           (attncli/data/dates.py)
    copy       k d a            ->  k d a
    reverse    k d a            ->  a d k
    sort       k d a            ->  a d k
    addition   37+458           ->  495

What is asked in one split is never asked in another: of copy, reverse and sort a hash of the letters decides the
split, of addition one of the two numbers in either order; 14 of 16 parts are for training, one each for validation and
test. Within a split rows may repeat.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from random import Random

from attncli.data.dates import Dates
from attncli.data.rows import Row, Rows
from attncli.spec.data import Generated
from attncli.spec.seeds import mix

KEPT = 2**15
"""Rows of a split that are kept, once computed."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PARTS = {"test": range(1), "valid": range(1, 2), "train": range(2, 16)}


class GeneratedRows(Rows):
    """Rows computed when they are asked for. Small splits are kept: tokenizer and batches both read all of them."""

    fields = ("source", "target")

    def __init__(self, make: Callable[[int], Row], count: int, *, name: str, key: str) -> None:
        self._make = lru_cache(KEPT)(make) if count <= KEPT else make
        self._count, self._name = count, name
        self.fingerprint = f"{key}/{name}/{count}"

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Row:
        return dict(self._make(range(self._count)[index]))

    def place(self, index: int) -> str:
        return f"{self._name} row {index + 1}"


def generate(data: Generated, seed: int, split: str) -> Rows:
    """The rows of one split: train, valid or test."""
    make: Callable[[str, int], Row]
    match data.name:
        case "dates":
            assert data.targets is not None, "the spec derives the targets of dates"
            make = Dates(seed, data.targets).row
        case "addition":
            make = _Asked(seed, "addition", _addition).row
        case task:
            make = _Asked(seed, task, {"copy": _copy, "reverse": _reverse, "sort": _sort}[task]).row
    key = f"{data.name}/{seed}/{data.targets}"
    return GeneratedRows(partial(make, split), getattr(data, split), name=f"{data.name} {split}", key=key)


class _Asked:
    """Draws questions until one belongs to the split: about 16 times for a row of the test."""

    def __init__(self, seed: int, name: str, draw: Callable[[Random], tuple[Row, str]]) -> None:
        self._seed, self._name, self._draw = seed, name, draw

    def row(self, split: str, index: int) -> Row:
        random = Random(mix(self._seed, self._name, split, index))
        while True:
            row, question = self._draw(random)
            if mix(0, self._name, question) % 16 in PARTS[split]:
                return row


def _letters(random: Random) -> list[str]:
    return [LETTERS[int(random.random() * 26)] for _ in range(2 + int(random.random() * 11))]


def _sequence(letters: list[str], answer: list[str]) -> tuple[Row, str]:
    return {"source": " ".join(letters), "target": " ".join(answer)}, " ".join(letters)


def _copy(random: Random) -> tuple[Row, str]:
    letters = _letters(random)
    return _sequence(letters, letters)


def _reverse(random: Random) -> tuple[Row, str]:
    letters = _letters(random)
    return _sequence(letters, letters[::-1])


def _sort(random: Random) -> tuple[Row, str]:
    letters = _letters(random)
    return _sequence(letters, sorted(letters))


def _addition(random: Random) -> tuple[Row, str]:
    """Numbers of one to three digits, each count of digits as likely."""
    one, other = (int(random.random() * 10 ** (1 + int(random.random() * 3))) for _ in range(2))
    return {"source": f"{one}+{other}", "target": str(one + other)}, f"{min(one, other)}+{max(one, other)}"
