"""Sliding windows on floats, beside their definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.autoscale.windows import SLICES, Mean, Peak

# (seconds since the one before, load)
REPORTS = st.lists(st.tuples(st.floats(0.2, 5.0), st.floats(0, 100)), min_size=1, max_size=80)


def integral(spans: list[tuple[float, float, float]], start: float, end: float) -> float:
    """Area below a load given as (from, to, load)."""
    return sum(load * max(0.0, min(end, until) - max(start, since)) for since, until, load in spans)


@given(REPORTS, st.sampled_from([6.0, 60.0]))
def test_a_mean_is_that_of_its_window_up_to_one_slice(
    reports: list[tuple[float, float]], window: float
) -> None:
    mean, now = Mean(window, began=100.0), 100.0
    spans = []
    for seconds, load in reports:
        spans.append((now, now + seconds, load))
        now += seconds
        mean.add(now, load, seconds)
    true = integral(spans, now - window, now) / min(window, max(now - 100.0, 1.0))
    slack = max(load for _, load in reports) / SLICES + 1e-6
    assert mean.value(now) == pytest.approx(true, abs=slack)


def test_time_that_nothing_was_told_of_is_no_load() -> None:
    mean = Mean(60.0, began=0.0)
    mean.add(100.0, 6.0, 1.0)
    assert mean.value(100.0) == pytest.approx(0.1)
    mean.add(160.5, 6.0, 1.0)
    assert mean.value(160.5) == pytest.approx(0.1)
    assert mean.value(221.0) == 0.0
    assert mean.over() == -math.inf


def test_what_has_not_been_told_yet_counts_as_the_present_load() -> None:
    mean = Mean(6.0, began=0.0)
    for second in range(1, 11):
        mean.add(float(second), 4.0, 1.0)
    assert mean.value(10.9) == pytest.approx(4.0 * 5.1 / 6)
    assert mean.value(10.9, present=4.0) == pytest.approx(4.0)
    assert mean.value(10.9, present=10.0) == pytest.approx(4.0 + 0.9)


def test_a_longer_window_is_not_diluted_by_what_was_never_kept() -> None:
    mean = Mean(6.0, began=0.0)
    for second in range(1, 21):
        mean.add(float(second), 4.0, 1.0)
    mean.resize(60.0, 20.0)
    assert mean.value(20.0) == pytest.approx(4.0)
    mean.resize(6.0, 20.0)
    assert mean.value(20.0) == pytest.approx(4.0)


def test_a_young_history_is_averaged_over_its_own_time() -> None:
    mean = Mean(60.0, began=0.0)
    mean.add(2.0, 4.0, 2.0)
    assert mean.value(2.0) == pytest.approx(4.0)
    # What was before it began is not counted.
    assert young(4.0).value(0.25) == pytest.approx(1.0)


def young(load: float) -> Mean:
    mean = Mean(60.0, began=0.0)
    mean.add(0.25, load, 1.0)
    return mean


def test_reports_that_came_late_together_count_in_full() -> None:
    mean = Mean(6.0, began=0.0)
    for _ in range(3):
        mean.add(10.0, 4.0, 1.0)
    assert mean.value(10.0) == pytest.approx(12.0 / 6.0)


def test_a_long_window_keeps_few_slices() -> None:
    mean = Mean(3600.0, began=0.0)
    for second in range(1, 7200):
        mean.add(float(second), 1.0, 1.0)
    assert mean.value(7199.0) == pytest.approx(1.0, abs=0.02)
    assert len(mean._slices) <= SLICES + 2


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 9)), min_size=1, max_size=60),
    st.floats(1, 200),
)
def test_a_peak_is_the_largest_value_of_its_window(
    steps: list[tuple[float, int]], window: float
) -> None:
    peak, now, known = Peak(window), 0.0, []
    for gap, value in steps:
        now += gap
        peak.add(now, value)
        known.append((now, value))
        assert peak.value(now) == max(v for t, v in known if t >= now - window)
    assert peak.value(now + window + 1) == 0.0
    assert peak.falls() == math.inf
