"""A model that no one inspects does what one that knows of no taps does, operation by operation."""

import pytest
import torch

from benchmarks import tap


@pytest.fixture(autouse=True)
def gradients():
    before = torch.is_grad_enabled()
    yield
    torch.set_grad_enabled(before)


@pytest.mark.parametrize("kind", tap.KINDS)
def test_without_a_tap_the_same_operations_run_as_without_its_code(kind: str) -> None:
    alike, operations, taken = tap.same(kind)
    assert alike
    assert operations > 50
    assert taken >= 1


def test_a_tap_would_be_seen() -> None:
    model, batch = tap.subject("fused")
    plain = tap.operations(model, batch)
    with tap.Operations() as mode:
        model(batch, lambda record: record.output.sum())
    assert mode.seen != plain


def test_no_line_that_knows_of_taps_is_left() -> None:
    model, _ = tap.subject("fused")
    attention = next(iter(model.attentions().values()))
    assert "tap" in type(attention)._fused.__code__.co_names
    assert tap.untapped(model) > 5
    assert "tap" not in type(attention)._fused.__code__.co_names


def test_the_interval_of_a_median_holds_it() -> None:
    low, high = tap.interval([float(n) for n in range(101)])
    assert (low, high) == (40.0, 61.0)
