"""Beam search against a search of every text, and its laws."""

import math

import pytest
import torch

from attncli.decoding import Hypothesis, decode
from attncli.decoding.writing import best
from attncli.spec.training import Beam, Greedy
from tests.decoding.toys import (
    BOS,
    EOS,
    PAD,
    SIGNS,
    A,
    B,
    Logits,
    Toy,
    every_text,
    fixed,
    log_probability,
    prompts,
    random_logits,
    sources,
)

LIMIT = 4
WHOLE = 4 * 3 ** (LIMIT - 1)
"""Continuations of all texts of the longest length: a beam of this size forgets nothing."""


def search(logits: Logits, batch: dict[str, object], **options: object) -> list[list[Hypothesis]]:
    max_length = options.pop("fits", 1000)
    return decode(Toy(logits, max_length), batch, Beam(**options), max_length=max_length, **SIGNS)


@pytest.mark.parametrize("min_length", [0, 2])
@pytest.mark.parametrize("penalty", [-1.0, 0.0, 0.6, 1.0, 2.5])
def test_a_beam_that_holds_all_texts_finds_the_best_of_all(penalty: float, min_length: int) -> None:
    logits = random_logits(3)
    expected = {
        text: value / len(text) ** penalty
        for text, value in every_text(logits, (A, EOS), (BOS,), LIMIT).items()
        if text[-1] != EOS or len(text) - 1 >= min_length
    }
    ranked = sorted(expected, key=expected.__getitem__, reverse=True)[:20]
    options = {"size": WHOLE, "n_best": 20, "length_penalty": penalty, "min_length": min_length, "max_length": LIMIT}
    (found,) = search(logits, sources([A, EOS]), **options)
    assert [(*h.tokens, EOS) if h.finished else tuple(h.tokens) for h in found] == ranked
    for hypothesis, text in zip(found, ranked, strict=True):
        assert hypothesis.score == pytest.approx(expected[text], abs=1e-5)
        assert hypothesis.log_probability == pytest.approx(expected[text] * len(text) ** penalty, abs=1e-5)


def test_prompts_of_unlike_length_are_searched_whole() -> None:
    logits = random_logits(8)
    found = search(logits, prompts([A], [B, A, B]), size=WHOLE, n_best=3, max_length=3)
    for prompt, hypotheses in zip([(BOS, A), (BOS, B, A, B)], found, strict=True):
        every = every_text(logits, (), prompt, 3)
        ranked = sorted(every, key=lambda text: every[text] / len(text), reverse=True)[:3]
        assert [(*h.tokens, EOS) if h.finished else tuple(h.tokens) for h in hypotheses] == ranked


def test_the_early_end_loses_nothing() -> None:
    """The n best are those that a search to the limit finds: more kept texts put the end off, but change no rank."""
    for seed in range(40):
        for penalty in (-0.7, 0.0, 1.0, 2.0):
            options = {"size": 3, "length_penalty": penalty, "max_length": 8}
            toy, longer = Toy(random_logits(seed)), Toy(random_logits(seed))
            (few,) = decode(toy, sources([A]), Beam(n_best=1, **options), max_length=99, **SIGNS)
            (many,) = decode(longer, sources([A]), Beam(n_best=3, **options), max_length=99, **SIGNS)
            assert few[0] == many[0]
            assert len(toy.steps) <= len(longer.steps)


def test_a_search_ends_when_nothing_running_can_win() -> None:
    toy = Toy(fixed(EOS=0.9, A=0.1))
    (found,) = decode(toy, sources([A]), Beam(size=2, length_penalty=0.0), max_length=50, **SIGNS)
    assert found[0].tokens == []
    assert len(toy.steps) == 1
    toy = Toy(fixed(EOS=0.1, A=0.9))  # log(0.9) a token, divided by the length, comes closer to 0 to the very end
    (found,) = decode(toy, sources([A]), Beam(size=2, length_penalty=1.0), max_length=50, **SIGNS)
    assert found[0].tokens == [A] * 50
    assert not found[0].finished


def first_then(first: dict[str, float], later: dict[str, float]) -> Logits:
    return lambda source, text: fixed(**(first if len(text) == 1 else later))(source, text)


def test_a_negative_penalty_waits_for_a_short_text_that_wins() -> None:
    """ln 0.2 stands first; ln 0.8 · 2 beats it, although ln 0.8 · 50, its worth at the limit, would not."""
    logits = first_then({"EOS": 0.2, "A": 0.8}, {"EOS": 1.0})
    (found,) = search(logits, sources([A]), size=2, length_penalty=-1.0, max_length=50)
    assert found[0].tokens == [A]


def test_a_text_that_ends_leaves_its_place_to_another() -> None:
    logits = first_then({"EOS": 0.6, "A": 0.4}, {"EOS": 1.0})
    (found,) = search(logits, sources([A]), size=1, length_penalty=3.0, max_length=50)
    assert found[0].tokens == [A]


def test_an_end_counts_only_among_the_first_of_the_beam() -> None:
    (found,) = search(fixed(EOS=0.4, A=0.6), sources([A]), size=1, length_penalty=0.0, max_length=5)
    assert found[0].tokens == [A] * 5


def test_a_penalty_prefers_longer_texts_as_it_grows() -> None:
    lengths = [
        len(search(fixed(EOS=0.3, A=0.6, B=0.1), sources([A]), size=4, length_penalty=p, max_length=9)[0][0].tokens)
        for p in (-1.0, 0.0, 3.0)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_a_batch_gives_what_each_sentence_gives_alone() -> None:
    rows = [[A], [B, A], [A, A, B], [B]]
    logits = random_logits(5)
    options = {"size": 3, "n_best": 3, "max_length": 7}
    together = search(logits, sources(*rows), **options)
    for row, found in zip(rows, together, strict=True):
        alone = search(logits, sources(row), **options)[0]
        assert [(h.tokens, h.score, h.finished) for h in alone] == [(h.tokens, h.score, h.finished) for h in found]


def test_done_sentences_leave_the_batch() -> None:
    def logits(source: tuple[int, ...], text: tuple[int, ...]) -> torch.Tensor:
        return fixed(EOS=0.999, A=0.001)(source, text) if len(text) >= source[0] else fixed(A=0.9, B=0.1)(source, text)

    toy = Toy(logits)
    found = decode(toy, sources([1], [3], [2]), Beam(size=2, length_penalty=0.0), max_length=9, **SIGNS)
    assert [h[0].tokens for h in found] == [[], [A, A], [A]]
    assert toy.steps == [6, 4, 2]


def test_rows_say_where_each_step_was_computed() -> None:
    rows = [(A, EOS), (B, A, EOS), (B, EOS)]
    toy = Toy(random_logits(11))
    found = decode(toy, sources(*map(list, rows)), Beam(size=3, n_best=3, max_length=6), max_length=99, **SIGNS)
    moved = 0
    for source, hypotheses in zip(rows, found, strict=True):
        for h in hypotheses:
            assert len(h.rows) == len(h.tokens) + h.finished
            for step, row in enumerate(h.rows):
                assert toy.answers[step][row] == (source, (BOS, *h.tokens[:step]))
            moved += len(set(h.rows)) > 1
    assert moved


def test_log_probability_is_that_of_the_text_and_hypotheses_differ() -> None:
    logits = random_logits(2)
    (found,) = search(logits, sources([B]), size=4, n_best=4, max_length=5)
    assert len({(tuple(h.tokens), h.finished) for h in found}) == 4
    for h in found:
        text = (*h.tokens, EOS) if h.finished else tuple(h.tokens)
        assert h.log_probability == pytest.approx(log_probability(logits, (B,), (BOS,), text), abs=1e-5)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_what_has_no_probability_is_never_chosen() -> None:
    (found,) = search(fixed(A=0.5, EOS=0.5), sources([A]), size=4, n_best=4, max_length=2)
    assert sorted((tuple(h.tokens), h.finished) for h in found) == [((), True), ((A,), True), ((A, A), False)]
    assert all(math.isfinite(h.score) for h in found)


def test_pad_and_bos_are_never_written() -> None:
    def logits(source: tuple[int, ...], text: tuple[int, ...]) -> torch.Tensor:
        return torch.tensor([9.0, -9.0, 9.0, -9.0, 1.0, 0.0])

    for decoding in (Beam(size=2, n_best=2, max_length=3), Greedy(max_length=3)):
        (found,) = decode(Toy(logits), sources([A]), decoding, max_length=9, **SIGNS)
        assert not {PAD, BOS} & {token for h in found for token in h.tokens}
        assert found[0].tokens == [A, A, A]


def test_of_equal_texts_the_lower_ids_come_first() -> None:
    (found,) = search(fixed(A=0.25, B=0.25, EOS=0.5), sources([A]), size=4, n_best=3, max_length=2, length_penalty=0.0)
    assert [(h.tokens, h.finished) for h in found] == [([], True), ([A], True), ([B], True)]


def test_nothing_possible_is_an_empty_text() -> None:
    (found,) = search(fixed(EOS=1.0), sources([A]), size=2, min_length=3, max_length=5)
    assert [(h.tokens, h.finished, h.score) for h in found] == [([], False, -math.inf)]


def test_prompts_count_towards_the_positions() -> None:
    found = search(fixed(A=1.0), prompts([A], [A, A, A], []), size=2, fits=5)
    assert [len(h[0].tokens) for h in found] == [4, 2, 5]


@pytest.mark.parametrize(("width", "levels"), [(7, 4), (1003, 4), (1003, 400), (1024, 10_000)])
def test_best_takes_the_first_of_equals(width: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (1, 2, 5, 7):
        scores = torch.randint(0, levels, (3, 20, width), generator=generator).float()
        scores[0, :, 2:] = -math.inf
        values, index = best(scores, count)
        rows = scores.view(-1, width), values.view(-1, count), index.view(-1, count)
        for row, value, place in zip(*rows, strict=True):
            order = sorted(range(width), key=lambda i: (-float(row[i]), i))[:count]
            assert value.tolist() == [float(row[i]) for i in order]
            finite = [i for i in order if row[i] > -math.inf]
            assert place.tolist()[: len(finite)] == finite
