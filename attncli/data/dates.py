"""Dates as people write them in English, to be written in German or Chinese.

    de Sunday, November 22, 2026   ->   Sonntag, 22. November 2026
    zh 22-Nov-2026                 ->   2026年11月22日

All words come from CLDR through Babel. The source opens with the tag of the target language, and the target has the
weekday where the source has one, since nobody can be asked to compute it. Every form has one reading: those that
write the month as a number between the day and the year are used only where the day is above 12.

Days: 1900-01-01 to 2099-12-31, 73,049 of them, in an order drawn from the seed. The first 63,919 are for training, the
next 4,565 for validation, the last 4,565 for the test, so that no day is on two sides. Row i of a split has the split's
day i. Where more rows are asked for than a split has days, they go round again, each time with another form or
language of the same day, until every day was written in every form and language; from there on rows repeat.
"""

from datetime import date, timedelta
from functools import cache
from itertools import product
from typing import Any

from attncli.data.rows import Row
from attncli.spec.seeds import mix

FIRST = date(1900, 1, 1)
DAYS = (date(2099, 12, 31) - FIRST).days + 1
HELD_OUT = DAYS // 16
TRAINED = DAYS - 2 * HELD_OUT
STARTS = {"train": (0, TRAINED), "valid": (TRAINED, HELD_OUT), "test": (TRAINED + HELD_OUT, HELD_OUT)}
"""First number and count of the days of each split, in the drawn order."""

WITH_WEEKDAY = ("EEEE, MMMM d, y", "EEE, MMM d, y", "EEEE, d MMMM y", "EEE d MMM y")
FORMS = (
    *WITH_WEEKDAY,  # Sunday, November 22, 2026 · Sun, Nov 22, 2026 · Sunday, 22 November 2026 · Sun 22 Nov 2026
    "MMMM d, y",  # November 22, 2026
    "MMM d, y",  # Nov 22, 2026
    "d MMMM y",  # 22 November 2026
    "MMMM d y",  # November 22 2026
    "MMMM '{th}', y",  # November 22nd, 2026
    "'the {th} of' MMMM, y",  # the 22nd of November, 2026
    "dd-MMM-y",  # 22-Nov-2026
    "y-MM-dd",  # 2026-11-22
)
FORMS_ABOVE_12 = ("dd/MM/y", "dd.MM.y")  # 22/11/2026 · 22.11.2026
"""How dates are written in English, as CLDR patterns; {th} is the ordinal of the day."""


class Dates:
    """The rows of one seed."""

    def __init__(self, seed: int, targets: tuple[str, ...]) -> None:
        self._seed, self._targets = seed, targets
        self._order = Order(mix(seed, "dates", "days"))

    def row(self, split: str, index: int) -> Row:
        """Row `index` of a split: a pure function of the seed, the split and the index."""
        start, count = STARTS[split]
        lap, place = divmod(index, count)
        number = self._order.day(start + place)
        day = FIRST + timedelta(days=number)
        ways = tuple(product(FORMS + (FORMS_ABOVE_12 if day.day > 12 else ()), self._targets))
        form, target = ways[(mix(self._seed, "dates", number) + lap) % len(ways)]
        return {"source": f"{target} {english(day, form)}", "target": translated(day, form, target)}


class Order:
    """An order of all days, drawn from a key: a Feistel network on pairs below 271, walked until a day comes.

    It is a bijection whatever the key, needs no table of the days, and does not depend on the version of a random
    number generator. Source: Black & Rogaway 2002, "Ciphers with arbitrary finite domains", sections 3 and 5.
    """

    SIDE = 271  # 271 * 271 is the first square above the number of days

    def __init__(self, key: int) -> None:
        self._rounds = [[mix(key, turn, half) for half in range(self.SIDE)] for turn in range(6)]

    def day(self, number: int) -> int:
        """The day (0 is the first of all) that stands at this place of the order."""
        while True:
            left, right = divmod(number, self.SIDE)
            for table in self._rounds:
                left, right = right, (left + table[right]) % self.SIDE
            number = left * self.SIDE + right
            if number < DAYS:
                return number


def english(day: date, form: str) -> str:
    """The day in one of the English forms."""
    return _formatted(day, form, "en").replace("{th}", ordinal(day.day))


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def translated(day: date, form: str, target: str) -> str:
    """The day in the target language, in CLDR's full form where the source has the weekday, else in the long one."""
    return _formatted(day, "full" if form in WITH_WEEKDAY else "long", target)


def _formatted(day: date, form: str, language: str) -> str:
    return str(_pattern(form, language).apply(day, _locale(language)))


@cache
def _locale(language: str) -> Any:
    from babel import Locale

    return Locale.parse(language)


@cache
def _pattern(form: str, language: str) -> Any:
    """A pattern read once: this is what takes most of the time of babel's format_date."""
    from babel.dates import parse_pattern

    return _locale(language).date_formats[form] if form in ("full", "long") else parse_pattern(form)
