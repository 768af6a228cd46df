"""The idle time from gaps: the curve by hand, the price that it is chosen by, readable sentences."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.autoscale.idling import WORTH, best_idle, choice, gaps

DAY = 8640  # steps of 10 s


def record(every: int, steps: int = DAY) -> list[float | None]:
    """A request each ``every`` steps of 10 s."""
    return [1.0 if place % every == 0 else None for place in range(steps)]


def test_gaps() -> None:
    assert gaps(10.0, [None, 2, 1, 0, 0, 5, None]) == ([10.0, 30.0], 20.0)
    assert gaps(10.0, [0, None]) == ([], 0.0)


def test_a_choice_is_counted_by_hand() -> None:
    """Gaps of 100 and 500 s and a rest of 50 s, idle time 200 s: up 350 s and two starts of 2 s, 1 GB."""
    told = choice([100.0, 500.0], 50.0, 86400.0, 200.0, 2.0, 1e9)
    assert told.cold_starts_a_day == 2
    assert told.gb_hours_a_day == pytest.approx((100 + 200 + 50 + 2 * 2) / 3600)
    never = choice([100.0, 500.0], 50.0, 86400.0, math.inf, 2.0, 1e9)
    assert (never.cold_starts_a_day, never.to_wire()["idle_seconds"]) == (1, None)


@given(st.lists(st.floats(1, 50_000), min_size=1, max_size=50))
def test_longer_idle_times_trade_memory_for_starts(between: list[float]) -> None:
    curve = [choice(between, 10.0, 86400.0, t, 1.0, 1e9) for t in (30.0, 300.0, 3600.0, math.inf)]
    starts = [c.cold_starts_a_day for c in curve]
    memory = [c.gb_hours_a_day for c in curve]
    assert starts == sorted(starts, reverse=True)
    # A cold start holds memory too, but never longer than the idle time that avoids it here.
    assert memory == sorted(memory)


def test_rare_requests_are_not_waited_for() -> None:
    told = best_idle(10.0, record(360), 1800.0, 0.5, 250e6)
    assert told is not None
    assert told.best.idle_seconds == 30.0
    assert told.now.idle_seconds == 1800.0
    assert told.text == (
        "Idle time 30 s instead of 30 min: 24 instead of 24 cold starts a day (of 500 ms each), 0.0508 instead of 3 "
        "GB-hours a day."
    )


def test_requests_a_little_further_apart_than_the_idle_time_make_it_longer() -> None:
    told = best_idle(10.0, record(36), 300.0, 20.0, 250e6)
    assert told is not None
    assert told.best.idle_seconds == 600.0
    assert told.best.cold_starts_a_day == 1
    assert told.now.cold_starts_a_day == 240


def test_the_best_has_the_least_price_of_the_curve() -> None:
    told = best_idle(10.0, record(100), 60.0, 3.0, 2e9)
    assert told is not None
    prices = [c.gb_hours_a_day + WORTH * 3.0 * c.cold_starts_a_day for c in told.curve]
    best = told.best.gb_hours_a_day + WORTH * 3.0 * told.best.cold_starts_a_day
    assert best <= min(prices) * 1.05
    assert math.isinf(told.curve[-1].idle_seconds)


def test_what_fits_is_left_alone() -> None:
    told = best_idle(10.0, record(2), 120.0, 1.0, 250e6)
    assert told is not None
    assert told.best == told.now
    assert told.text.startswith("Idle time 2 min fits")


def test_one_request_has_no_gap() -> None:
    assert best_idle(10.0, [1.0, 0.0], 60.0, 1.0, 1e9) is None
