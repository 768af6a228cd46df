from __future__ import annotations

import pytest

from jupyter_serving.runtime.crashes import LONGEST_DELAY, WINDOW, Crashes


def deaths(*times: float) -> Crashes:
    crashes = Crashes()
    for time in times:
        crashes.died(time)
    return crashes


@pytest.mark.parametrize(
    ("times", "now", "looping"),
    [
        ((0, 1), 2, False),
        ((0, 1, 2), 2, True),
        ((0, 1, 2), 2 + WINDOW, False),
        ((0, 5, 10.1), 10.2, False),
        ((0, 5, 9.9), 10.2, True),
    ],
)
def test_three_deaths_within_the_window_are_a_loop(
    times: tuple[float, ...], now: float, looping: bool
):
    assert deaths(*times).looping(now) is looping


def test_a_success_ends_the_loop():
    crashes = deaths(0, 1, 2)
    crashes.succeeded()
    assert not crashes
    assert not crashes.looping(2)
    assert crashes.delay() == 0


def test_delays_grow_from_the_third_death_to_a_limit():
    crashes, delays = Crashes(), []
    for _ in range(15):
        crashes.died(0)
        delays.append(crashes.delay())
    assert delays[:2] == [0, 0]
    assert delays == sorted(delays)
    assert delays[2] > 0
    assert delays[-1] == LONGEST_DELAY
