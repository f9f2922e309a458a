"""The words of a mask's text, and the error that names a column of it."""

import re
from typing import NamedTuple, NoReturn

from attncli.errors import SpecError

_WORD = re.compile(r"\s*(?:(?P<number>\d[\w.]*)|(?P<name>[^\W\d]\w*)|(?P<sign>==|!=|<=|>=|//|[-+*%<>&|~(),=]))")

FOREIGN = {
    "and": "write &",
    "or": "write |",
    "not": "write ~",
    "!": "write ~ or !=",
    "[": "write a function: document(q)",
    "/": "write //, floor division",
    "^": "write & | ~",
    "'": "masks have no strings",
    '"': "masks have no strings",
    ".": "masks have no floats",
}
"""What other languages write, and what to write here."""


class MaskError(SpecError):
    """A mask that breaks the grammar or its types, with the 0-based column and the way out."""

    def __init__(self, text: str, column: int, rule: str, help: str) -> None:
        line = re.sub(r"\s", " ", text)
        super().__init__(f"mask:{column + 1}: {rule}\n  {line}\n  {' ' * column}^", help=help)
        self.column, self.rule, self.help = column, rule, help


class Word(NamedTuple):
    """A number, a name, a sign, or the end, and the 0-based column where it starts."""

    kind: str
    text: str
    column: int


class Source:
    """The text of a mask, cut into words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = self._split()

    def fail(self, column: int, rule: str, help: str) -> NoReturn:
        """Refuse the text. Raises MaskError."""
        raise MaskError(self.text, column, rule, help)

    def _split(self) -> list[Word]:
        words, place = [], 0
        while rest := self.text[place:].strip():
            found = _WORD.match(self.text, place)
            if found is None:
                known = "the signs are & | ~ == != < <= > >= + - * // % ( ) ,"
                column = self.text.index(rest[0], place)
                self.fail(column, f"'{rest[0]}' has no meaning in a mask", FOREIGN.get(rest[0], known))
            kind = str(found.lastgroup)
            words.append(Word(kind, found[kind], found.start(kind)))
            place = found.end()
        return [*words, Word("end", "", len(self.text.rstrip()))]
