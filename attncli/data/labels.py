"""The labels of classification and tagging: from the spec, else from the training data."""

from collections.abc import Iterable
from difflib import get_close_matches

from attncli.data.rows import Row
from attncli.errors import DataError
from attncli.spec.tasks import Classification, SentencePair, Tagging, Task

FIELD = {"classification": "label", "tagging": "tags"}


def find_labels(task: Task, rows: Iterable[Row]) -> tuple[str, ...]:
    """The labels in the order of their ids: as the spec names them, else those of the training data, sorted.

    Whole numbers are sorted as numbers. Where the spec gives a count and all labels are numbers below it, the labels
    are all numbers below it, seen or not.

    Raises:
        DataError: the training data have another number of labels than the spec counts, or fewer than two.
    """
    match task:
        case Classification(classes=given):
            key, seen = "task.classes", {row["label"].strip() for row in rows}
        case Tagging(tags=given):
            key, seen = "task.tags", {tag for row in rows for tag in row["tags"].split()}
        case SentencePair(negatives=negatives):
            return ("next", negatives)
        case _:
            return ()
    if isinstance(given, tuple):
        return given
    if isinstance(given, int) and all(_is_number(label) and int(label) < given for label in seen):
        return tuple(str(number) for number in range(given))
    found = sorted(seen, key=_order)
    if given is not None and len(found) != given:
        listed = ", ".join(found[:10]) + (", …" if len(found) > 10 else "")
        raise DataError(f"{key}: {given}, but the training data have {len(found)}: {listed}", help=f"correct {key}")
    if len(found) < 2:
        raise DataError(f"the training data have one label only: {found[0]}", help=f"name all of them in {key}")
    return tuple(found)


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit() and str(int(label)) == label


def _order(label: str) -> tuple[bool, int, str]:
    return (False, int(label), "") if _is_number(label) else (True, 0, label)


def unknown_label(label: str, labels: Iterable[str], *, given: bool) -> tuple[str, str]:
    """What is wrong with a label that is none, and the way out."""
    known = list(labels)
    near = get_close_matches(label, known, 1)
    rule = f"there is no label '{label}'" + (f"; did you mean '{near[0]}'?" if near else "")
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    where = "the spec names" if given else "the training data have"
    return rule, f"{where} {listed}"
