"""Greedy decoding: the likeliest token every time, and what leaves the batch."""

import math

import pytest
import torch

from attncli.decoding import decode
from attncli.errors import InputError, WorkError
from attncli.spec.training import Greedy
from tests.decoding.toys import (
    BOS,
    EOS,
    PAD,
    SIGNS,
    UNK,
    A,
    B,
    Toy,
    fixed,
    log_probability,
    prompts,
    random_logits,
    sources,
)


def test_each_token_is_the_likeliest_after_those_before() -> None:
    logits = random_logits(4)
    rows = [(A, EOS), (B, A, EOS), (B, EOS)]
    found = decode(Toy(logits), sources(*map(list, rows)), Greedy(max_length=8), max_length=99, **SIGNS)
    for source, (h,) in zip(rows, found, strict=True):
        text = (*h.tokens, EOS) if h.finished else tuple(h.tokens)
        for place, token in enumerate(text):
            allowed = logits(source, (BOS, *text[:place])).clone()
            allowed[[PAD, BOS]] = -math.inf
            assert token == int(allowed.argmax())
        assert h.score == h.log_probability == pytest.approx(log_probability(logits, source, (BOS,), text), abs=1e-5)
        assert h.finished or len(h.tokens) == 8


def test_of_equals_the_lowest_id_is_written() -> None:
    ((h,),) = decode(Toy(fixed(A=0.5, B=0.5)), sources([A]), Greedy(max_length=2), max_length=9, **SIGNS)
    assert h.tokens == [A, A]


def test_prompts_are_continued_and_count_towards_the_positions() -> None:
    logits = random_logits(6)
    toy = Toy(logits, max_length=6)
    found = decode(toy, prompts([A, B], [B], []), Greedy(), max_length=6, **SIGNS)
    for prompt, (h,) in zip([(BOS, A, B), (BOS, B), (BOS,)], found, strict=True):
        alone = decode(Toy(logits, 6), prompts(list(prompt[1:])), Greedy(), max_length=6, **SIGNS)
        assert alone[0][0].tokens == h.tokens
        assert len(h.tokens) + h.finished <= 6 - len(prompt) + 1


def test_rows_that_are_done_leave_the_batch() -> None:
    toy = Toy(lambda source, text: fixed(**({"A": 1.0} if len(text) < source[0] else {"EOS": 1.0}))(source, text))
    found = decode(toy, sources([3], [1], [2]), Greedy(), max_length=50, **SIGNS)
    assert [h.tokens for (h,) in found] == [[A, A], [], [A]]
    assert [h.rows for (h,) in found] == [[0, 0, 0], [1], [2, 1]]
    assert toy.steps == [3, 2, 1]


def test_a_prompt_beyond_the_positions_is_refused() -> None:
    with pytest.raises(InputError, match="a prompt of 4 tokens does not fit: the model has 3 positions\nhelp: shorten"):
        decode(Toy(fixed(A=1.0)), prompts([A, A, A]), Greedy(), max_length=3, **SIGNS)


def test_logits_that_are_no_numbers_are_said_to_be_so() -> None:
    broken = Toy(lambda source, text: torch.full((6,), math.nan))
    with pytest.raises(WorkError, match=r"the model's output is not a number \(NaN\)(.|\n)*help: evaluate an earlier"):
        decode(broken, sources([A]), Greedy(max_length=2), max_length=9, **SIGNS)


def test_unknown_may_be_written() -> None:
    ((h,),) = decode(Toy(fixed(UNK=1.0)), sources([A]), Greedy(max_length=1), max_length=9, **SIGNS)
    assert (h.tokens, h.finished) == ([UNK], False)
