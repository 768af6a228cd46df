"""The fluid queue against cases with a known answer, and against requests counted one by one."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_serving.autoscale.flow import Flow, Places
from jupyter_serving.autoscale.traces import Floats
from jupyter_serving.autoscale.waits import Waits

NOBODY: Places = np.zeros(0, dtype=np.int64)


def run(
    arrivals: Floats, step: float, execution: float, slots: Floats | float, limit: float = np.inf
) -> tuple[Flow, Floats, Floats]:
    """One queue; returns it with what ran and waited after each step."""
    flow = Flow(len(arrivals), step, np.array([execution]), np.array([limit]))
    there = np.broadcast_to(np.asarray(slots, dtype=float), len(arrivals))
    running, waiting = [], []
    for count, have in zip(arrivals, there, strict=True):
        flow.arrive(np.array([float(count)]), NOBODY)
        flow.advance(np.array([have]), np.array([have]), np.zeros(1))
        running.append(flow.in_flight[0])
        waiting.append(flow.waiting[0])
    return flow, np.array(running), np.array(waiting)


def one_by_one(times: list[float], execution: float, slots: int) -> list[float]:
    """Wait of each request: it begins when it has come and a slot is free."""
    free = [0.0] * slots
    waits = []
    for time in sorted(times):
        begin = max(time, heapq.heappop(free))
        heapq.heappush(free, begin + execution)
        waits.append(begin - time)
    return waits


@pytest.mark.parametrize("step", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("execution", [0.02, 0.5, 3.0])
def test_little(step: float, execution: float) -> None:
    """10 requests/s of x seconds keep 10 x slots busy, and none waits where there are more."""
    flow, running, waiting = run(np.full(round(60 / step), 10 * step), step, execution, 40.0)
    assert running[-1] == pytest.approx(10 * execution)
    assert waiting.max() == 0.0
    assert flow.waits.delayed()[0] == 0.0


@pytest.mark.parametrize("step", [0.1, 1.0, 5.0])
def test_backlog_of_an_overload(step: float) -> None:
    """4 slots of 0.5 s serve 8/s; 10/s for a minute leave 120, gone 15 s later; the mean wait is 7.5 s."""
    arrivals = np.concatenate([np.full(round(60 / step), 10 * step), np.zeros(round(40 / step))])
    flow, running, waiting = run(arrivals, step, 0.5, 4.0)
    assert waiting.max() == pytest.approx(120, rel=0.02)
    assert waiting[round(76 / step) :].max() == 0.0
    assert running[round(30 / step)] == pytest.approx(4.0)
    total = flow.started
    assert flow.waits.seconds[0] / total[0] == pytest.approx(7.5, rel=0.02)
    assert flow.waits.quantile(0.5, total)[0] == pytest.approx(7.5, rel=0.05)
    assert flow.waits.quantile(0.99, total)[0] == pytest.approx(14.85, rel=0.05)


def test_nothing_starts_without_a_slot_and_all_when_there_are_some() -> None:
    slots = np.concatenate([np.zeros(50), np.full(50, 100.0)])
    flow, _, waiting = run(np.full(100, 1.0), 0.1, 0.2, slots)
    assert waiting[49] == 50
    assert waiting[50:].max() == 0.0
    assert flow.waits.delayed()[0] == pytest.approx(50, abs=1.5)
    assert flow.waits.quantile(0.5, flow.waits.delayed())[0] == pytest.approx(2.5, rel=0.1)


def test_what_is_beyond_the_queue_is_refused() -> None:
    flow, _, waiting = run(np.full(20, 10.0), 1.0, 1.0, 0.0, limit=35.0)
    assert waiting[-1] == 35.0
    assert flow.refused[0] == 165.0
    assert flow.arrived[0] + flow.refused[0] == 200.0


def test_slots_that_go_finish_what_they_run() -> None:
    _, running, _ = run(np.full(40, 4.0), 1.0, 3.0, np.array([12.0] * 20 + [6.0] * 20))
    assert running[19] == pytest.approx(12.0)
    assert running[20] <= 12.0
    assert running[30:].max() == pytest.approx(6.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0.0, 6.0), min_size=1, max_size=50),
    st.sampled_from([0.07, 0.4, 1.3]),
    st.integers(1, 5),
)
def test_it_is_what_requests_do_one_by_one(
    times: list[float], execution: float, slots: int
) -> None:
    step = 0.05
    seconds = 8 + len(times) * execution / slots
    counts = np.bincount((np.array(times) / step).astype(int), minlength=round(seconds / step))
    flow, _, waiting = run(counts.astype(float), step, execution, float(slots))
    true = one_by_one(times, execution, slots)
    assert waiting[-1] == 0.0
    assert flow.started[0] == len(times)
    # A fluid begins part of a request where one has to wait for a whole slot.
    slack = 2 * step + execution / slots
    assert flow.waits.seconds[0] / len(times) == pytest.approx(np.mean(true), abs=slack)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.lists(st.integers(0, 8), min_size=60, max_size=60),
    st.sampled_from([0.01, 0.3, 2.5]),
    st.sampled_from([5.0, np.inf]),
)
def test_requests_are_conserved(
    counts: list[int], slots: list[int], execution: float, limit: float
) -> None:
    flow = Flow(len(counts), 1.0, np.array([execution]), np.array([limit]))
    before = 0.0
    for count, have in zip(counts, slots, strict=False):
        flow.arrive(np.array([float(count)]), NOBODY)
        flow.advance(np.array([float(have)]), np.array([float(have)]), np.zeros(1))
        assert before <= flow.started[0] <= flow.arrived[0] + 1e-9
        assert flow.waiting[0] <= limit + 1e-9
        before = flow.started[0]
    told = flow.started[0] + flow.waiting[0] + flow.refused[0]
    assert told == pytest.approx(sum(counts))
    assert 0.0 <= flow.in_flight[0] <= flow.started[0] + 1e-9


def test_quantiles_of_waits() -> None:
    waits = Waits(2)
    waits.add(np.array([1]), np.array([100.0]), np.arange(1, 101, dtype=float)[None, :])
    requests = np.array([7.0, 100.0])
    assert waits.quantile(0.95, requests)[0] == 0.0
    assert waits.quantile(0.95, requests)[1] == pytest.approx(95, rel=0.03)
    # As many again that did not wait.
    assert waits.quantile(0.95, requests * 2)[1] == pytest.approx(90, rel=0.03)
    assert waits.quantile(0.49, requests * 2)[1] == 0.0
