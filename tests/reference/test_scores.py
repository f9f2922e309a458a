"""Laws of the scores."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attncli.reference import scores
from attncli.reference.normalizers import softmax
from attncli.reference.vectors import length

numbers = st.floats(-3, 3)
vectors = st.lists(numbers, min_size=4, max_size=4)
matrices = st.lists(vectors, min_size=3, max_size=3)


@given(vectors, matrices)
def test_scaled_dot_is_dot_over_the_root_of_the_width(query, keys):
    expected = [each / sqrt(4) for each in scores.dot_product(query, keys)]
    assert scores.scaled_dot(query, keys) == pytest.approx(expected)
    assert scores.scaled_dot(query, keys, scale=1.0) == scores.dot_product(query, keys)


@given(vectors, matrices, st.floats(0.1, 9))
def test_cosine_sees_directions_only(query, keys, factor):
    found = scores.cosine(query, keys)
    longer = scores.cosine([factor * each for each in query], keys)
    if length(query) > 1e-3 and all(length(key) > 1e-3 for key in keys):
        assert longer == pytest.approx(found)
    assert all(abs(each) <= 1 + 1e-12 for each in found)


def test_cosine_of_a_vector_with_itself_is_the_temperature_and_with_nothing_0():
    assert scores.cosine([1.0, 2.0], [[1.0, 2.0], [-2.0, -4.0], [2.0, -1.0]], temperature=3) == pytest.approx(
        [3, -3, 0]
    )
    assert scores.cosine([0.0, 0.0], [[1.0, 2.0]]) == [0]


@given(vectors, matrices)
def test_general_with_the_unit_matrix_is_dot(query, keys):
    unit = [[float(i == j) for j in range(4)] for i in range(4)]
    assert scores.general(query, keys, weight=unit) == pytest.approx(scores.dot_product(query, keys))


def test_general_asks_with_rows_and_reads_with_columns():
    assert scores.general([1.0, 10.0], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], weight=[[1, 2, 3], [4, 5, 6]]) == [41, 63]


@given(vectors, matrices, matrices, vectors, vectors)
def test_the_query_term_of_biased_dot_cancels_in_softmax(query, keys, values, of_query, of_value):
    with_term = scores.biased_dot(query, keys, values, of_query=of_query, of_value=of_value)
    without = scores.biased_dot(query, keys, values, of_query=[0.0] * 4, of_value=of_value)
    assert softmax(with_term) == pytest.approx(softmax(without))


@given(vectors, matrices)
def test_biased_dot_without_biases_is_scaled_dot(query, keys):
    zeros = [0.0] * 4
    found = scores.biased_dot(query, keys, keys, of_query=zeros, of_value=zeros)
    assert found == pytest.approx(scores.scaled_dot(query, keys))


@given(vectors, matrices, st.lists(vectors, min_size=4, max_size=4), vectors)
def test_additive_is_bounded_by_its_weights_and_odd(query, keys, maps, weight):
    found = scores.additive(query, keys, of_query=maps, of_key=maps[::-1], weight=weight)
    assert all(abs(each) <= sum(map(abs, weight)) + 1e-12 for each in found)
    mirrored = scores.additive(
        [-each for each in query],
        [[-each for each in key] for key in keys],
        of_query=maps,
        of_key=maps[::-1],
        weight=weight,
    )
    assert mirrored == pytest.approx([-each for each in found])


def test_location_does_not_look_at_the_keys():
    table = [[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]
    assert scores.location([1.0, 1.0], 2, weight=table) == [11, 22]
