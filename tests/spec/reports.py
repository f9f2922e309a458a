"""Reports of faults as they must look, from specs in which a ▸ stands before each faulty character."""

import pytest

from attncli.errors import SpecError
from attncli.spec.load import load_text

MARK = "▸"
Fault = tuple[str, str]
"""What is said, and the help; an empty help is none."""


def refused(text: str, *overrides: str) -> str:
    """The report of a spec that is refused."""
    with pytest.raises(SpecError) as caught:
        load_text(text, overrides, name="s.yaml")
    return str(caught.value)


def unmarked(text: str) -> str:
    return text.replace(MARK, "")


def whole(marked: str, *faults: Fault) -> str:
    """The report of a spec with these faults, in the order of their marks."""
    parts = []
    for line, written in enumerate(marked.split("\n"), 1):
        *before, _ = written.split(MARK)
        for count in range(len(before)):
            column = len("".join(before[: count + 1])) + 1
            says, help = faults[len(parts)]
            blank, number = " " * len(str(line)), str(line)
            shown = f"{blank} |\n{number} | {unmarked(written)}\n{blank} | {' ' * (column - 1)}^"
            parts.append(f"s.yaml:{line}:{column}: {says}\n{shown}" + (f"\nhelp: {help}" if help else ""))
    assert len(parts) == len(faults)
    return "\n\n".join([*parts, f"{len(parts)} faults in s.yaml"] if len(parts) > 1 else parts)
