from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.gateway.gaps import Gaps


def test_a_gap_runs_from_answer_to_answer_while_requests_are_there() -> None:
    gaps = Gaps()
    gaps.begun("e", 0.0)
    gaps.begun("e", 0.5)
    gaps.ended("e", 200, 1.0)
    gaps.ended("e", 400, 4.0)  # an answer, too
    gaps.begun("e", 100.0)  # nobody waited meanwhile
    gaps.ended("e", 200, 101.0)
    assert gaps.take(200.0) == {"e": 3.0}
    assert gaps.take(201.0) == {}


@pytest.mark.parametrize("status", [429, 499, 500, 503])
def test_a_failure_is_no_answer(status: int) -> None:
    gaps = Gaps()
    for moment in (0.0, 1.0, 2.0):
        gaps.begun("e", moment)
    gaps.ended("e", status, 3.0)
    gaps.ended("e", status, 4.0)
    gaps.ended("e", 200, 5.0)
    assert gaps.take(5.0) == {"e": 5.0}


def test_a_gap_that_is_not_over_is_told_and_goes_on() -> None:
    gaps = Gaps()
    gaps.begun("e", 0.0)
    gaps.begun("other", 1.5)
    assert gaps.take(2.0) == {"e": 2.0, "other": 0.5}
    assert gaps.take(3.0) == {"e": 3.0, "other": 1.5}
    gaps.ended("e", 200, 3.5)
    assert gaps.take(4.0) == {"e": 3.5, "other": 2.5}


@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=30), st.integers(1, 30))
def test_reports_in_between_lose_no_gap(pauses: list[float], every: int) -> None:
    """One request after the other: whatever is reported when, the longest of all is the longest request."""
    gaps, now, told = Gaps(), 0.0, [0.0]
    for n, pause in enumerate(pauses):
        gaps.begun("e", now)
        now += pause
        gaps.ended("e", 200, now)
        if n % every == 0:
            told += gaps.take(now).values()
    told += gaps.take(now).values()
    assert max(told) == pytest.approx(max(pauses), abs=1e-5)
