"""Batches for scoring."""

import random

from attncli.evaluation.reading import by_length


def test_groups_hold_each_row_once_within_the_room() -> None:
    generator = random.Random(1)
    for _ in range(50):
        lengths = [generator.randint(0, 30) for _ in range(generator.randint(0, 40))]
        groups = by_length(lengths, 64)
        assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
        for group in groups:
            assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= 64


def test_rows_of_similar_length_lie_together_and_fill_the_room() -> None:
    assert by_length([1, 9, 1, 10, 2], 20) == [[3, 1], [4, 0, 2]]
    assert by_length([100], 20) == [[0]]
