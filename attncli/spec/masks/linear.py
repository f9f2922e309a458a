"""Integer expressions as sums: coefficients of terms, and what is known of the terms' values."""

import math
from collections import Counter
from dataclasses import dataclass

from attncli.spec.masks.tree import (
    ARITHMETIC,
    Arithmetic,
    ByHead,
    Call,
    Integer,
    Name,
    Negative,
    Number,
    Sample,
    Token,
)


@dataclass(frozen=True)
class Box:
    """What is known of the names: lengths of a row, heads, the first places looked at. None is not known."""

    q_length: int | None = None
    k_length: int | None = None
    q_first: int = 0
    k_first: int = 0
    heads: int | None = None
    one_document: bool = False
    """Every token lies in document 0."""

    def range(self, term: Integer) -> tuple[float, float]:
        """The least and the greatest value that a term can have."""
        match term:
            case Number(number=number):
                return number, number
            case Name(name="q"):
                return self.q_first, _last(self.q_length)
            case Name(name="k"):
                return self.k_first, _last(self.k_length)
            case Name(name="h"):
                return 0, _last(self.heads)
            case Name(name="q_length"):
                return (1, math.inf) if self.q_length is None else (self.q_length, self.q_length)
            case Name(name="k_length"):
                return (1, math.inf) if self.k_length is None else (self.k_length, self.k_length)
            case Arithmetic(left=left, operator="//" | "%" as sign, right=right):
                return self._divided(left, sign, linear(right))
            case ByHead(values=values):
                ranges = [self.reach(*linear(value)) for value in values]
                return min(low for low, _ in ranges), max(high for _, high in ranges)
            case Call(function="abs"):
                return 0, math.inf
            case Token(of="document") if self.one_document:
                return 0, 0
            case Sample(name="prefix_length"):
                return 0, math.inf if self.k_length is None else self.k_length
            case Token(of="document"):
                return 0, math.inf
            case _:
                return -math.inf, math.inf

    def _divided(self, left: Integer, sign: str, right: tuple[dict[Integer, int], int]) -> tuple[float, float]:
        """Of a quotient or a remainder; a divisor that depends on the head says little."""
        terms, divisor = right
        if terms:
            return (0, math.inf) if sign == "%" else (-math.inf, math.inf)
        if sign == "%":
            return 0, divisor - 1
        low, high = self.reach(*linear(left))
        return _floor(low, divisor), _floor(high, divisor)

    def reach(self, terms: dict[Integer, int], constant: int = 0) -> tuple[float, float]:
        """The least and the greatest value of a sum."""
        low = high = float(constant)
        for term, coefficient in terms.items():
            ends = [coefficient * end for end in self.range(term)]
            low, high = low + min(ends), high + max(ends)
        return low, high


ANYWHERE = Box()
"""Nothing is known."""


def _last(length: int | None) -> float:
    return math.inf if length is None else length - 1


def _floor(value: float, step: int) -> float:
    return value if math.isinf(value) else value // step


def linear(node: Integer) -> tuple[dict[Integer, int], int]:
    """Coefficients of the terms, and the constant, of an integer expression. Products of terms stay one opaque term."""
    terms: Counter[Integer] = Counter()
    constant = _gather(node, 1, terms)
    return {term: coefficient for term, coefficient in terms.items() if coefficient}, constant


def _gather(node: Integer, times: int, terms: Counter[Integer]) -> int:
    match node:
        case Number(number=number):
            return times * number
        case Negative(operand=operand):
            return _gather(operand, -times, terms)
        case Arithmetic(left=left, operator="+" | "-" as sign, right=right):
            return _gather(left, times, terms) + _gather(right, times if sign == "+" else -times, terms)
        case Arithmetic(left=left, operator="*", right=right):
            for one, other in ((left, right), (right, left)):
                inner, factor = linear(one)
                if not inner:
                    return _gather(other, times * factor, terms)
        case Arithmetic(left=left, operator=_, right=right):
            (moving, dividend), (divisors, divisor) = linear(left), linear(right)
            if not moving and not divisors:
                return times * int(ARITHMETIC[node.operator](dividend, divisor))
        case _:
            pass
    terms[node] += times
    return 0
