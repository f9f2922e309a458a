"""Certificates say what failed in words, and a number that is none never passes for a small one."""

from dataclasses import replace

import pytest

from attncli.maps.record import Maps, Sample
from tests.maps.made import BAD, GOOD, attention, maps


def test_a_good_certificate_has_no_faults() -> None:
    assert GOOD.holds
    assert maps().faults() == []


@pytest.mark.parametrize(("change", "fault"), [
    ({"row_sum_error": 2e-5}, "max|rows - 1| is 2.0e-05, above 1.0e-05"),
    ({"output_error": 0.5}, "max|map V - output| is 5.0e-01, above 1.0e-05"),
    ({"forbidden_weight": 1e-9}, "a weight of 1.0e-09 lies where the mask lets nothing through"),
    ({"not_finite": 3}, "3 weights are no finite number"),
    ({"row_sum_error": float("nan")}, "max|rows - 1| is nan, above 1.0e-05"),
    ({"output_error": float("nan")}, "max|map V - output| is nan, above 1.0e-05"),
    ({"forbidden_weight": float("nan")}, "a weight of nan lies where the mask lets nothing through"),
])  # fmt: skip
def test_each_check_can_fail(change: dict[str, float], fault: str) -> None:
    assert list(replace(GOOD, **change).faults()) == [fault]


def test_empty_rows_are_counted_and_are_no_fault() -> None:
    assert replace(GOOD, empty_rows=4).holds


def test_faults_name_sample_attention_and_row() -> None:
    found = Maps((maps().samples[0], *maps(attention(certificate=BAD)).samples)).faults()
    assert found == [
        "sample 1: encoder.0.attention: max|map V - output| is 2.5e-01, above 1.0e-05 (head 1, query 2 'b')"
    ]


@pytest.mark.parametrize("error", [2e-4, float("nan")])
def test_a_generation_that_its_replay_does_not_confirm_is_a_fault(error: float) -> None:
    sample = Sample({"source": "a"}, (attention(),), "greedy", replay_error=error)
    assert list(sample.faults()) == [
        f"generation: the stitched weights differ from a replay by {error:.1e}, above 1.0e-04"
    ]
    assert not list(replace(sample, replay_error=1e-6).faults())


def test_a_cross_attention_names_its_rows_by_what_they_write() -> None:
    cross = attention(("[BOS]", "x"), ("a", "b", "c"), kind="cross", writes=("x", "[EOS]"))
    assert (cross.rows, cross.row_name) == (("x", "[EOS]"), "token written")
    own = attention(("[BOS]", "x"), ("[BOS]", "x"), writes=("x", "[EOS]"))
    assert (own.rows, own.row_name) == (("[BOS]", "x"), "query")


def test_names_are_unique_in_a_collection_and_errors_are_the_largest() -> None:
    both = Maps((maps(attention(), attention(address="encoder.1.attention")).samples[0],
                 *maps(attention(certificate=BAD)).samples))  # fmt: skip
    assert [name for name, _, _ in both.items()] == ["0/encoder.0.attention", "0/encoder.1.attention",
                                                     "1/encoder.0.attention"]  # fmt: skip
    assert both.output_error == BAD.output_error
    assert both.row_sum_error == GOOD.row_sum_error
