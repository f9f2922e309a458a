"""The certificate says no where a map is not what the kernel did, whichever part of the record is wrong."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from attncli.maps.check import Measures, certificate, check, take
from attncli.maps.rebuilding import rebuilt, tolerance
from attncli.maps.record import Certificate
from attncli.nn.normalizers import Softmax, Sum
from attncli.nn.positions import Relative
from attncli.nn.records import Held, Pairs, Record
from attncli.nn.scores import Product
from attncli.streams import stream
from tests.nn import models

B, H, Q, K, E = 2, 3, 4, 5, 6
PLAIN = SimpleNamespace(joins_queries=False, difference=None, sink=None)


def joining(visible: torch.Tensor | None) -> Held:
    return Held(Pairs(visible, None, None, None), K)


def attention_of(**parts: Any) -> SimpleNamespace:
    return SimpleNamespace(mixture=mixture, weighing=PLAIN, position=Relative(), span=None, **parts)


def mixture(one: Record, weights: torch.Tensor) -> torch.Tensor:
    return weights @ one.value.to(weights)


def record(*, sharp: float = 1.0, visible: torch.Tensor | None = None, **changed: Any) -> Record:
    """What a fused kernel would tell, computed here in plain steps."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(B, H, n, E) for n in (Q, K, K))
    logits = query @ key.transpose(2, 3) * sharp
    if visible is not None:
        logits = logits.masked_fill(~visible, -torch.inf)
    lse = logits.logsumexp(-1)
    output = (logits.softmax(-1).nan_to_num(0.0)) @ value
    attention = attention_of(score=Product(scale=sharp), normalizer=Softmax())
    parts: dict[str, Any] = {
        "address": "a", "attention": attention, "query": query, "key": key, "value": value,
        "joining": joining(visible), "lse": lse, "weights": None, "output": output,
        "query_positions": torch.arange(Q)[None], "key_positions": torch.arange(K)[None],
        "query_real": None, "key_real": None, "kernel": "fused",
    }  # fmt: skip
    changes = {name: change(parts[name]) if callable(change) else change for name, change in changed.items()}
    return Record(**parts | changes)


def certify(one: Record) -> Certificate:
    taken = take(one)
    parts = Measures(*(part[0] for part in taken.measures))
    return certificate(
        parts, row_tolerance=float(taken.row_tolerance[0]), output_tolerance=float(taken.output_tolerance[0]),
        not_finite=int((~taken.weights.isfinite()).sum()), rows=tuple("abcd"), by_design=taken.by_design,
    )  # fmt: skip


def test_an_honest_record_holds_and_its_row_sums_are_measured() -> None:
    found = certify(record())
    assert found.holds
    assert 0 < found.row_sum_error < 1e-5
    assert 0 < found.output_error < found.output_tolerance


def test_a_wrong_log_sum_exp_is_seen_in_the_row_sums() -> None:
    found = certify(record(lse=lambda lse: lse + 0.01))
    assert found.row_sum_error == pytest.approx(0.01, rel=0.1)
    assert any(fault.startswith("max|rows - 1| is 1.0e-02, above 1.0e-05") for fault in found.faults())


def test_a_wrong_output_is_seen_and_the_worst_row_is_named() -> None:
    def spoil(output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[0, 1, 2, 3] += 0.5
        return output

    found = certify(record(output=spoil))
    assert found.output_error == pytest.approx(0.5, rel=1e-3)
    assert found.worst == "head 1, query 2 'c'"
    assert next(found.faults()).startswith("max|map V - output| is 5.0e-01, above ")


@pytest.mark.parametrize("part", ["query", "key", "value"])
def test_a_wrong_tensor_is_seen(part: str) -> None:
    assert not certify(record(**{part: lambda x: x + 0.1 * torch.randn_like(x)})).holds


def test_a_kernel_that_looked_where_the_mask_forbids_is_seen() -> None:
    visible = torch.ones(1, 1, Q, K, dtype=torch.bool).tril()
    told = record()._replace(joining=joining(visible))
    assert certify(record(visible=visible)).holds
    assert certify(told).row_sum_error > 0.1


def test_weights_that_the_kernel_hands_over_are_checked_against_the_mask() -> None:
    visible = torch.ones(1, 1, Q, K, dtype=torch.bool).tril()
    weights = rebuilt(record()).weights.float()
    found = certify(record(visible=visible)._replace(weights=weights, lse=None))
    assert found.forbidden_weight > 0.01
    assert any("where the mask lets nothing through" in fault for fault in found.faults())


def test_weights_that_are_no_number_are_counted() -> None:
    weights = rebuilt(record()).weights.float()
    weights[0, 2, 1, 0] = torch.nan
    found = certify(record(weights=weights))
    assert found.not_finite == 1
    assert "1 weights are no finite number" in list(found.faults())
    assert found.worst.startswith("head 2, query 1")


def test_a_row_that_sees_no_key_is_empty_and_no_fault() -> None:
    visible = torch.ones(1, 1, Q, K, dtype=torch.bool).tril(-1)
    found = certify(record(visible=visible))
    assert found.holds
    assert found.empty_rows == H


def test_a_row_of_zeros_is_a_fault_of_softmax_and_none_of_a_sum() -> None:
    weights, output = rebuilt(record()).weights.float(), record().output.clone()
    weights[:, :, 0], output[:, :, 0] = 0, 0
    assert certify(record(weights=weights, output=output)).row_sum_error == 1
    attention = attention_of(score=Product(scale=1.0), normalizer=Sum(activation="relu"))
    found = certify(record(weights=weights, output=output, attention=attention))
    assert found.holds
    assert found.empty_rows == H


def sigmoid_record() -> Record:
    """An attention of a model, whose rows sum to no fixed number."""
    model, seen = models.build(models.transformer(normalizer="sigmoid"), dtype=torch.float32), []
    model({"source": stream([[5, 6, 3]], pad=0), "target": stream([[2, 7, 8, 9]], pad=0)}, seen.append)
    return next(one for one in seen if one.address == "decoder.1.attention")


def test_mass_that_is_missing_by_design_is_stated_and_the_sums_are_still_held() -> None:
    one = sigmoid_record()
    taken = take(one)
    assert taken.by_design == "its normalizer weighs each key alone"
    sums = one.weights.sum(-1)
    found = certify(one)
    assert found.holds
    assert (found.least_row_sum, found.most_row_sum) == pytest.approx((sums.min().item(), sums.max().item()))
    span = f"{sums.min().item():.3g} to {sums.max().item():.3g}"
    assert found.missing == f"rows sum to {span} by design: its normalizer weighs each key alone"
    spoilt = take(one._replace(weights=one.weights * 1.01))
    assert spoilt.measures.row_error.max() > 1e-4


def test_rows_that_must_sum_to_one_have_no_mass_missing() -> None:
    found = certify(record())
    assert (found.least_row_sum, found.most_row_sum) == pytest.approx((1, 1), abs=1e-5)
    assert found.missing == ""


def test_padding_keys_have_no_weight_whatever_the_mask_says() -> None:
    real = torch.tensor([[True] * 4 + [False]] * B)
    found = certify(record(key_real=real))
    assert found.forbidden_weight > 0


@pytest.mark.parametrize("sharp", [100.0, 1e4, 1e6])
def test_large_scores_are_bounded_by_their_own_last_place_and_rows_still_sum_to_one(sharp: float) -> None:
    taken = take(record(sharp=sharp))
    assert (taken.weights.sum(-1) - 1).abs().max() < 1e-5
    assert (taken.measures.row_error.amax((1, 2)) <= taken.row_tolerance).all()
    assert (taken.measures.output_error.amax((1, 2)) <= taken.output_tolerance).all()
    assert (taken.row_tolerance > 1e-5).all()


@pytest.mark.parametrize(("dtype", "size", "expected"), [
    (torch.float32, 3.0, 3e-5),
    (torch.bfloat16, 3.0, 2 * 2.0**-7 * 2),
    (torch.float16, 0.75, 2 * 2.0**-10 / 2),
    (torch.float16, 0.0, 0.0),
])  # fmt: skip
def test_tolerances_are_relative_and_two_units_in_the_last_place_of_half_types(
    dtype: torch.dtype, size: float, expected: float
) -> None:
    assert tolerance(dtype, size) == pytest.approx(expected)


def test_a_bias_is_part_of_the_score() -> None:
    model = models.build(models.transformer(position="alibi"), dtype=torch.float32)
    seen: list[Record] = []
    model({"source": stream([[5, 6, 3]], pad=0), "target": stream([[2, 7]], pad=0)}, seen.append)
    biased = next(one for one in seen if one.bias is not None)
    assert certify(biased).holds
    assert not certify(biased._replace(joining=joining(None))).holds


class Window:
    """A Joining in which each query reaches its own key and one before."""

    def reach(self, rows: slice) -> slice:
        return slice(max(0, rows.start - 1), rows.stop)

    def pairs(self, rows: slice, keys: slice) -> Pairs:
        q, k = torch.arange(60)[rows].view(-1, 1), torch.arange(60)[keys]
        seen = (q - k >= 0) & (q - k <= 1)
        return Pairs(seen[None, None], None, None, None)


def test_rows_that_see_few_keys_are_checked_many_at_a_time() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 60, E) for _ in range(3))
    every = slice(None)
    logits = (query @ key.mT).masked_fill(~Window().pairs(every, every).visible, -torch.inf)
    one = record()._replace(
        query=query, key=key, value=value, joining=Window(), lse=logits.logsumexp(-1),
        output=logits.softmax(-1) @ value, query_positions=torch.arange(60)[None],
        key_positions=torch.arange(60)[None],
    )  # fmt: skip
    parts = list(check(one, block=2 * 60 * 5, logs=True))
    rows = [part.weights.shape[2] for part in parts]
    assert [part.first for part in parts] == [sum(rows[:place]) for place in range(len(rows))]
    assert sum(rows) == 60
    assert max(rows) > 10  # with all keys there would be room for 5
    for part in parts:
        shown = logits.softmax(-1)[:, :, part.first :][:, :, : part.weights.shape[2], part.start :]
        torch.testing.assert_close(part.weights, shown[..., : part.weights.shape[3]])
        assert part.logs is not None
        torch.testing.assert_close(torch.where(part.weights > 0, part.logs, 0.0).exp()[part.weights > 0],
                                   part.weights[part.weights > 0])  # fmt: skip
        assert float(part.measures.output_error.max()) < 1e-5
        assert part.weights.numel() <= 2 * 60 * 5
