"""Sampling against exact probabilities, and its independence of the rest of the batch."""

import math

import pytest
import torch

from attncli.decoding import decode
from attncli.decoding.sampling import draw
from attncli.spec.seeds import mix
from attncli.spec.training import Sample
from tests.decoding.toys import EOS, SIGNS, UNK, A, B, Toy, fixed, prompts, random_logits, sources

PLAIN = {"temperature": 1.0, "top_k": None, "top_p": None}
SHARES = {UNK: 0.4, A: 0.3, B: 0.2, EOS: 0.1}


def exact(temperature: float, top_k: int | None, top_p: float | None) -> dict[int, float]:
    """The distribution in plain floats, by its definition."""
    ranked = sorted(SHARES, key=lambda token: -SHARES[token])[:top_k]
    sharp = {token: SHARES[token] ** (1 / temperature) for token in ranked}
    kept, whole, reached = {}, sum(sharp.values()), 0.0
    for token in ranked:
        if top_p is None or reached < top_p - 1e-9:
            kept[token] = sharp[token]
        reached += sharp[token] / whole
    return {token: share / sum(kept.values()) for token, share in kept.items()}


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, None, None), (0.5, None, None), (3.0, None, None), (1.0, 2, None), (1.0, None, 0.7), (1.0, None, 0.71),
     (1.0, 3, 0.6), (0.7, 3, 0.9), (1.0, None, 0.01), (1.0, 99, 1.0)],
)  # fmt: skip
def test_draws_follow_the_exact_distribution(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Each token comes as often as it should, within five standard deviations of the binomial."""
    count = 20_000
    scores = fixed(UNK=0.4, A=0.3, B=0.2, EOS=0.1)((), ()).expand(count, -1)
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    drawn = draw(scores, uniform, temperature=temperature, top_k=top_k, top_p=top_p).bincount(minlength=6)
    for token in range(6):
        share = exact(temperature, top_k, top_p).get(token, 0.0)
        assert abs(int(drawn[token]) - count * share) <= 5 * math.sqrt(count * share * (1 - share))


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    scores = fixed(UNK=0.4, A=0.3, B=0.2, EOS=0.1)((), ()).expand(1000, -1)
    uniform = torch.linspace(0, 1, 1001, dtype=torch.float64)[:-1]
    for top_p, size in {0.39: 1, 0.41: 2, 0.69: 2, 0.71: 3, 1.0: 4}.items():
        assert len(set(draw(scores, uniform, temperature=1.0, top_k=None, top_p=top_p).tolist())) == size


def test_a_set_that_reaches_top_p_exactly_is_enough() -> None:
    uniform = torch.linspace(0, 1, 101, dtype=torch.float64)[:-1]
    drawn = draw(torch.zeros(100, 4), uniform, temperature=1.0, top_k=None, top_p=0.5)
    assert set(drawn.tolist()) == {0, 1}


def test_the_edges_of_chance_never_choose_what_has_no_mass() -> None:
    """On a device without float64 a number just below 1 is rounded to 1."""
    scores = fixed(A=0.3, EOS=0.7)((), ()).expand(3, -1)
    edges = torch.tensor([0.0, 1 - 2**-53, 1.0], dtype=torch.float64)
    assert draw(scores, edges, **PLAIN).tolist() == [EOS, A, A]


@pytest.mark.parametrize("temperature", [1e-310, 1e-3, 1e3])
def test_extreme_temperatures_stay_finite(temperature: float) -> None:
    scores = random_logits(1)((), ()).log_softmax(0).expand(50, -1)
    uniform = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    drawn = draw(scores, uniform, temperature=temperature, top_k=None, top_p=None)
    likeliest = int(scores[0].argmax())
    if temperature < 1:
        assert drawn.tolist() == [likeliest] * 50
    else:
        assert len(set(drawn.tolist())) == 6


def test_a_sentence_does_not_depend_on_the_rest_of_the_batch() -> None:
    logits, rows = fixed(EOS=0.2, A=0.4, B=0.4), [[A], [B, A], [A, A, B], [B], [A, B], [A], [B]]
    together = decode(Toy(logits), sources(*rows), Sample(max_length=9), max_length=99, seed=3, **SIGNS)
    for number, row in enumerate(rows):
        alone = decode(
            Toy(logits), sources(row), Sample(max_length=9), max_length=99, seed=3, numbers=[number], **SIGNS
        )
        assert (alone[0][0].tokens, alone[0][0].score) == (together[number][0].tokens, together[number][0].score)
    assert len({len(h[0].tokens) for h in together}) > 2
    assert any(len(set(h[0].tokens)) > 1 for h in together)


def test_prompts_of_unlike_length_do_not_move_each_other() -> None:
    logits = random_logits(12)
    together = decode(Toy(logits, 9), prompts([A], [B, A, B, A]), Sample(), max_length=9, seed=1, **SIGNS)
    alone = decode(Toy(logits, 9), prompts([B, A, B, A]), Sample(), max_length=9, seed=1, numbers=[1], **SIGNS)
    assert alone[0][0].tokens == together[1][0].tokens


def test_the_seed_decides() -> None:
    batch = sources(*[[A]] * 8)
    runs = [
        [h[0].tokens for h in decode(Toy(random_logits(5)), batch, Sample(max_length=6), max_length=9, seed=s, **SIGNS)]
        for s in (0, 0, 1)
    ]
    assert runs[0] == runs[1] != runs[2]
    assert len(set(map(tuple, runs[0]))) > 1  # equal sources, numbers of their own


def test_random_numbers_are_those_of_seed_and_place() -> None:
    """The first draw of sentence 5 is where its own uniform number falls in the distribution."""
    generator = torch.Generator().manual_seed(mix(2, "sample", 5))
    first = float(torch.rand(1, generator=generator, dtype=torch.float64))
    found = decode(Toy(fixed(UNK=0.5, A=0.5)), sources(*[[A]] * 6), Sample(max_length=1), max_length=9, seed=2, **SIGNS)
    assert found[5][0].tokens == [UNK if first < 0.5 else A]


def test_the_score_is_the_models_own_log_probability() -> None:
    (found,) = decode(
        Toy(fixed(A=0.8, EOS=0.2)), sources([B]), Sample(temperature=0.1, top_k=1, max_length=3), max_length=9, **SIGNS
    )
    assert found[0].tokens == [A] * 3
    assert found[0].log_probability == pytest.approx(3 * math.log(0.8), abs=1e-6)


def test_other_streams_of_random_numbers_are_not_touched() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    decode(Toy(fixed(A=0.5, B=0.5)), sources([A]), Sample(max_length=3), max_length=9, **SIGNS)
    assert torch.equal(before, torch.get_rng_state())
