"""Sliding means and maxima against the same by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.autoscale.horizons import Means, Peaks

VALUES = st.lists(st.floats(0, 100), min_size=1, max_size=60)


@given(VALUES, st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_peaks_are_the_largest_of_the_last_values(values: list[float], windows: list[int]) -> None:
    peaks = Peaks(np.array(windows))
    assert peaks.value().tolist() == [0.0] * len(windows)
    for place, value in enumerate(values):
        peaks.add(np.full(len(windows), value))
        for column, window in enumerate(windows):
            assert peaks.value()[column] == max(values[max(0, place + 1 - window) : place + 1])


@given(VALUES, st.integers(1, 15), st.sampled_from([0.5, 1.0, 5.0]))
def test_means_are_those_of_the_last_steps(values: list[float], window: int, step: float) -> None:
    means = Means(2, step, window * step)
    for place, value in enumerate(values):
        means.add(np.array([value, 2 * value]) * step)
        known = values[max(0, place + 1 - window) : place + 1]
        found = means.over(np.full(2, window * step))
        # Before a second has passed the mean is over that second.
        share = min(1.0, len(known) * step)
        assert found[0] == pytest.approx(np.mean(known) * share, abs=1e-6)
        assert found[1] == pytest.approx(2 * np.mean(known) * share, abs=1e-6)


def test_a_window_between_two_steps_is_interpolated() -> None:
    means = Means(1, 5.0, 6.0)
    for value in (10.0, 20.0):
        means.add(np.array([value * 5.0]))
    assert means.over(np.array([6.0]))[0] == pytest.approx((20 * 5 + 10 * 1) / 6)
