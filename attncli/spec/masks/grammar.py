"""Text to tree: the grammar of masks, by recursive descent, without eval.

mask      = both , { "|" , both } ;
both      = inverse , { "&" , inverse } ;
inverse   = "~" , inverse | relation ;
relation  = sum , { ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) , sum } ;
sum       = product , { ( "+" | "-" ) , product } ;
product   = factor , { ( "*" | "//" | "%" ) , factor } ;
factor    = "-" , factor | INTEGER | NAME | call | "(" , mask , ")" ;
call      = NAME , "(" , argument , { "," , argument } , ")" ;
argument  = [ NAME , "=" ] , sum ;
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from attncli.spec.masks.calls import Argument, called, constant, named, unknown
from attncli.spec.masks.predicates import SAMPLES, TOKENS
from attncli.spec.masks.tree import (
    NOWHERE,
    RELATIONS,
    And,
    Arithmetic,
    Comparison,
    Integer,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Sample,
    Truth,
)
from attncli.spec.masks.words import FOREIGN, Source, Word

MOST_OPERATORS = 200
MOST_NESTED = 40
MOST_NUMBER = 2**31 - 1


def read_tree(text: str) -> Truth:
    """The tree of a mask. Raises MaskError."""
    return _Parser(Source(text)).whole()


class _Parser:
    """One method a line of the grammar; each returns the tree of what it read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.place = 0
        self.nested = 0
        self.operators = 0

    @property
    def word(self) -> Word:
        return self.source.words[self.place]

    def _take(self, *signs: str) -> Word | None:
        """The next word if it is one of these signs."""
        word = self.word
        if word.kind != "sign" or word.text not in signs:
            return None
        self.place += 1
        return word

    def _unexpected(self, rule: str, help: str) -> NoReturn:
        word = self.word
        if word.text == "=":
            rule, help = "'=' names an argument; it compares nothing", "write =="
        elif word.text in FOREIGN:
            rule, help = f"'{word.text}' is not a word of masks", FOREIGN[word.text]
        self.source.fail(word.column, rule, help)

    @contextmanager
    def _inside(self, sign: Word) -> Iterator[None]:
        """One level deeper; what a parenthesis opened is closed."""
        self.nested += 1
        if self.nested > MOST_NESTED:
            self.source.fail(sign.column, f"a mask is nested at most {MOST_NESTED} deep", "say it flatter")
        yield
        self.nested -= 1
        if sign.text == "(" and not self._take(")"):
            self._unexpected(f"the '(' at column {sign.column + 1} is not closed here", "write ')'")

    def _truth(self, node: Node, who: str) -> Truth:
        if isinstance(node, Sample) and node.name not in SAMPLES:
            unknown(self.source, node.name, node.column)
        if not isinstance(node, Truth):
            rule = f"{who} takes truths, and '{node}' is an integer"
            self.source.fail(node.start, rule, "compare it, as in q - k <= 7")
        return node

    def _integer(self, node: Node, who: str) -> Integer:
        if not isinstance(node, Integer):
            rule = f"{who} takes integers, and '{node}' is true or false"
            self.source.fail(node.start, rule, "join truths by & | ~")
        return node

    def whole(self) -> Truth:
        if self.word.kind == "end":
            self.source.fail(0, "a mask is empty", "write full to see every key")
        tree = self.mask()
        if self.word.kind != "end":
            self._unexpected(f"'{self.word.text}' is not expected here", "join two truths by & or |")
        return self._truth(tree, "a mask")

    def mask(self) -> Node:
        parts = [self.both()]
        while self._take("|"):
            parts.append(self.both())
        if len(parts) == 1:
            return parts[0]
        truths = [self._truth(part, "'|'") for part in parts]
        flat = [each for part in truths for each in (part.parts if isinstance(part, Or) else (part,))]
        return Or(tuple(flat), column=parts[0].start)

    def both(self) -> Node:
        parts = [self.inverse()]
        while self._take("&"):
            parts.append(self.inverse())
        if len(parts) == 1:
            return parts[0]
        truths = [self._truth(part, "'&'") for part in parts]
        flat = [each for part in truths for each in (part.parts if isinstance(part, And) else (part,))]
        return And(tuple(flat), column=parts[0].start)

    def inverse(self) -> Node:
        if sign := self._take("~"):
            with self._inside(sign):
                return Not(self._truth(self.inverse(), "'~'"), column=sign.column)
        return self.relation()

    def relation(self) -> Node:
        operands, relations = [self.sum()], []
        while sign := self._take(*RELATIONS):
            relations.append(sign)
            operands.append(self.sum())
        if not relations:
            return operands[0]
        integers = tuple(self._integer(operand, f"'{relations[0].text}'") for operand in operands)
        return Comparison(integers, tuple(sign.text for sign in relations), column=operands[0].start)

    def sum(self) -> Node:
        left = self.product()
        while sign := self._take("+", "-"):
            left = self._arithmetic(left, sign, self.product())
        return left

    def product(self) -> Node:
        left = self.factor()
        while sign := self._take("*", "//", "%"):
            right = self.factor()
            if sign.text != "*" and not (constant(right) and right.value(NOWHERE) >= 1):
                rule = f"the right side of {sign.text} must be a positive constant, not '{right}'"
                self.source.fail(right.start, rule, "write a number of 1 or more")
            left = self._arithmetic(left, sign, right)
        return left

    def _arithmetic(self, left: Node, sign: Word, right: Node) -> Arithmetic:
        self.operators += 1
        if self.operators > MOST_OPERATORS:
            rule = f"a mask has at most {MOST_OPERATORS} signs of arithmetic"
            self.source.fail(sign.column, rule, "say it shorter")
        who = f"'{sign.text}'"
        return Arithmetic(self._integer(left, who), sign.text, self._integer(right, who), column=left.start)

    def factor(self) -> Node:
        word = self.word
        if self._take("-"):
            with self._inside(word):
                return Negative(self._integer(self.factor(), "'-'"), column=word.column)
        if self._take("("):
            with self._inside(word):
                return self.mask()
        if word.kind == "number":
            return self._number(word)
        if word.kind == "end":
            self.source.fail(word.column, "the mask ends where a term is due", "finish it, or take the last sign away")
        if word.kind != "name" or word.text in FOREIGN:
            self._unexpected(f"'{word.text}' stands where a term is due", "write a predicate, a name or a number")
        self.place += 1
        if opened := self._take("("):
            return called(self.source, word, self._arguments(opened))
        return named(self.source, word)

    def _number(self, word: Word) -> Number:
        self.place += 1
        if not word.text.isascii() or not word.text.isdigit():
            self.source.fail(word.column, f"'{word.text}' is no integer", "masks compute with whole decimal numbers")
        if int(word.text[:20]) > MOST_NUMBER:
            self.source.fail(word.column, f"{word.text} is larger than {MOST_NUMBER}", "no row is that long")
        return Number(int(word.text), column=word.column)

    def _arguments(self, opened: Word) -> list[Argument]:
        found: list[Argument] = []
        with self._inside(opened):
            while not found or self._take(","):
                found.append(self._argument())
        return found

    def _argument(self) -> Argument:
        name, following = None, self.source.words[self.place + 1 :]
        if self.word.kind == "name" and following[0].text == "=":
            name, self.place = self.word, self.place + 2
        word = self.word
        if word.text == ")":
            self.source.fail(word.column, "an argument is due", "write it, or leave the parentheses out")
        if word.text in TOKENS and self.source.words[self.place + 1].text in (",", ")"):
            self.place += 1
            return Argument(name, Sample(word.text, column=word.column))
        return Argument(name, self.sum())
