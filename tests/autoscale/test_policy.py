"""The autoscaling decision: bounds, monotony, no oscillation, and the sentences."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.autoscale.policy import Inputs, decide
from jupyter_serving.workloads import Capacity


@st.composite
def capacities(draw: st.DrawFn) -> Capacity:
    slots = draw(st.sampled_from([1, 4]))
    low = draw(st.integers(0, 5)) * slots
    return Capacity(low, low + draw(st.integers(1, 6)) * slots, slots)


@st.composite
def inputs(draw: st.DrawFn) -> Inputs:
    capacity = draw(capacities())
    return Inputs(
        capacity=capacity,
        busy=draw(st.floats(0, 1000)),
        held=draw(st.integers(0, 100)),
        current=draw(st.integers(capacity.min_replicas, capacity.max_replicas)),
        peak=draw(st.integers(0, 300)),
        idle=draw(st.floats(0, 10_000)),
        idle_limit=draw(st.sampled_from([1.0, 1800.0, math.inf])),
    )


@given(inputs())
def test_never_outside_the_bounds(given_inputs: Inputs) -> None:
    wanted = decide(given_inputs).wanted
    capacity = given_inputs.capacity
    assert capacity.min_replicas <= wanted <= capacity.max_replicas


@given(inputs(), st.floats(0, 1000))
def test_more_load_never_wants_less(given_inputs: Inputs, more: float) -> None:
    from dataclasses import replace

    heavier = replace(given_inputs, busy=given_inputs.busy + more)
    assert decide(heavier).wanted >= decide(given_inputs).wanted


@given(inputs())
def test_constant_load_settles_in_one_step(given_inputs: Inputs) -> None:
    from dataclasses import replace

    first = decide(given_inputs).wanted
    # The window holds what the load needs, as it does once the load has been constant for its length.
    settled = replace(given_inputs, current=first)
    second = decide(settled).wanted
    assert decide(replace(settled, current=second)).wanted == second


@given(inputs())
def test_held_requests_always_get_a_replica(given_inputs: Inputs) -> None:
    if given_inputs.held:
        assert decide(given_inputs).wanted >= 1


def test_idle_endpoint_goes_to_zero_only_after_the_idle_time() -> None:
    base = dict(capacity=Capacity(0, 4, 4), busy=0.0, held=0, current=1, peak=0, idle_limit=1800.0)
    assert decide(Inputs(**base, idle=1799.0)).wanted == 1
    decision = decide(Inputs(**base, idle=1800.0))
    assert decision.wanted == 0
    assert "idle for 1800 s" in decision.reason


def test_a_burst_from_zero_starts_enough_replicas_at_once() -> None:
    decision = decide(Inputs(Capacity(0, 40, 4), 0.0, 17, 0, 0, 0.0, 1800.0))
    assert decision.wanted == 5
    assert "17 held requests" in decision.reason


def test_scale_down_waits_for_the_windows_maximum() -> None:
    kept = decide(Inputs(Capacity(4, 40, 4), 1.0, 0, 8, 8, 0.0, math.inf))
    assert kept.wanted == 8
    down = decide(Inputs(Capacity(4, 40, 4), 1.0, 0, 8, 3, 0.0, math.inf))
    assert down.wanted == 3
