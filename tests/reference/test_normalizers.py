"""Laws of the normalizers."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attncli.reference.normalizers import budget, entmax, normmax, plain_sum, signed, softmax, sparsemax

rows = st.lists(st.floats(-4, 4), min_size=1, max_size=6)
alphas = st.sampled_from([1.25, 1.5, 2.0, 3.0])


@given(rows, alphas)
def test_rows_sum_to_one_and_are_not_negative(scores, alpha):
    for weights in (softmax(scores), sparsemax(scores), entmax(scores, alpha=alpha)):
        assert sum(weights) == pytest.approx(1, abs=1e-14)
        assert min(weights) >= 0


@given(rows, alphas, st.floats(-100, 100))
def test_a_constant_added_to_all_scores_changes_nothing(scores, alpha, shift):
    moved = [score + shift for score in scores]
    assert softmax(moved) == pytest.approx(softmax(scores), abs=1e-12)
    assert sparsemax(moved) == pytest.approx(sparsemax(scores), abs=1e-12)
    if alpha <= 2:  # beyond, weights near 0 rise steeper than the rounding of the shift
        assert entmax(moved, alpha=alpha) == pytest.approx(entmax(scores, alpha=alpha), abs=1e-10)


@given(rows)
def test_entmax_of_2_is_sparsemax_and_near_1_softmax(scores):
    assert entmax(scores, alpha=2) == pytest.approx(sparsemax(scores), abs=1e-14)
    assert entmax(scores, alpha=1 + 1e-7) == pytest.approx(softmax(scores), abs=1e-5)
    assert entmax(scores, alpha=1) == softmax(scores)


@given(rows)
def test_sparsemax_is_the_nearest_point_of_the_simplex(scores):
    """Karush-Kuhn-Tucker: where a weight is above 0, score - weight is one number, and nowhere else is it larger."""
    weights = sparsemax(scores)
    gaps = [score - weight for score, weight in zip(scores, weights, strict=True)]
    threshold = max(gaps)
    assert all(gap == pytest.approx(threshold, abs=1e-12) for gap, weight in zip(gaps, weights, strict=True) if weight)


@given(rows, st.sampled_from([1.25, 1.5, 3.0]))
def test_entmax_makes_its_objective_largest(scores, alpha):
    """Peters et al. 2019, eq. 7: p.s + H(p) with Tsallis' entropy; no shift of mass between two weights does better."""

    def objective(weights):
        entropy = sum(weight - weight**alpha for weight in weights) / (alpha * (alpha - 1))
        return sum(weight * score for weight, score in zip(weights, scores, strict=True)) + entropy

    weights = entmax(scores, alpha=alpha)
    for one in range(len(scores)):
        for other in range(len(scores)):
            step = min(1e-4, weights[one])
            moved = list(weights)
            moved[one] -= step
            moved[other] += step
            assert objective(moved) <= objective(weights) + 1e-12


@given(rows, alphas)
def test_a_larger_score_never_has_a_smaller_weight(scores, alpha):
    for weights in (softmax(scores), sparsemax(scores), entmax(scores, alpha=alpha), plain_sum(scores)):
        ordered = [weight for _, weight in sorted(zip(scores, weights, strict=True))]
        assert ordered == sorted(ordered)


@given(rows, st.sampled_from([1.25, 2.0, 4.0]))
def test_normmax_makes_its_objective_largest(scores, alpha):
    """Santos et al. 2024, section 3: no shift of mass between two weights does better.

    A score that stands at the threshold but for the rounding r of their difference has the weight r^(1 / (alpha - 1)),
    6e-6 at alpha = 4, in place of 0, and what that costs is as much smaller as the score is from the threshold.
    """

    def objective(weights):
        return sum(p * s for p, s in zip(weights, scores, strict=True)) - sum(p**alpha for p in weights) ** (1 / alpha)

    weights = normmax(scores, alpha=alpha)
    assert sum(weights) == pytest.approx(1, abs=1e-14)
    for one in range(len(scores)):
        for other in range(len(scores)):
            step = min(1e-4, weights[one])
            moved = list(weights)
            moved[one] -= step
            moved[other] += step
            assert objective(moved) <= objective(weights) + max(1e-12, 1e-4 * 2.3e-16 ** (1 / (alpha - 1)))


@given(rows, st.integers(1, 4))
def test_a_budget_is_spent_and_no_other_point_is_nearer(scores, keys):
    weights = budget(scores, keys=keys)
    assert sum(weights) == pytest.approx(min(keys, len(scores)), abs=1e-12)
    assert all(0 <= weight <= 1 for weight in weights)
    away = sum((weight - score) ** 2 for weight, score in zip(weights, scores, strict=True))
    for one in range(len(scores)):
        for other in range(len(scores)):
            step = min(1e-4, weights[one], 1 - weights[other])
            moved = list(weights)
            moved[one] -= step
            moved[other] += step
            assert sum((x - score) ** 2 for x, score in zip(moved, scores, strict=True)) >= away - 1e-12


@given(rows)
def test_signs_turn_weights_and_sizes_are_those_of_softmax(scores):
    weights = signed(scores)
    assert signed([-score for score in scores]) == [-weight for weight in weights]
    assert [abs(weight) for weight in weights] == [
        size if score else 0.0 for size, score in zip(softmax([abs(x) for x in scores]), scores, strict=True)
    ]


def test_softmax_of_logarithms_is_proportion_and_large_scores_do_not_overflow():
    assert softmax([log(1), log(2), log(5)]) == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert softmax([1000.0, 1000.0]) == [0.5, 0.5]


def test_sparsemax_drops_what_lies_one_below():
    assert sparsemax([1.0, 0.0, -5.0]) == [1, 0, 0]
    assert sparsemax([0.5, 0.0]) == [0.75, 0.25]


@pytest.mark.parametrize(
    ("activation", "weights"),
    [("relu", [0.25, 0.75, 0]), ("absolute", [1 / 6, 3 / 6, 2 / 6]), ("square", [1 / 14, 9 / 14, 4 / 14])],
)
def test_sum_is_proportion_of_the_activated_scores(activation, weights):
    assert plain_sum([1.0, 3.0, -2.0], activation=activation) == pytest.approx(weights)


def test_softplus_is_the_logarithm_of_one_and_the_exponential():
    ratio = plain_sum([log(3), log(1)], activation="softplus")
    assert ratio == pytest.approx([log(4) / log(8), log(2) / log(8)])


def test_a_row_without_a_positive_score_has_no_weights():
    assert plain_sum([-1.0, 0.0]) == [0, 0]


def test_no_scores_give_no_weights():
    for normalizer in (softmax, sparsemax, plain_sum, lambda scores: entmax(scores, alpha=1.5)):
        assert normalizer([]) == []


def test_an_unknown_activation_is_a_bug():
    with pytest.raises(ValueError, match="there is no activation 'tanh'"):
        plain_sum([1.0], activation="tanh")
