"""Wanted replicas from what the gateway reports; time is injected."""

from __future__ import annotations

import math

from jupyter_serving.controller.scaling import Scaling
from jupyter_serving.workloads import Capacity

ZERO_TO_FOUR = Capacity(0, 16, 4)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def scaling(clock: Clock) -> Scaling:
    return Scaling(clock, target_utilisation=0.7, down_window=300.0)


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
    entity = own.track("k", ZERO_TO_FOUR, 10.0, ready=1, floor=0)
    clock.now += 9
    assert own.tick() == set()
    own.observe("k", {"arrivals": 1, "finished": 1})
    clock.now += 9
    assert own.tick() == set()
    assert entity.wanted == 1
    clock.now += 1
    assert own.tick() == {"k"}
    assert entity.wanted == 0


def test_a_restart_keeps_what_was_up() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", Capacity(4, 16, 4), math.inf, ready=4, floor=0)
    clock.now += 299
    own.observe("k", {"in_flight": 1})
    assert entity.wanted == 4
    clock.now += 2
    own.observe("k", {"in_flight": 1})
    assert entity.wanted == 1


def test_a_config_that_has_to_prove_itself_gets_one_replica_even_if_it_may_go_to_zero() -> None:
    clock = Clock()
    own = scaling(clock)
    entity = own.track("k", ZERO_TO_FOUR, 1.0, ready=0, floor=1)
    clock.now += 100
    own.tick()
    assert entity.wanted == 1
    own.track("k", ZERO_TO_FOUR, 1.0, ready=1, floor=0)
    own.tick()
    assert entity.wanted == 1, "the idle time begins when it is promoted"
    clock.now += 1
    own.tick()
    assert entity.wanted == 0


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
    own = scaling(Clock())
    entity = own.track("k", Capacity(1, 8, 1), math.inf, ready=1, floor=0)
    busy = {"in_flight": 22, "slots": 1, "capacity": 32}
    own.observe("k", busy)
    assert entity.wanted == 1
    own.observe("k", busy | {"queued": 32})
    assert entity.wanted == 3


def test_requests_held_for_an_entity_that_batched_before_need_fewer_replicas() -> None:
    own = scaling(Clock())
    entity = own.track("k", Capacity(0, 8, 1), 1.0, ready=0, floor=0)
    own.observe("k", {"slots": 1, "capacity": 32})
    own.wake("k", held=20, since=1000.0)
    assert entity.wanted == 1
