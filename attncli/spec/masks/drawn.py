"""Random numbers that are a function of what they are drawn for, computed alike on Python ints and on index tensors."""

from functools import reduce
from operator import or_
from typing import Any

PRIME = 2**31 - 1
"""Products of two residues fit into 63 bits. 5 does not divide PRIME - 1, so x -> x^5 is a permutation."""


def drawn(*of: Any) -> Any:
    """A number from 0 to PRIME - 1, scattered over all of them: two rounds of x -> (x + key + constant)^5 for each key.

    The permutation of MiMC (Albrecht et al. 2016, eprint 2016/492) with the keys taken in one after the other.
    """
    state = 1_234_567
    for key in of:
        for constant in (741_103_597, 1_597_334_677):
            state = (state + key % PRIME + constant) % PRIME
            square = state * state % PRIME
            state = square * square % PRIME * state % PRIME
    return state


def drawn_blocks(of: tuple[Any, ...], *, count: int, among: Any) -> list[Any]:
    """`count` different blocks of 0 to among - 1; where there are fewer, all of them, and numbers of none.

    Floyd's sampling: each set is as likely as another (Bentley and Floyd 1987, Programming Pearls, CACM 30(9)).
    """
    most = among + (count - among) * (among < count)
    found: list[Any] = []
    for number in range(count):
        last = most - count + number
        block = drawn(*of, number) % (last + 1)
        taken = reduce(or_, (block == each for each in found), False)
        found.append(block + (last - block) * taken)
    return found
