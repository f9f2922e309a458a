"""Labels from the spec or from the training data."""

import pytest

from attncli.data.labels import find_labels, unknown_label
from attncli.data.rows import Row, Rows
from attncli.errors import DataError
from attncli.spec.tasks import Classification, LanguageModel, Tagging, Task


class Listed(Rows):
    """Rows in a list."""

    fingerprint = ""

    def __init__(self, rows: list[Row]) -> None:
        self.rows, self.fields = rows, tuple(rows[0])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def place(self, index: int) -> str:
        return f"row {index}"


def labels(task: type[Task], given: object, *seen: str) -> tuple[str, ...]:
    field, key = ("label", "classes") if task is Classification else ("tags", "tags")
    values = {"classes": None, "tags": None} | {key: given}
    made = task.model_construct(stack="encoder", **{key: values[key]})
    return find_labels(made, Listed([{"text": "", field: label} for label in seen]))


def test_labels_of_the_data_are_sorted() -> None:
    assert labels(Classification, None, "b", "a", "b ", "c") == ("a", "b", "c")
    assert labels(Classification, None, "10", "9", "x") == ("9", "10", "x")
    assert labels(Tagging, None, "B-x O", "O I-x") == ("B-x", "I-x", "O")


def test_labels_of_the_spec_keep_their_order() -> None:
    assert labels(Classification, ("b", "a"), "a") == ("b", "a")


def test_a_count_of_numbers_names_all_of_them() -> None:
    assert labels(Classification, 4, "0", "2") == ("0", "1", "2", "3")
    assert labels(Classification, 2, "x", "y") == ("x", "y")


def test_a_count_that_the_data_contradict() -> None:
    with pytest.raises(DataError) as caught:
        labels(Classification, 3, "a", "b")
    assert str(caught.value) == "task.classes: 3, but the training data have 2: a, b\nhelp: correct task.classes"
    with pytest.raises(DataError, match=r"task\.tags: 1, but the training data have 12: a, b, c, .*, i, j, …"):
        labels(Tagging, 1, " ".join("abcdefghijkl"))


def test_one_label_is_none() -> None:
    with pytest.raises(
        DataError, match=r"the training data have one label only: a\nhelp: name all of them in task\.cl"
    ):
        labels(Classification, None, "a", "a")


def test_tasks_without_labels() -> None:
    assert find_labels(LanguageModel.model_construct(), Listed([{"text": "a"}])) == ()


def test_long_lists_are_cut() -> None:
    rule, help = unknown_label("x", [f"l{n}" for n in range(30)], given=False)
    assert rule == "there is no label 'x'"
    assert help.endswith("l19, …")
