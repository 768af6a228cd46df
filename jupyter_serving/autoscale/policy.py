"""The autoscaling decision: one pure function of recorded inputs.

Two sliding windows over the concurrency, after Knative's autoscaler (KPA): a stable one, and a shorter one for bursts.
Up at once; down by the largest estimate of the scale-down window; to zero when idle for the idle time.

``decide`` is written with operators and a namespace ``xp``, so the same code runs on floats in the controller
(``xp=SCALAR``, nothing imported) and on numpy arrays of many endpoints in the simulator (``xp=numpy``).
``sentence.explain`` tells a decision in words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

Number = Any
"""A float, or a numpy array of floats: all of one call have the same shape, or broadcast to it."""

SCALAR = SimpleNamespace(
    minimum=min,
    maximum=max,
    ceil=lambda value: float(math.ceil(value)),
    floor=lambda value: float(math.floor(value)),
    where=lambda condition, yes, no: yes if condition else no,
)
"""``xp`` for floats; every value that is rounded must be finite."""

# A load that is a whole number of replicas up to rounding needs no further replica.
TOLERANCE = 1e-9


class Cause(IntEnum):
    """What a decision followed from: the load, a rule that delays, or a bound that is below what the load asks for."""

    FITS = 0
    LOAD = 1
    BURST = 2
    WAITING = 3
    HELD = 4
    LESS = 5
    IDLE = 6
    AT_ZERO = 7
    MINIMUM = 8
    MAXIMUM = 9
    UP_RATE = 10
    DOWN_RATE = 11
    ROOM = 12
    PRESSURE = 13
    RESTARTED = 14
    PANIC = 15
    PEAK = 16
    NOT_IDLE_YET = 17

    @property
    def bound(self) -> bool:
        """True where the load asks for more, or less, than a rate, the maximum or the host allows."""
        return Cause.MAXIMUM <= self <= Cause.PRESSURE


@dataclass(slots=True)
class Inputs:
    """What a decision depends on: floats, or arrays with one element per entity.

    Loads are in busy slots: requests running and waiting, divided by how many of them one slot takes together.

    Attributes:
        min_replicas, max_replicas: bounds of the entity (a config that is not active yet: what it must have ready).
        slots: slots of one replica.
        target: share of the slots to keep busy, in (0, 1].
        stable, panic: mean load over the stable and the panic window.
        waiting: load that waits just now for a slot of replicas that are ready.
        busy: load that runs just now.
        held: load that waits just now while no replica is ready (then ``waiting`` is 0).
        ready: replicas that are ready.
        current: replicas wanted so far.
        peak: largest ``Decision.desired`` within the scale-down window.
        idle: seconds since a request last arrived, ran or waited.
        idle_limit: idle seconds after which the entity goes to zero; inf: never.
        calm: seconds since ``Decision.alarm`` was last true; inf: never.
        age: seconds since the windows began to be filled; inf where nothing was up before.
        stable_window: length of the stable window in seconds, also of panic and of the hold after a restart.
        panic_threshold: panic where the panic window asks for so many times the ready replicas; above 1.
        max_up_rate, max_down_rate: largest factor of one decision; at least 1 (up), above 1 (down), finite.
        room: replicas of this entity that the host can take in all, a whole number; inf: no bound.
        pressed: 1.0 where the host is too contended for growth (CPU or memory pressure), else 0.0.
        panic_window, scale_down_window: lengths in seconds, for the explanation alone.
    """

    min_replicas: Number
    max_replicas: Number
    slots: Number
    target: Number
    stable: Number
    panic: Number
    waiting: Number
    busy: Number
    held: Number
    ready: Number
    current: Number
    peak: Number
    idle: Number
    idle_limit: Number
    calm: Number = math.inf
    age: Number = math.inf
    stable_window: Number = 60.0
    panic_threshold: Number = 2.0
    max_up_rate: Number = 1000.0
    max_down_rate: Number = 2.0
    room: Number = math.inf
    pressed: Number = 0.0
    panic_window: Number = 6.0
    scale_down_window: Number = 300.0


@dataclass(slots=True)
class Decision:
    """What follows; of the inputs' shape.

    Attributes:
        wanted: replicas wanted from now on.
        desired: replicas that the load alone asks for; the caller puts it into the scale-down window (``peak``).
        alarm: the panic threshold is reached now; the caller counts ``calm`` from here.
        panicking: in panic, where nothing is given up.
        cause: value of a ``Cause``.
    """

    wanted: Number
    desired: Number
    alarm: Number
    panicking: Number
    cause: Number


def needed(load: Number, slots: Number, target: Number, xp: Any = SCALAR) -> Number:
    """Replicas that carry ``load`` busy slots at the target utilisation: ceil(load / (slots x target))."""
    return xp.ceil(load / (slots * target) - TOLERANCE)


def decide(i: Inputs, xp: Any = SCALAR) -> Decision:
    """Return how many replicas are wanted now.

    In this order: what the load asks for (the larger of both windows; slots for all that runs and waits now, where
    requests wait; max(1, ceil(held / slots)) for requests that are held for a first replica); not below the scale-down
    window's peak, nor below what there is in panic or within one stable window of a restart; zero after the idle time;
    at most the rates; the bounds; the host. The host's room never takes what is ready, and one replica is always tried.
    """
    stable = needed(i.stable, i.slots, i.target, xp)
    burst = needed(i.panic, i.slots, i.target, xp)
    # A queue is of the moment: it gets slots, not the reserve that the target keeps above a mean.
    queue = xp.where(i.waiting > 0, xp.ceil((i.busy + i.waiting) / i.slots - TOLERANCE), 0.0)
    woken = xp.where(i.held > 0, xp.maximum(1.0, xp.ceil(i.held / i.slots - TOLERANCE)), 0.0)
    quiet = (i.held <= 0) & (i.waiting <= 0) & (i.busy <= 0)
    # At zero the means are of the past: only a request that is there starts a replica.
    asked = xp.where(quiet & (i.current <= 0), 0.0, xp.maximum(stable, burst))
    desired = xp.maximum(xp.maximum(asked, queue), woken)

    ready = xp.maximum(i.ready, 1.0)
    alarm = xp.minimum(burst, i.max_replicas) >= i.panic_threshold * ready
    panicking = alarm | (i.calm < i.stable_window)
    restarted = i.age < i.stable_window

    kept = xp.maximum(i.peak, xp.minimum(1.0, i.current))
    kept = xp.where(panicking | restarted, i.current, xp.minimum(i.current, kept))
    # Idle outlasts panic: for the idle time nothing at all has come.
    zero = quiet & (i.idle >= i.idle_limit) & (i.min_replicas <= 0) & (i.age >= i.stable_window)
    wish = xp.where(zero, 0.0, xp.maximum(desired, kept))

    at_most = xp.maximum(i.current, xp.ceil(ready * i.max_up_rate))
    at_least = xp.where(zero, 0.0, xp.floor(i.current / i.max_down_rate))
    rated = xp.maximum(xp.minimum(wish, at_most), at_least)
    bounded = xp.minimum(xp.maximum(rated, i.min_replicas), i.max_replicas)
    room = xp.maximum(i.room, ready)
    grown = xp.maximum(xp.maximum(i.current, i.min_replicas), 1.0)
    unpressed = xp.where(i.pressed > 0, grown, i.max_replicas)
    wanted = xp.minimum(bounded, xp.minimum(room, unpressed))

    growth = xp.where(stable >= burst, Cause.LOAD, Cause.BURST)
    growth = xp.where((i.waiting > 0) & (queue > asked), Cause.WAITING, growth)
    growth = xp.where((i.held > 0) & (woken >= xp.maximum(asked, queue)), Cause.HELD, growth)
    still = xp.where(i.peak >= i.current, Cause.PEAK, Cause.NOT_IDLE_YET)
    still = xp.where(panicking, Cause.PANIC, still)
    still = xp.where(restarted, Cause.RESTARTED, still)
    still = xp.where(i.min_replicas >= i.current, Cause.MINIMUM, still)
    still = xp.where(desired >= i.current, Cause.FITS, still)
    still = xp.where(i.current <= 0, Cause.AT_ZERO, still)
    fallen = xp.where(zero, Cause.IDLE, Cause.LESS)
    cause = xp.where(wish < i.current, fallen, still)
    cause = xp.where(wish > i.current, growth, cause)
    cause = xp.where(rated < wish, Cause.UP_RATE, cause)
    cause = xp.where(rated > wish, Cause.DOWN_RATE, cause)
    cause = xp.where(bounded > rated, Cause.MINIMUM, cause)
    cause = xp.where(bounded < rated, Cause.MAXIMUM, cause)
    hosts = xp.where(room <= unpressed, Cause.ROOM, Cause.PRESSURE)
    cause = xp.where(wanted < bounded, hosts, cause)
    return Decision(wanted, desired, alarm, panicking, cause)
