"""The text of a first spec."""

import os.path
import re
from pathlib import Path

from attncli.spec.resolved import scalar
from attncli.spec.run import LANGUAGE
from attncli.spec.starter.choice import Choice
from attncli.spec.starter.head import Head
from attncli.spec.tasks import FIELDS

_COLUMN = 40
"""Where comments begin."""
_FEW = 50
"""Rows of which no part is set aside for validation."""


def starter(head: Head, choice: Choice, out: Path) -> str:
    """A commented spec for `head`, to lie at `out`."""
    big = sum(len(cell) for row in head.rows for cell in row) / max(1, len(head.rows)) * head.total > 2e6
    lines = [
        "# yaml-language-server: $schema=schema.json",
        "#",
        f"#   attncli train {out}",
        "#",
        *_wrapped(f"Written by `attncli init {head.path}`: {choice.why}."),
        *_wrapped(f"`attncli build {out} --resolved` shows what is left out here, and why each value is what it is."),
        f"language: {LANGUAGE}",
        f"name: {scalar(_name(head.path))}",
        *_task(head, choice),
        *_model(head, choice, big),
        f"tokenizer: {{kind: bpe, vocabulary: {4000 if big else 1000}}}",
        *_data(head, choice, out),
        *_train(head, big),
    ]
    return "\n".join(lines) + "\n"


def _name(path: Path) -> str:
    """A name for the run, from that of the file."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "model"


def _with(text: str, comment: str) -> str:
    return f"{text:<{_COLUMN - 2}}  # {comment}"


def _wrapped(text: str) -> list[str]:
    """Comment lines of at most 100 characters."""
    lines, line = [], "#"
    for word in text.split():
        if len(line) + len(word) > 99:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return [*lines, line]


def _task(head: Head, choice: Choice) -> list[str]:
    match choice.task:
        case "tagging":
            tags = {tag for cell in head.column(choice.columns["tags"]) for tag in cell.split()}
            bio = "O" in tags and all(tag == "O" or tag[:2] in ("B-", "I-") for tag in tags)
            if bio:
                return [_with("task: {kind: tagging, scheme: bio}", "scores whole spans: B-x I-x O")]
            return ["task: tagging"]
        case "classification":
            return [_with("task: {kind: classification, pooling: mean}", "or pooling: attention, cls, last, max")]
        case task:
            return [f"task: {task}"]


def _model(head: Head, choice: Choice, big: bool) -> list[str]:
    stacks = {"seq2seq": ("encoder", "decoder"), "language_model": ("decoder",)}.get(choice.task, ("encoder",))
    return [
        "model:",
        _with(f"  d_model: {256 if big else 128}", "width of the states; heads follow from it"),
        _with(f"  max_length: {_length(head, choice)}", "tokens of the longest row"),
        *(f"  {name}: {{layers: {4 if big else 2}}}" for name in stacks),
    ]


def _length(head: Head, choice: Choice) -> int:
    """A power of two that holds the rows seen: a token is seldom less than two bytes."""
    if choice.task == "language_model":
        return 256
    fields = [name for field, name in choice.columns.items() if field in ("source", "target", "text")]
    longest = max(len(cell.encode()) for name in fields for cell in head.column(name))
    return min(1024, max(32, 1 << (longest // 2 + 8).bit_length()))


def _data(head: Head, choice: Choice, out: Path) -> list[str]:
    share = 0.1 if head.total < 20000 else 0.02
    path = os.path.relpath(head.path.absolute(), out.absolute().parent)
    lines = ["data:", f"  train: {scalar(path)}"]
    if head.total >= _FEW:
        lines.append(_with(f"  valid: {{share: {share}}}", "rows chosen by a hash of their text"))
        lines.append(f"  test: {{share: {share}}}")
    if choice.task != "language_model":
        long = "truncate" if choice.task == "classification" else "skip"
        lines.append(_with(f"  on_long: {long}", "rows of more tokens than max_length"))
    wanted = {} if _in_order(head, choice) else choice.columns
    named = {field: name for field, name in wanted.items() if not head.header or field != name}
    if named:
        lines.append("  fields:")
        lines += [f"    {field}: {{column: {_column(head, name)}}}" for field, name in named.items()]
    return lines


def _in_order(head: Head, choice: Choice) -> bool:
    """Whether a table without a header has the task's fields as its first columns."""
    return not head.header and list(choice.columns.values()) == [str(n) for n in range(len(FIELDS[choice.task]))]


def _column(head: Head, name: str) -> str:
    return scalar(name) if head.header else name


def _train(head: Head, big: bool) -> list[str]:
    epochs = 30 if head.total < 5000 else 10 if head.total < 200000 else 2
    return [
        "train:",
        _with(f"  duration: {epochs} epochs", "or 5000 (steps), or 10 minutes"),
        _with(f"  batch: {{kind: tokens, size: {8192 if big else 4096}}}", "an optimizer step"),
        *([_with("  early_stopping: {patience: 5}", "evaluations without progress")] if head.total >= _FEW else []),
    ]
