"""Wanted replicas from what the gateway reports; time is injected."""

from __future__ import annotations

import itertools
import math
from typing import Any

from jupyter_serving.autoscale.policy import Cause
from jupyter_serving.autoscale.rules import Rules
from jupyter_serving.controller.scaling import Scaling
from jupyter_serving.workloads import Capacity

ZERO_TO_FOUR = Capacity(0, 16, 4)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def scaling(clock: Clock) -> Scaling:
    return Scaling(clock)


def run(
    own: Scaling, clock: Clock, seconds: float, figures: dict[str, Any] | None = None
) -> set[str]:
    """Let time pass in ticks of half a second; with ``figures`` the gateway reports them of "k" every second."""
    changed: set[str] = set()
    end, told = clock.now + seconds, clock.now
    while clock.now < end:
        clock.now = min(end, clock.now + 0.5)
        if figures is not None and clock.now - told >= 1:
            told = clock.now
            own.observe("k", figures)
        changed |= own.tick()
    return changed


def test_a_wake_wants_replicas_at_once_and_names_the_time_of_the_first_held_request() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("e:1:a", ZERO_TO_FOUR, 1800.0, ready=0, floor=0)
    assert entity.wanted == 0
    assert own.wake("e:1:a", held=6, since=999.5)
    assert entity.wanted == 2
    assert not own.wake("e:1:a", held=6, since=999.9)
    assert entity.held_since == 999.5


def test_an_idle_entity_goes_to_zero_and_a_request_puts_that_off() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", ZERO_TO_FOUR, 10.0, ready=0, floor=0)
    own.wake("k", held=1, since=clock.now)
    own.track("k", ZERO_TO_FOUR, 10.0, ready=1, floor=0)
    own.observe("k", {"arrivals": 1, "finished": 1})
    assert run(own, clock, 9) == set()
    own.observe("k", {"arrivals": 1, "finished": 1})
    assert run(own, clock, 9) == set()
    assert entity.wanted == 1
    assert run(own, clock, 1.1) == {"k"}
    assert entity.wanted == 0


def test_a_restart_keeps_what_was_up_for_one_stable_window() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", Capacity(4, 16, 4), math.inf, ready=4, floor=0)
    run(own, clock, 59, {"in_flight": 1})
    assert entity.wanted == 4
    run(own, clock, 3, {"in_flight": 1})
    assert entity.wanted == 1


def test_a_restart_does_not_go_to_zero_within_one_stable_window() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", ZERO_TO_FOUR, 10.0, ready=1, floor=0)
    run(own, clock, 59)
    assert entity.wanted == 1
    run(own, clock, 2)
    assert entity.wanted == 0


def test_a_config_that_has_to_prove_itself_gets_one_replica_even_if_it_may_go_to_zero() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", ZERO_TO_FOUR, 1.0, ready=0, floor=1)
    run(own, clock, 100)
    assert entity.wanted == 1
    own.track("k", ZERO_TO_FOUR, 1.0, ready=1, floor=0)
    own.tick()
    assert entity.wanted == 1, "the idle time begins when it is promoted"
    run(own, clock, 1.1)
    assert entity.wanted == 0


def test_what_a_promoted_config_had_to_have_ready_stays_for_the_scale_down_window() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", Capacity(4, 32, 4), math.inf, ready=0, floor=3)
    assert entity.wanted == 3
    run(own, clock, 500)
    own.track("k", Capacity(4, 32, 4), math.inf, ready=3, floor=0)
    run(own, clock, 299)
    assert entity.wanted == 3
    run(own, clock, 5)
    assert entity.wanted == 1


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", ZERO_TO_FOUR, math.inf, ready=1, floor=0)
    for _ in range(5):
        clock.now += 1
        own.observe("k", {"arrivals": 20})
    assert entity.rate(clock.now) == 10.0
    assert entity.rate(clock.now + 20) == 0.0


def test_figures_of_an_unknown_entity_change_nothing() -> None:
    own = scaling(Clock())
    assert not own.observe("gone", {"in_flight": 3})
    assert not own.wake("gone", 1, 0.0)


def test_a_slot_that_batches_counts_a_full_group_as_one_busy_slot() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", Capacity(1, 8, 1), math.inf, ready=1, floor=0)
    busy = {"in_flight": 22, "slots": 1, "capacity": 32}
    own.observe("k", busy)
    assert entity.wanted == 1
    own.observe("k", busy | {"queued": 32})
    assert entity.wanted == 2, "the queue gets slots at once"
    assert entity.last is not None and entity.last[1].waiting == 1.0
    run(own, clock, 8, busy | {"queued": 32})
    assert entity.wanted == 3, "a lasting load gets the reserve of the target too"


def test_requests_held_for_an_entity_that_batched_before_need_fewer_replicas() -> None:
    own = scaling(Clock())
    entity = own.track("k", Capacity(0, 8, 1), 1.0, ready=0, floor=0)
    own.observe("k", {"slots": 1, "capacity": 32})
    own.wake("k", held=20, since=1000.0)
    assert entity.wanted == 1


def test_an_idle_entity_has_no_date_to_be_looked_at() -> None:
    clock = Clock()
    own = scaling(clock)
    for number in range(100):
        own.track(f"e{number}:1:m", ZERO_TO_FOUR, 1800.0, ready=0, floor=0)
        own.track(f"f{number}:1:m", Capacity(4, 16, 4), math.inf, ready=1, floor=0)
    run(own, clock, 120)
    assert own._heap == []
    own.observe("e1:1:m", {"arrivals": 1, "finished": 1, "busy_seconds": 0.1})
    assert len(own._heap) == 1


def test_a_report_that_comes_after_the_decision_for_zero_starts_nothing() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", ZERO_TO_FOUR, 0.5, ready=0, floor=0)
    own.wake("k", held=1, since=clock.now)
    own.track("k", ZERO_TO_FOUR, 0.5, ready=1, floor=0)
    own.observe("k", {"arrivals": 1, "finished": 1, "busy_seconds": 0.4, "seconds": 1.0})
    run(own, clock, 0.6)
    assert entity.wanted == 0
    own.observe("k", {"arrivals": 1, "finished": 1, "busy_seconds": 0.4, "seconds": 1.0})
    run(own, clock, 0.4)
    assert entity.wanted == 0


def test_dates_do_not_pile_up_under_load() -> None:
    clock = Clock()
    own = scaling(clock)
    own.track("k", Capacity(4, 64, 4), math.inf, ready=1, floor=0)
    for load in (3, 0, 9, 0, 30, 0):
        run(own, clock, 100, {"in_flight": load} if load else None)
    assert len(own._heap) < 10


def test_figures_that_nobody_renews_are_no_load() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", ZERO_TO_FOUR, 20.0, ready=0, floor=0)
    own.observe("k", {"in_flight": 3})
    run(own, clock, 4)
    assert entity.in_flight == 3
    run(own, clock, 100)
    assert (entity.in_flight, entity.wanted) == (0, 0)


def test_a_constant_load_does_not_make_the_wanted_number_oscillate() -> None:
    """Loads at, just below and just above what a whole number of replicas carries."""
    for load in (2.8, 2.8 - 1e-9, 2.8 + 1e-6, 5.6, 0.01, 27.999999):
        clock = Clock()
        own = scaling(clock)
        entity = own.track("k", Capacity(4, 64, 4), math.inf, ready=1, floor=0)
        seen = [entity.wanted]
        for _ in range(900):
            # The gateway's seconds are not exact.
            clock.now += 1.0 + 0.003 * math.sin(clock.now)
            own.observe("k", {"busy_seconds": load, "seconds": 1.0, "in_flight": 1})
            own.track("k", Capacity(4, 64, 4), math.inf, ready=entity.wanted, floor=0)
            seen.append(entity.wanted)
        assert all(a <= b for a, b in itertools.pairwise(seen)), load
        assert seen[-1] - max(1, math.ceil(load / 2.8 - 0.01)) in (0, 1)


def test_changes_are_recorded_and_another_bound_once_in_a_stable_window() -> None:
    clock, told = Clock(), []
    own = Scaling(clock, record=told.append)
    entity = own.track("e:1:k", Capacity(4, 8, 4), math.inf, ready=1, floor=0)
    assert [(d.inputs.current, d.decision.wanted) for d in told] == []
    for second in range(40):
        clock.now += 1
        load = 8 if second % 2 else 5
        own.observe("e:1:k", {"in_flight": load, "busy_seconds": load, "seconds": 1.0})
    assert entity.wanted == 2
    assert len(told) == 2, "the change, and that the maximum holds it back"
    assert told[0].decision.wanted == 2
    assert told[-1].decision.cause == Cause.MAXIMUM


def test_the_host_bounds_growth() -> None:
    clock = Clock()
    own = Scaling(clock, limits=lambda key: (2.0, 0.0))
    entity = own.track("k", Capacity(0, 64, 4), math.inf, ready=0, floor=0)
    own.wake("k", held=40, since=clock.now)
    assert entity.wanted == 2
    assert own.present("k")[1].cause == Cause.ROOM


def test_new_rules_of_a_known_entity_apply_from_then_on() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", Capacity(4, 64, 4), math.inf, ready=1, floor=0)
    run(own, clock, 30, {"in_flight": 2})
    assert entity.wanted == 1
    own.track("k", Capacity(4, 64, 4), math.inf, 1, 0, Rules(target_utilisation=0.25))
    assert entity.wanted == 2


def test_what_runs_where_is_known_for_the_choice_of_what_to_give_up() -> None:
    own = scaling(Clock())
    own.track("e:1:a", ZERO_TO_FOUR, math.inf, ready=1, floor=0)
    own.track("e:1:b", ZERO_TO_FOUR, math.inf, ready=1, floor=0)
    own.observe("e:1:a", {"in_flight": 3, "replicas": {"r1": 2, "r2": 1}})
    own.observe("e:1:b", {"in_flight": 1, "replicas": {"r3": 1}})
    assert own.in_flight("e") == {"r1": 2, "r2": 1, "r3": 1}
    assert own.in_flight("other") == {}
    own.drop({"e:1:a"})
    assert own.wanted("e") == {"e:1:b": 1}
