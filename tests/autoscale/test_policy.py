"""The autoscaling decision: bounds, monotony, what is never given up, and that floats and arrays agree."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.autoscale.policy import Cause, Decision, Inputs, decide, needed

from .strategies import LOADS, inputs

BASE = Inputs(
    min_replicas=0.0,
    max_replicas=10.0,
    slots=4.0,
    target=0.7,
    stable=0.0,
    panic=0.0,
    waiting=0.0,
    busy=0.0,
    held=0.0,
    ready=1.0,
    current=1.0,
    peak=0.0,
    idle=0.0,
    idle_limit=1800.0,
)


def cap(i: Inputs) -> float:
    """The host's bound: its room, but never what is ready, and one is always tried."""
    return max(i.room, i.ready, 1.0)


@given(inputs())
def test_never_outside_the_bounds_of_the_endpoint_and_of_the_host(i: Inputs) -> None:
    wanted = decide(i).wanted
    assert wanted == int(wanted)
    assert min(i.min_replicas, cap(i)) <= wanted <= min(i.max_replicas, cap(i))


@given(inputs())
def test_cpu_pressure_adds_nothing_but_the_minimum_and_the_first_replica(i: Inputs) -> None:
    assert decide(replace(i, pressed=1.0)).wanted <= max(i.current, i.min_replicas, 1.0)


@given(inputs(), LOADS, st.sampled_from(["stable", "panic", "waiting", "busy", "held"]))
def test_more_load_never_wants_less(i: Inputs, more: float, which: str) -> None:
    heavier = replace(i, **{which: getattr(i, which) + more})
    assert decide(heavier).wanted >= decide(i).wanted
    assert decide(heavier).desired >= decide(i).desired


@given(inputs())
def test_held_requests_always_get_a_replica(i: Inputs) -> None:
    if i.held > 0:
        assert decide(i).wanted >= 1


@given(inputs())
def test_held_requests_get_as_many_replicas_as_they_fill(i: Inputs) -> None:
    if i.held > 0 and not i.pressed:
        least = min(math.ceil(i.held / i.slots - 1e-6), i.max_replicas, cap(i))
        assert decide(replace(i, max_up_rate=1000.0)).wanted >= least


@given(inputs())
def test_nothing_is_given_up_in_panic_or_within_a_stable_window_of_a_restart(i: Inputs) -> None:
    possible = min(i.current, i.max_replicas, cap(i))
    restarted = replace(i, age=i.stable_window * 0.99)
    assert decide(restarted).wanted >= possible
    panicking = replace(i, calm=i.stable_window * 0.99, idle=0.0)
    assert decide(panicking).wanted >= possible


@given(inputs())
def test_zero_is_reached_only_after_the_idle_time(i: Inputs) -> None:
    decision = decide(i)
    if decision.wanted == 0 and i.current > 0:
        assert i.idle >= i.idle_limit
        assert i.held == i.waiting == i.busy == 0


@given(inputs())
def test_a_step_down_keeps_the_peak_and_half_of_what_there_was(i: Inputs) -> None:
    decision = decide(i)
    possible = min(i.max_replicas, cap(i))
    if 0 < decision.wanted < i.current:
        assert decision.wanted >= min(i.peak, i.current, possible)
        assert decision.wanted >= min(math.floor(i.current / i.max_down_rate), possible)


@given(st.lists(inputs(), min_size=1, max_size=20))
def test_arrays_are_decided_like_their_elements(many: list[Inputs]) -> None:
    columns = {f.name: numpy.array([getattr(i, f.name) for i in many]) for f in fields(Inputs)}
    together = decide(Inputs(**columns), xp=numpy)
    for index, alone in enumerate(map(decide, many)):
        for f in fields(Decision):
            assert getattr(together, f.name)[index] == getattr(alone, f.name), f.name


@given(inputs())
def test_a_bound_is_named_only_where_it_binds(i: Inputs) -> None:
    decision = decide(i)
    if decision.cause == Cause.ROOM:
        assert decision.wanted == cap(i)
    if decision.cause == Cause.MAXIMUM:
        assert decision.wanted == i.max_replicas
    if decision.cause in (Cause.FITS, Cause.PANIC, Cause.PEAK, Cause.RESTARTED):
        assert decision.wanted == i.current


def test_a_load_of_a_whole_number_of_replicas_needs_no_further_one() -> None:
    assert needed(0.7 * 3, 1.0, 0.7) == 3
    assert needed(0.1 + 0.2, 1.0, 0.3) == 1
    assert needed(0.0, 4.0, 0.7) == 0
    assert needed(2.81, 4.0, 0.7) == 2


def test_an_idle_endpoint_goes_to_zero_after_its_idle_time_and_keeps_one_until_then() -> None:
    assert decide(replace(BASE, idle=1799.0)).wanted == 1
    assert decide(replace(BASE, idle=1800.0)).wanted == 0
    assert decide(replace(BASE, idle=1800.0, current=8.0)).wanted == 0


def test_at_zero_the_load_of_the_past_starts_nothing() -> None:
    past = replace(BASE, current=0.0, ready=0.0, stable=3.0, panic=3.0)
    assert (decide(past).wanted, decide(past).desired, decide(past).cause) == (0, 0, Cause.AT_ZERO)
    assert decide(replace(past, busy=1.0)).wanted == 2
    assert decide(replace(past, min_replicas=1.0)).wanted == 1


def test_a_burst_from_zero_starts_enough_replicas_at_once() -> None:
    decision = decide(replace(BASE, held=17.0, ready=0.0, current=0.0))
    assert (decision.wanted, decision.cause) == (5, Cause.HELD)


def test_a_queue_counts_as_it_stands() -> None:
    decision = decide(replace(BASE, busy=4.0, waiting=8.0, stable=3.0, panic=5.0))
    assert (decision.wanted, decision.cause) == (3, Cause.WAITING)


def test_the_shorter_window_leads_up_and_panics() -> None:
    decision = decide(replace(BASE, stable=1.0, panic=6.0))
    assert (decision.wanted, decision.cause) == (3, Cause.BURST)
    assert decision.alarm and decision.panicking
    assert not decide(replace(BASE, stable=1.0, panic=2.8)).panicking


def test_scale_down_waits_for_the_windows_maximum() -> None:
    busy = replace(BASE, stable=1.0, panic=1.0, current=8.0, ready=8.0)
    assert decide(replace(busy, peak=8.0)).cause == Cause.PEAK
    fallen = decide(replace(busy, peak=5.0))
    assert (fallen.wanted, fallen.cause) == (5, Cause.LESS)
    assert decide(replace(busy, peak=1.0)).wanted == 4, "a step divides by two at most"


def test_rates_hold_a_jump_back() -> None:
    jump = decide(replace(BASE, stable=25.0, panic=25.0, max_up_rate=3.0))
    assert (jump.wanted, jump.cause) == (3, Cause.UP_RATE)
    assert decide(replace(BASE, stable=25.0, current=5.0, max_up_rate=3.0)).wanted == 5


def test_the_host_bounds_growth_and_takes_nothing_that_is_ready() -> None:
    loaded = replace(BASE, stable=25.0, panic=25.0, current=2.0, ready=2.0)
    assert (decide(loaded).wanted, decide(loaded).cause) == (9, Cause.LOAD)
    short = decide(replace(loaded, room=4.0))
    assert (short.wanted, short.cause) == (4, Cause.ROOM)
    assert decide(replace(loaded, room=0.0)).wanted == 2
    hot = decide(replace(loaded, pressed=1.0))
    assert (hot.wanted, hot.cause) == (2, Cause.PRESSURE)
    first = replace(BASE, held=1.0, current=0.0, ready=0.0, room=0.0, pressed=1.0)
    assert decide(first).wanted == 1
