"""Which task a table is likely meant for."""

from dataclasses import dataclass

from attncli.errors import InputError
from attncli.spec.starter.head import Head

_SOURCES = ("source", "src", "input", "question", "text", "document")
_LABELS = ("label", "class", "category", "sentiment", "target", "topic", "intent")


@dataclass(frozen=True)
class Choice:
    """A task, the columns that it reads, and why."""

    task: str
    columns: dict[str, str]
    """Of each field of the task, in its order."""
    why: str


def choose(head: Head) -> Choice:
    """The likeliest task. Raises InputError where no column holds text."""
    filled = [name for name in head.names if any(cell.strip() for cell in head.column(name))]
    useful = [name for name in filled if not _is_counter(head, name)]
    labels = [name for name in useful if _is_label(head, name)]
    texts = [name for name in useful if name not in labels and not _is_number(head, name)]
    for text in texts:
        for tags in useful:
            if tags != text and _are_tags(head, text, tags):
                why = f"{_said(head, tags)} has one word for each word of {_said(head, text)}, so words are tagged"
                return Choice("tagging", {"text": text, "tags": tags}, why)
    if texts and labels:
        text = max(texts, key=lambda name: _width(head, name))
        label = next((name for name in labels if name.casefold() in _LABELS), labels[0])
        count = len(set(head.column(label)))
        why = f"{_said(head, label)} has {count} values and {_said(head, text)} is text, so texts are classified"
        return Choice("classification", {"text": text, "label": label}, why)
    if len(texts) > 1:
        first = next((name for name in texts if name.casefold() in _SOURCES), texts[0])
        second = next(name for name in texts if name != first)
        why = f"{_said(head, first)} and {_said(head, second)} are texts, so the second is written from the first"
        return Choice("seq2seq", {"source": first, "target": second}, why)
    if texts:
        return Choice("language_model", {"text": texts[0]}, "there is one text, so its next token is predicted")
    raise InputError(f"{head.path}: no column holds text", help="give a table with texts, or a plain text file")


def _said(head: Head, name: str) -> str:
    return f"'{name}'" if head.header else f"column {name}"


def _width(head: Head, name: str) -> float:
    cells = head.column(name)
    return sum(len(cell) for cell in cells) / max(1, len(cells))


def _is_number(head: Head, name: str) -> bool:
    return all(cell.replace(".", "", 1).lstrip("-").isdigit() for cell in head.column(name) if cell.strip())


def _is_counter(head: Head, name: str) -> bool:
    """Numbers that are all different, such as the number of the row."""
    cells = [cell for cell in head.column(name) if cell.strip()]
    return len(cells) > 3 and _is_number(head, name) and len(set(cells)) == len(cells)


def _is_label(head: Head, name: str) -> bool:
    """Few short values that come again and again."""
    cells = head.column(name)
    distinct = set(cells)
    short = sum(len(cell.split()) for cell in cells) <= 2 * len(cells) and max(map(len, cells)) <= 40
    most = len(cells) / (2 if name.casefold() in _LABELS else 4)
    again = len(distinct) <= min(200, most)
    return short and again and len(distinct) > 1 and len(head.names) > 1


def _are_tags(head: Head, text: str, tags: str) -> bool:
    pairs = [(a.split(), b.split()) for a, b in zip(head.column(text), head.column(tags), strict=True)]
    if not pairs or any(len(a) != len(b) for a, b in pairs) or all(len(a) < 2 for a, _ in pairs):
        return False
    seen = [tag for _, row in pairs for tag in row]
    words = {word for row, _ in pairs for word in row}
    return len(set(seen)) <= min(200, max(2, len(seen) / 3)) and len(set(seen)) < len(words)
