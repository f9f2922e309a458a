"""Laws of the positions."""

from math import cos, sin, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attncli.reference.positions import alibi, alibi_slopes, rotary, sinusoidal, t5_bucket
from attncli.reference.vectors import dot

vectors = st.lists(st.floats(-3, 3), min_size=6, max_size=6)
layouts = st.sampled_from(["half", "interleaved"])


@given(vectors, vectors, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), layouts)
def test_rotary_sees_only_the_distance(query, key, q, k, shift, layout):
    here = dot(rotary(query, q, layout=layout), rotary(key, k, layout=layout))
    there = dot(rotary(query, q + shift, layout=layout), rotary(key, k + shift, layout=layout))
    assert there == pytest.approx(here, abs=1e-10)


@given(vectors, st.integers(0, 50), layouts, st.sampled_from([2, 4, 6]))
def test_rotary_keeps_lengths_and_what_it_does_not_turn(x, position, layout, d_rotary):
    turned = rotary(x, position, layout=layout, d_rotary=d_rotary)
    assert turned[d_rotary:] == x[d_rotary:]
    assert dot(turned, turned) == pytest.approx(dot(x, x))
    assert rotary(x, 0, layout=layout) == x


@given(vectors, st.integers(0, 50))
def test_the_layouts_differ_by_a_permutation_of_features(x, position):
    beside = [x[i + 3 * half] for i in range(3) for half in (0, 1)]
    turned = rotary(x, position, layout="half")
    assert rotary(beside, position, layout="interleaved") == [turned[i + 3 * half] for i in range(3) for half in (0, 1)]


def test_rotary_turns_the_first_pair_by_the_position_in_radians():
    assert rotary([1.0, 0.0], 2) == pytest.approx([cos(2), sin(2)])


@pytest.mark.parametrize("heads", [1, 2, 4, 8, 16])
def test_alibi_slopes_of_a_power_of_two_are_a_geometric_series_that_ends_at_a_256th(heads):
    slopes = alibi_slopes(heads)
    assert slopes == pytest.approx([slopes[0] ** power for power in range(1, heads + 1)])
    assert slopes[-1] == 2**-8


def test_alibi_slopes_of_twelve_heads_follow_the_recipe_of_the_authors():
    above = alibi_slopes(16)
    assert alibi_slopes(12) == [*alibi_slopes(8), above[0], above[2], above[4], above[6]]
    assert alibi_slopes(12)[8] == pytest.approx(1 / sqrt(2))


def test_alibi_falls_with_the_distance_on_both_sides():
    assert [alibi(0.5, 3, k) for k in range(6)] == [-1.5, -1, -0.5, 0, -0.5, -1]


@given(st.integers(-400, 400), st.sampled_from([(32, 128), (16, 64), (8, 20)]), st.booleans())
def test_t5_buckets_grow_with_the_distance_within_their_number(offset, sizes, two_sided):
    buckets, most = sizes
    found = t5_bucket(offset, buckets=buckets, max_distance=most, two_sided=two_sided)
    assert 0 <= found < buckets
    farther = t5_bucket(offset + (1 if offset > 0 else -1), buckets=buckets, max_distance=most, two_sided=two_sided)
    assert farther >= found


def test_t5_buckets_are_exact_near_and_shared_far():
    assert [t5_bucket(-d, two_sided=False) for d in range(16)] == list(range(16))
    assert [t5_bucket(-d) for d in range(8)] == list(range(8))
    assert [t5_bucket(d) for d in range(1, 8)] == [16 + d for d in range(1, 8)]
    assert t5_bucket(5, two_sided=False) == 0
    assert t5_bucket(-127, two_sided=False) == t5_bucket(-10_000, two_sided=False) == 31
    # of 8 shared buckets between 8 and 128 a new one begins with each factor sqrt(2): 16, 32 and 64 are exact borders
    assert [t5_bucket(-d) for d in (15, 16, 31, 32, 63, 64)] == [9, 10, 11, 12, 13, 14]


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 50), st.sampled_from(["interleaved", "concatenated"]))
def test_the_product_of_two_sinusoidal_vectors_depends_on_the_distance_alone(one, other, shift, layout):
    def wave(position):
        return sinusoidal(position, d_model=8, layout=layout)

    assert dot(wave(one), wave(other)) == pytest.approx(dot(wave(one + shift), wave(other + shift)), abs=1e-10)


def test_sinusoidal_layouts_hold_the_same_waves():
    assert sinusoidal(3, d_model=4) == pytest.approx([sin(3), cos(3), sin(0.03), cos(0.03)])
    assert sinusoidal(3, d_model=4, layout="concatenated") == pytest.approx([sin(3), sin(0.03), cos(3), cos(0.03)])
