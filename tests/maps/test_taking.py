"""Maps beyond the budget are reduced while the model runs, in blocks: what is kept is what the whole map would give."""

import numpy as np
import pytest
import torch

from attncli.errors import InputError
from attncli.maps.budget import LEAST, Budget, Choice, bytes_of, choice_of, shown
from attncli.maps.capture import capture_forced
from attncli.maps.record import AttentionMap
from attncli.maps.taking import Plan
from tests.maps.test_capture import pieces
from tests.nn import models

TEXTS = models.writers()


class Tight(Budget):
    """A budget in which nothing is kept whole, and a block has two rows at the most."""

    block = 120

    def grant(self, size: int) -> bool:
        return False


def taken(name: str, plan: Plan, dtype: torch.dtype = torch.float32) -> list[tuple[AttentionMap, ...]]:
    return capture_forced(models.build(TEXTS[name], dtype=dtype), models.batch(), pieces, labels="target", plan=plan)[1]


NAMES = [
    "mask causal", "mask k < q", "mask causal & window(before=2)", "mask random_blocks(count=2, size=1, seed=3)",
    "heads grouped", "normalizer queries", "normalizer sigmoid", "position alibi", "position shaw", "score additive",
    "position cope", "position forgetting", "recurrent Bahdanau gru", "recurrent Luong gru",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_map_that_is_reduced_has_the_certificate_and_the_summary_of_the_whole(name: str) -> None:
    whole, reduced = taken(name, Plan()), taken(name, Plan(Tight()))
    for one, other in ((a, b) for first, second in zip(whole, reduced, strict=True)
                       for a, b in zip(first, second, strict=True)):  # fmt: skip
        assert other.weights is None and one.weights is not None
        assert (one.address, one.queries, one.keys, one.writes) == (
            other.address, other.queries, other.keys, other.writes
        )  # fmt: skip
        assert one.certificate.holds and other.certificate.holds
        assert one.certificate.empty_rows == other.certificate.empty_rows
        assert one.certificate.missing[:20] == other.certificate.missing[:20]
        for statistic, values in one.summary.statistics.items():
            np.testing.assert_allclose(other.summary.statistics[statistic], values, atol=3e-6, err_msg=statistic)
        np.testing.assert_allclose(other.summary.overview.largest, one.summary.overview.largest, atol=1e-6)
        np.testing.assert_allclose(other.summary.overview.mean, one.summary.overview.mean, atol=1e-6)
        np.testing.assert_allclose(other.summary.top_weights, one.summary.top_weights, atol=1e-6)


def test_chosen_rows_are_those_of_the_whole_map() -> None:
    choice = choice_of("1,3", "1:4")
    whole, chosen = taken("mask causal", Plan()), taken("mask causal", Plan(choice=choice))
    for one, other in zip(whole[1], chosen[1], strict=True):
        assert other.weights is None
        rows = other.rows_kept
        assert rows is not None
        assert rows.heads == (1, 3)
        last = min(4, len(one.queries))
        assert rows.queries == range(1, last)
        np.testing.assert_allclose(rows.weights, one.weights[[1, 3], 1:last], atol=1e-7)


def test_maps_are_kept_whole_in_the_order_of_the_model_while_they_fit() -> None:
    size = [4 * one.whole().size for one in taken("mask causal", Plan())[0]]
    budget = Budget(2 * (size[0] + size[1]))
    model = models.build(TEXTS["mask causal"], dtype=torch.float32)
    _, (maps,) = capture_forced(model, models.batch(0), pieces, plan=Plan(budget))
    kept = [one.weights is not None for one in maps]
    assert kept[:2] == [True, True]
    assert not all(kept)
    assert budget.used <= budget.size // 2


@pytest.mark.parametrize(("text", "size"), [("512MB", 512_000_000), ("1.5 gb", 1_500_000_000), ("64MiB", 2**26)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert bytes_of(text, "--budget") == size


@pytest.mark.parametrize(("text", "rule"), [
    ("512", "this is no size"), ("-1GB", "this is no size"), ("much", "this is no size"), ("1 XB", "this is no size"),
    ("nanGB", "this is no size"), ("0MB", f"this is less than {shown(LEAST)}"),
])  # fmt: skip
def test_a_senseless_size_is_refused_with_its_place_and_the_rule(text: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule) as caught:
        bytes_of(text, "--budget")
    assert str(caught.value).startswith(f"--budget {text}: ")


@pytest.mark.parametrize(("heads", "queries", "said"), [
    ("0,x", None, "--heads 0,x: 'x': no number of a head\nhelp: write numbers with commas between them, 0,3"),
    ("", None, "--heads : '': no number of a head"),
    ("a.0:1,b:2", None, "--heads a.0:1,b:2: 'a.0:1', 'b:2': no number of a head\n"),
    (None, "5", "--queries 5: this is no range"),
    (None, "5:5", "--queries 5:5: this range is empty"),
    (None, ":0", "--queries :0: this range is empty"),
])  # fmt: skip
def test_a_senseless_choice_is_refused(heads: str | None, queries: str | None, said: str) -> None:
    with pytest.raises(InputError, match=r"no number|no range|empty") as caught:
        choice_of(heads, queries)
    assert str(caught.value).startswith(said)


def test_heads_and_queries_that_do_not_exist_are_refused_where_the_model_is_known() -> None:
    with pytest.raises(InputError, match=r"--heads 4: encoder\.0.attention has heads 0 to 3"):
        taken("mask causal", Plan(choice=Choice(heads=(0, 4))))
    with pytest.raises(InputError, match=r"--queries 90:95: encoder\.0.attention has queries 0 to 4"):
        taken("mask causal", Plan(choice=Choice(queries=slice(90, 95))))


def test_chosen_rows_beyond_the_budget_are_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match=r"the rows chosen of encoder\.0\.attention take 400 B"):
        taken("mask causal", Plan(Tight(), choice=Choice()))
