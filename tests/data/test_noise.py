"""Noise of masked language models: shares, labels, and what is never touched."""

import torch

from attncli.data.noise import corrupt
from attncli.streams import IGNORE, stream

MASK, SPECIAL, ORDINARY = 4, torch.arange(5), torch.arange(5, 50)


def noisy(rows: list[list[int]], rate: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    text = stream(rows, pad=0)
    generator = torch.Generator().manual_seed(seed)
    hidden, labels = corrupt(text, rate=rate, mask=MASK, special=SPECIAL, ordinary=ORDINARY, generator=generator)
    assert torch.equal(hidden.documents, text.documents)
    assert torch.equal(hidden.positions, text.positions)
    return text.values, hidden.values, labels.values


ROWS = [[2, *(5 + (row * 7 + place) % 45 for place in range(400 - row)), 3] for row in range(50)]


def test_shares_are_as_published() -> None:
    text, hidden, labels = noisy(ROWS, 0.15)
    chosen = labels != IGNORE
    real = text >= 5
    share = float(chosen.sum() / real.sum())
    assert abs(share - 0.15) < 0.01
    assert abs(float((hidden == MASK).sum() / chosen.sum()) - 0.8) < 0.02
    other = chosen & (hidden != MASK) & (hidden != text)
    assert abs(float(other.sum() / chosen.sum()) - 0.1 * 44 / 45) < 0.02


def test_labels_are_the_text_and_the_rest_stays() -> None:
    text, hidden, labels = noisy(ROWS, 0.3)
    chosen = labels != IGNORE
    assert torch.equal(labels[chosen], text[chosen])
    assert torch.equal(hidden[~chosen], text[~chosen])
    assert not chosen[text < 5].any()
    assert not torch.isin(hidden[chosen], torch.tensor([0, 1, 2, 3])).any()


def test_every_text_has_something_to_restore() -> None:
    text, _, labels = noisy([[2, 5 + row, 6, 3] for row in range(40)], 0.001)
    assert ((labels != IGNORE).sum(1) == 1).all()
    assert not (noisy([[2, 3]], 0.5)[2] != IGNORE).any()
    assert text.shape == (40, 4)


def test_noise_is_a_pure_function_of_the_generator() -> None:
    assert torch.equal(noisy(ROWS, 0.15, 1)[1], noisy(ROWS, 0.15, 1)[1])
    assert not torch.equal(noisy(ROWS, 0.15, 1)[1], noisy(ROWS, 0.15, 2)[1])
