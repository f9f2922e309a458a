"""Learning rates against their closed forms."""

import math
from itertools import pairwise

import pytest

from attncli.spec import training as spec
from attncli.spec.base import Time
from attncli.training.schedules import Pace, factor

STEPS = Pace(Time(100, "steps"), per_epoch=7)
EPOCHS = Pace(Time(3, "epochs"), per_epoch=7)
MINUTES = Pace(Time(10, "minutes"), per_epoch=7)
TEN = Time(10, "steps")


def rates(schedule: spec.Schedule, pace: Pace = STEPS) -> list[float]:
    return [factor(schedule, pace, float(step)) for step in range(1, int(pace.end) + 1)]


@pytest.mark.parametrize(
    "schedule", [spec.Cosine(warmup=TEN), spec.LinearDecay(warmup=TEN), spec.InverseSqrt(warmup=TEN)]
)
def test_warmup_is_a_line_that_reaches_the_peak_and_leaves_no_step_idle(schedule):
    found = rates(schedule)
    assert found[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert max(found) == 1.0
    assert min(found) > 0


def test_cosine_is_half_a_cosine_from_peak_to_floor():
    found = rates(spec.Cosine(warmup=TEN, floor=0.2))
    for step in range(11, 101):
        assert found[step - 1] == pytest.approx(0.2 + 0.8 * math.cos(math.pi / 2 * (step - 10) / 91) ** 2)
    assert factor(spec.Cosine(warmup=TEN, floor=0.2), STEPS, 101.0) == pytest.approx(0.2)


def test_linear_falls_by_equal_parts():
    found = rates(spec.LinearDecay(warmup=TEN, floor=0.5))
    falls = {round(one - other, 12) for one, other in pairwise(found[10:])}
    assert falls == {round(0.5 / 91, 12)}
    assert factor(spec.LinearDecay(warmup=TEN, floor=0.5), STEPS, 101.0) == pytest.approx(0.5)


def test_inverse_sqrt_is_nooms_formula_divided_by_its_peak():
    def noam(step: int) -> float:
        return min(step**-0.5, step * 10**-1.5)

    assert rates(spec.InverseSqrt(warmup=TEN)) == pytest.approx([noam(step) / noam(10) for step in range(1, 101)])


def test_constant_stays_and_may_warm_up():
    assert rates(spec.Constant()) == [1.0] * 100
    assert rates(spec.Constant(warmup=Time(2, "steps")))[:3] == [0.5, 1.0, 1.0]


def test_steps_halve_the_rate_after_each_epoch_from_the_start_on():
    schedule = spec.StepDecay(start=Time(20, "percent"), every=Time(10, "steps"), factor=0.5)
    found = rates(schedule)
    assert found == [1.0] * 20 + [2.0 ** -(1 + step // 10) for step in range(80)]
    epochs = spec.StepDecay(start=Time(1, "epochs"), every=Time(1, "epochs"), factor=0.1)
    assert [factor(epochs, EPOCHS, at) for at in (7.0, 8.0, 14.0, 15.0)] == pytest.approx([1, 0.1, 0.1, 0.01])


def test_one_cycle_starts_low_peaks_once_and_ends_near_zero():
    found = rates(spec.OneCycle(rise=0.3, start=0.04))
    assert found[0] == pytest.approx(0.04)
    assert found[30] == pytest.approx(1.0)
    assert found == [*sorted(found[:31]), *sorted(found[31:], reverse=True)]
    assert 0 < found[-1] < 0.001


def test_percent_and_epochs_are_counted_in_steps():
    assert EPOCHS.end == 21
    assert STEPS.span(Time(5, "percent")) == 5
    assert STEPS.span(Time(0.5, "percent")) == 1
    assert EPOCHS.span(Time(1, "epochs")) == 7


def test_minutes_follow_the_share_of_the_time():
    assert MINUTES.at(step=1000, elapsed=150.0) == 2.5
    assert MINUTES.share(step=1000, elapsed=150.0) == 0.25
    assert MINUTES.span(Time(5, "percent")) == 0.5
    schedule = spec.Cosine(warmup=Time(2, "minutes"))
    assert factor(schedule, MINUTES, 1.0) == 0.5
    assert factor(schedule, MINUTES, 6.0) == pytest.approx(0.5)
    assert factor(schedule, MINUTES, 10.0) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("pace", "every", "stretches"),
    [
        (STEPS, Time(30, "steps"), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]),
        (STEPS, Time(25, "percent"), [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]),
        (EPOCHS, Time(2, "epochs"), [0, 0, 1, 2, 2, 3, 4, 5, 5, 6]),
    ],
)
def test_stretches_that_have_passed(pace, every, stretches):
    assert [pace.passed(every, step, 0.0) for step in range(1, 101, 10)] == stretches


def test_shares_of_a_timed_run_pass_by_the_clock():
    assert [MINUTES.passed(Time(10, "percent"), 5, seconds) for seconds in (0.0, 59.0, 60.0, 130.0)] == [0, 0, 1, 2]
