"""copy, reverse, sort, addition."""

import pytest

from attncli.data.generators import generate
from attncli.spec.data import Generated

ANSWERS = {
    "copy": lambda source: source,
    "reverse": lambda source: " ".join(reversed(source.split(" "))),
    "sort": lambda source: " ".join(sorted(source.split(" "))),
    "addition": lambda source: str(sum(map(int, source.split("+")))),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_right(name: str) -> None:
    rows = generate(Generated(name=name), 1, "train")
    assert len(rows) == 50000
    for index in range(0, 50000, 250):
        assert rows[index]["target"] == ANSWERS[name](rows[index]["source"])


@pytest.mark.parametrize("name", ANSWERS)
def test_no_question_is_in_two_splits(name: str) -> None:
    def asked(split: str) -> set[str]:
        rows = generate(Generated(name=name, train=3000, valid=1000, test=1000), 0, split)
        return {"+".join(sorted(row["source"].split("+"))) for row in rows}

    train, valid, test = asked("train"), asked("valid"), asked("test")
    assert len(test) > 300
    assert not train & valid
    assert not train & test
    assert not valid & test


def test_rows_depend_on_seed_split_and_index_alone() -> None:
    data = Generated(name="sort", train=100)
    rows = list(generate(data, 1, "train"))
    again = generate(data, 1, "train")
    assert [again[index] for index in reversed(range(100))] == rows[::-1]
    assert list(generate(data, 2, "train")) != rows
    assert generate(data, 1, "train").fingerprint != generate(data, 2, "train").fingerprint


def test_places_are_named_and_there_is_no_row_beyond() -> None:
    rows = generate(Generated(name="reverse", train=5), 0, "train")
    assert rows.place(4) == "reverse train row 5"
    assert rows[-1] == rows[4]
    with pytest.raises(IndexError):
        rows[5]
