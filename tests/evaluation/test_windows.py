"""Windows over long texts."""

import pytest

from attncli.evaluation.windows import windows
from attncli.streams import IGNORE

BOS, EOS = 1, 2


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 50])
@pytest.mark.parametrize("length", [0, 1, 6, 7, 8, 23, 49, 50])
def test_each_token_is_predicted_once_with_half_a_window_before_it(size: int, length: int) -> None:
    ids = list(range(10, 10 + length))
    text = [BOS, *ids, EOS]
    predicted = []
    for window in windows(ids, bos=BOS, eos=EOS, size=size):
        assert len(window.text) == len(window.labels) <= size
        for place, label in enumerate(window.labels):
            if label == IGNORE:
                continue
            predicted.append(label)
            number = text.index(label)
            seen = window.text[: place + 1]
            assert seen == text[number - len(seen) : number]  # what precedes the token, and nothing else
            assert len(seen) >= min(number, (size + 1) // 2)
    assert predicted == text[1:]


def test_a_text_that_fits_is_one_window() -> None:
    assert [window.text for window in windows([5, 6], bos=BOS, eos=EOS, size=3)] == [[BOS, 5, 6]]
