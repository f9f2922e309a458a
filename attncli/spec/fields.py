"""What is read of each row of the data: the fields of the task, and the integers that masks read besides."""

from attncli.spec.data import Data
from attncli.spec.tasks import FIELDS, LanguageModel, Task

PROMPTED = ("prompt", "answer")
"""Fields of a language model that writes answers; both are one text to it."""


def prompted(task: Task, data: Data | None) -> bool:
    """Whether a language model reads prompts and answers rather than texts."""
    named = data is not None and not set(data.fields).isdisjoint(PROMPTED)
    return isinstance(task, LanguageModel) and (named or task.loss_on == "answer")


def fields_of(task: Task, data: Data | None) -> tuple[str, ...]:
    """The fields of the task, in the order of the columns of a table without a header."""
    return PROMPTED if prompted(task, data) else FIELDS[task.kind]


def numbers_of(data: Data | None, kind: str) -> tuple[str, ...]:
    """The fields that masks read: `integers` of the words of a text, or one `integer` of a row."""
    return tuple(name for name, field in data.fields.items() if field.kind == kind) if data is not None else ()


def columns_of(task: Task, data: Data | None) -> tuple[str, ...]:
    """All that is read of a row."""
    return (*fields_of(task, data), *numbers_of(data, "integers"), *numbers_of(data, "integer"))


def asked(task: Task, data: Data | None) -> str:
    """The field that a model is given to answer."""
    return fields_of(task, data)[0]


def worded(task: Task) -> str:
    """The field whose words the integers belong to."""
    return "source" if task.kind == "seq2seq" else "text"


def part_name(field: str, number: int) -> str:
    """The name of one of several columns that make a field; the first has the field's own."""
    return field if number == 0 else f"{field} {number}"


def parts_of(data: Data | None, field: str) -> int:
    """The columns that make a field."""
    column = data.fields[field].column if data is not None and field in data.fields else None
    return len(column) if isinstance(column, tuple) else 1
