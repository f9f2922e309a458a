"""The dates task: every form is read back by a parser that shares nothing with the generator."""

import re
from datetime import date, timedelta

import pytest
from babel.dates import format_date

from attncli.data.dates import DAYS, FIRST, FORMS, FORMS_ABOVE_12, STARTS, Dates, Order, english, ordinal, translated
from attncli.data.generators import generate
from attncli.spec.data import Generated

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GERMAN = ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
          "Dezember")  # fmt: skip
GERMAN_DAYS = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag")


def read_english(text: str) -> tuple[date, bool]:
    """The day that a person reads, and whether the weekday is written."""
    words = re.findall(r"[a-z]+|\d+", text.lower())
    months = [MONTHS.index(word[:3]) + 1 for word in words if word[:3] in MONTHS]
    numbers = [int(word) for word in words if word.isdigit()]
    year = next(number for number in numbers if number > 31)
    rest = [number for number in numbers if number <= 31]
    weekdays = [WEEKDAYS.index(word[:3]) for word in words if word.isalpha() and word[:3] in WEEKDAYS]
    if months:
        day = date(year, months[0], rest[0])
    elif numbers[0] == year:
        day = date(year, rest[0], rest[1])
    else:
        assert rest[0] > 12, "two readings"
        day = date(year, rest[1], rest[0])
    assert all(weekday == day.weekday() for weekday in weekdays)
    return day, bool(weekdays)


def read_target(text: str, language: str) -> tuple[date, bool]:
    if language == "zh":
        found = re.fullmatch(r"(\d{4})年(\d{1,2})月(\d{1,2})日(星期[一二三四五六日])?", text)
        assert found
        day = date(int(found[1]), int(found[2]), int(found[3]))
        assert found[4] is None or "一二三四五六日".index(found[4][2]) == day.weekday()
        return day, found[4] is not None
    found = re.fullmatch(r"(?:(\w+), )?(\d{1,2})\. (\w+) (\d{4})", text)
    assert found
    day = date(int(found[4]), GERMAN.index(found[3]) + 1, int(found[2]))
    assert found[1] is None or GERMAN_DAYS.index(found[1]) == day.weekday()
    return day, found[1] is not None


def days_of(split: str, count: int, seed: int = 0) -> list[date]:
    rows = generate(Generated(name="dates", targets=("de", "zh"), **{split: count}), seed, split)
    return [read_english(row["source"][3:])[0] for row in rows]


def test_all_days_are_there() -> None:
    assert DAYS == 73049
    assert FIRST + timedelta(days=DAYS - 1) == date(2099, 12, 31)


@pytest.mark.parametrize("key", [0, 1, 12345])
def test_the_order_is_a_permutation(key: int) -> None:
    order = Order(key)
    drawn = [order.day(number) for number in range(DAYS)]
    assert sorted(drawn) == list(range(DAYS))
    assert sum(one == number for number, one in enumerate(drawn)) < 20  # it does move them
    assert abs(sum(drawn[:2000]) / 2000 - DAYS / 2) < DAYS / 20


def test_the_splits_share_the_days_out() -> None:
    parts = sorted(STARTS.values())
    assert parts[0][0] == 0
    assert [start + count for start, count in parts] == [start for start, _ in parts[1:]] + [DAYS]


def test_no_day_is_in_two_splits() -> None:
    train, valid, test = (set(days_of(split, 6000)) for split in ("train", "valid", "test"))
    assert len(test) >= 2000
    assert not train & valid
    assert not train & test
    assert not valid & test


@pytest.mark.parametrize("form", FORMS + FORMS_ABOVE_12)
@pytest.mark.parametrize("day", [date(1900, 1, 31), date(2026, 11, 22), date(2099, 5, 13), date(2000, 2, 29)])
def test_every_form_reads_back(form: str, day: date) -> None:
    text = english(day, form)
    assert text == format_date(day, form.replace("{th}", ordinal(day.day)), locale="en")
    read, weekday = read_english(text)
    assert read == day
    for language in ("de", "zh"):
        assert read_target(translated(day, form, language), language) == (day, weekday)


def test_forms_are_many_and_different() -> None:
    texts = {english(date(2026, 11, 22), form) for form in FORMS + FORMS_ABOVE_12}
    assert len(texts) == len(FORMS + FORMS_ABOVE_12) >= 10
    wanted = {"Sunday, November 22, 2026", "Nov 22, 2026", "22 November 2026", "22/11/2026", "2026-11-22",
              "November 22nd, 2026", "Sun 22 Nov 2026", "the 22nd of November, 2026", "22.11.2026", "22-Nov-2026",
              "November 22 2026"}  # fmt: skip
    assert wanted <= texts


def test_the_issue_s_examples() -> None:
    day = date(2026, 11, 22)
    assert translated(day, FORMS[0], "de") == "Sonntag, 22. November 2026"
    assert translated(day, "MMM d, y", "zh") == "2026年11月22日"
    assert translated(day, FORMS[0], "zh") == "2026年11月22日星期日"


def test_rows_mean_what_they_say() -> None:
    rows = generate(Generated(name="dates", targets=("de", "zh")), 3, "test")
    languages = {"de": 0, "zh": 0}
    forms = set()
    for row in rows:
        language, text = row["source"].split(" ", 1)
        assert read_english(text) == read_target(row["target"], language)
        languages[language] += 1
        forms.add(re.sub(r"[a-z]+", "a", re.sub(r"\d+", "0", text.lower())))
    assert min(languages.values()) > 0.4 * len(rows)
    assert len(forms) >= 10


def test_one_target_alone() -> None:
    rows = generate(Generated(name="dates", targets=("zh",)), 0, "valid")
    assert all(rows[index]["source"].startswith("zh ") for index in range(200))


def test_a_row_is_a_pure_function_of_seed_split_and_index() -> None:
    one, other = Dates(5, ("de", "zh")), Dates(5, ("de", "zh"))
    assert [one.row("train", index) for index in (7, 3, 999)] == [other.row("train", index) for index in (7, 3, 999)]
    assert one.row("train", 7) != Dates(6, ("de", "zh")).row("train", 7)


def test_laps_write_a_day_in_every_way_before_repeating() -> None:
    dates = Dates(0, ("de", "zh"))
    _, count = STARTS["test"]
    place = next(i for i in range(count) if read_english(dates.row("test", i)["source"][3:])[0].month > 5)  # not May
    rows = [dates.row("test", place + lap * count) for lap in range(24)]
    assert len({read_english(row["source"][3:])[0] for row in rows}) == 1
    assert len({row["source"] for row in rows}) == 24


@pytest.mark.parametrize("text", ["1st", "2nd", "3rd", "4th", "10th", "11th", "12th", "13th", "21st", "22nd", "23rd"])
def test_ordinals(text: str) -> None:
    assert ordinal(int(text[:-2])) == text
