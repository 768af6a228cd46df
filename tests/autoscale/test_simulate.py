"""Simulated endpoints: cases with a known answer, conservation, and one by one as together."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_serving.autoscale import policy
from jupyter_serving.autoscale import simulate as module
from jupyter_serving.autoscale.fleet import Fleet
from jupyter_serving.autoscale.rules import Rules
from jupyter_serving.autoscale.simulate import Outcome, Profile, Setting, simulate
from jupyter_serving.autoscale.synthetic import synthetic
from jupyter_serving.autoscale.traces import Trace

GB = 1e9
STEPS = (0.5, 5.0)


def constant(rate: float, step: float, execution: float = 0.5, seconds: float = 900.0) -> Trace:
    counts = np.full((1, round(seconds / step)), rate * step, dtype=np.float32)
    return Trace(0.0, step, counts, np.array([execution]))


def test_it_runs_the_controllers_own_policy() -> None:
    assert module.decide is policy.decide


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("cold", [0.3, 2.0, 12.0])
def test_the_first_request_waits_for_one_cold_start(step: float, cold: float) -> None:
    trace = Trace.of_times([42.0], step, 0.1, seconds=600.0)
    profile = Profile(cold_start_seconds=cold, replica_bytes=GB)
    told = simulate(trace, profile, Setting(idle_limit=60.0))
    assert told.waiting_mean[0] == pytest.approx(cold, rel=1e-6)
    assert told.waiting_p50[0] == told.waiting_p99[0] == pytest.approx(cold, rel=0.03)
    assert (told.cold_starts[0], told.met_cold_start[0], told.requests[0]) == (1, 1, 1)
    assert told.replicas.max() == 1
    assert told.replicas[0, -1] == 0
    # Up from the decision until the idle time is over, which begins when the request has ended.
    assert told.gb_hours[0] * 3600 == pytest.approx(cold + 60, abs=2 * step + 2)


@pytest.mark.parametrize("step", STEPS)
def test_constant_load_settles_where_the_target_says(step: float) -> None:
    """10/s x 0.5 s = 5 busy slots; ceil(5 / (4 x 0.7)) = 2 replicas, busy by 5/8."""
    setting = Setting(min_replicas=0, max_replicas=20, scale_down_window=60.0)
    told = simulate(constant(10.0, step), Profile(), setting)
    settled = told.replicas[0, round(300 / step) :]
    assert (settled == 2).all()
    again = simulate(constant(10.0, step), Profile(), setting, ready=2.0)
    assert (again.replicas == 2).all()
    assert again.busy_share[0] == pytest.approx(5 / 8, rel=0.01)
    assert (again.cold_starts[0], again.starts[0], again.waiting_p99[0]) == (0, 0, 0)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("idle", "cold_starts"), [(50.0, 4), (150.0, 3), (350.0, 2), (math.inf, 1)]
)
def test_gaps_beyond_the_idle_time_are_cold_starts(
    step: float, idle: float, cold_starts: int
) -> None:
    trace = Trace.of_times([10, 110, 310, 710], step, 0.05, seconds=1500.0)
    told = simulate(trace, Profile(cold_start_seconds=0.5), Setting(idle_limit=idle))
    assert told.cold_starts[0] == told.met_cold_start[0] == cold_starts
    assert told.waiting_mean[0] == pytest.approx(0.5 * cold_starts / 4)


def test_a_burst_waits_as_the_queue_says() -> None:
    """100 at once, one replica of 4 slots, 0.5 s each, 1 s to start: number n waits 1 + 0.5 floor(n / 4)."""
    trace = Trace.of_times([0.01] * 100, 0.1, 0.5, seconds=60.0)
    told = simulate(trace, Profile(), Setting(max_replicas=1))
    true = 1.0 + 0.5 * (np.arange(100) // 4)
    assert told.waiting_mean[0] == pytest.approx(true.mean(), rel=0.02)
    assert told.waiting_p50[0] == pytest.approx(np.quantile(true, 0.5), rel=0.04)
    assert told.waiting_p95[0] == pytest.approx(np.quantile(true, 0.95), rel=0.04)


def test_held_requests_get_replicas_by_their_number() -> None:
    trace = Trace.of_times([0.01] * 40, 0.1, 5.0, seconds=30.0)
    told = simulate(
        trace, Profile(cold_start_seconds=3.0), Setting(max_replicas=20, max_up_rate=1000)
    )
    assert told.replicas[0].max() >= 10
    assert told.waiting_p99[0] < 3.0 + 1.5


def test_a_full_queue_refuses() -> None:
    trace = Trace.of_times([0.01] * 100, 0.1, 1.0, seconds=300.0)
    told = simulate(trace, Profile(queue_limit=30.0), Setting(max_replicas=1))
    assert told.requests[0] == 30
    assert told.refused[0] == 70


SETTINGS = st.builds(
    Setting,
    min_replicas=st.integers(0, 2),
    max_replicas=st.integers(2, 6),
    target=st.sampled_from([0.5, 0.7, 1.0]),
    idle_limit=st.sampled_from([20.0, 90.0, math.inf]),
    stable_window=st.sampled_from([10.0, 60.0]),
    scale_down_window=st.sampled_from([0.0, 30.0, 300.0]),
)
COUNTS = st.lists(
    st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 200)), min_size=20, max_size=120
)


@settings(max_examples=25, deadline=None)
@given(COUNTS, st.lists(SETTINGS, min_size=2, max_size=4), st.sampled_from([1.0, 5.0]))
def test_together_is_as_one_by_one(counts: list[int], tried: list[Setting], step: float) -> None:
    trace = Trace(0.0, step, np.array([counts], dtype=np.float32), np.array([0.2]))
    joined = Setting.joined(tried)
    together = simulate(trace.repeated(len(tried)), Profile(cold_start_seconds=3.0), joined)
    for place, setting in enumerate(tried):
        alone = simulate(trace, Profile(cold_start_seconds=3.0), setting)
        for field in fields(Outcome):
            if field.name != "step":
                one, all_of = getattr(alone, field.name)[0], getattr(together, field.name)[place]
                assert np.allclose(one, all_of), field.name
        assert (alone.replicas <= setting.max_replicas).all()
        assert (alone.replicas >= setting.min_replicas).all()
        assert alone.requests[0] + alone.refused[0] == pytest.approx(sum(counts))
        assert 0.0 <= alone.busy_share[0] <= 1.0 + 1e-6
        assert alone.waiting_p50[0] <= alone.waiting_p95[0] <= alone.waiting_p99[0]


def test_a_fleet_in_an_hour_of_bursts() -> None:
    trace = synthetic("mixed", 20_000.0, endpoints=100, seconds=3600.0, step=5.0, seed=4)
    told = simulate(trace, Profile(), Setting(max_replicas=np.full(100, 500.0), idle_limit=300.0))
    assert (told.requests + told.refused).sum() == pytest.approx(trace.requests)
    assert told.cold_starts.min() >= 0
    assert told.days == pytest.approx(1 / 24)
    assert (told.busy_share <= 1.0 + 1e-6).all()


def test_rules_of_an_entity_become_a_setting() -> None:
    rules = Rules(stable_window_seconds=30.0, panic_window_seconds=3.0, target_utilisation=0.5)
    setting = Setting.of(rules, 1.0, 4.0, math.inf)
    assert (setting.stable_window, setting.panic_window, setting.target) == (30.0, 3.0, 0.5)
    # Without any rule both have the same defaults.
    assert Setting.of(Rules(), 0.0, 1.0, 1800.0) == Setting()
    assert replace(setting, min_replicas=0.0).idle_limit == math.inf


def test_replicas_come_after_a_cold_start_and_go_at_once() -> None:
    fleet = Fleet(1.0, np.array([2.5]), np.array([1.0]))
    one = np.zeros(1, dtype=np.int64)
    fleet.want(one, np.array([3.0]), 0, np.array([0.2]))
    seen = []
    for row in range(4):
        before, moment = fleet.arrive(row)
        seen.append((before[0], fleet.ready[0], fleet.starting[0], round(moment[0], 6)))
    assert seen == [(1, 1, 2, 0), (1, 1, 2, 0), (1, 3, 0, 0.7), (3, 3, 0, 0)]
    fleet.want(one, np.array([2.0]), 4, np.zeros(1))
    assert (fleet.ready[0], fleet.starts[0]) == (2, 2)


def test_what_only_starts_goes_first() -> None:
    fleet = Fleet(1.0, np.array([1.5]), np.array([1.0]))
    one = np.zeros(1, dtype=np.int64)
    fleet.want(one, np.array([4.0]), 0, np.zeros(1))
    fleet.want(one, np.array([2.0]), 0, np.zeros(1))
    assert (fleet.ready[0], fleet.starting[0]) == (1, 1)
    for row in range(3):
        fleet.arrive(row)
    assert (fleet.ready[0], fleet.starting[0]) == (2, 0)
