"""What the autoscaler would have done: the controller's own policy over arrivals in simulated time.

One run takes many endpoints, or many settings of one endpoint, as elements of arrays; its cost is that of some hundred
array operations per step, whatever the rates. Requests are a fluid (``flow``), replicas whole numbers (``fleet``).

Assumed: every request of an endpoint takes its mean execution time; arrivals are even within a step; a replica becomes
ready a constant time after it was wanted, however many start; the host has room; nothing fails. Waits that come from
chance within a step are therefore not in the result: ``advice`` tells those (Erlang C).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .fleet import Fleet
from .flow import SOME, Flow, Places
from .horizons import Means, Peaks
from .policy import Inputs, decide
from .rules import Rules
from .traces import Counts, Floats, Trace

HOUR, GB = 3600.0, 1e9
Number = Any
"""A float, or an array of one float per endpoint."""


@dataclass(frozen=True)
class Profile:
    """What an endpoint's replicas are like.

    Attributes:
        slots: of one replica.
        cold_start_seconds: from the decision to readiness.
        replica_bytes: memory of one replica.
        group: requests that one slot takes together (1 without batching).
        queue_limit: requests that may wait; what comes beyond is refused.
    """

    slots: Number = 4.0
    cold_start_seconds: Number = 1.0
    replica_bytes: Number = 250e6
    group: Number = 1.0
    queue_limit: Number = 1000.0


@dataclass(frozen=True)
class Setting:
    """Bounds and rules of an endpoint as ``policy.Inputs`` names them; replicas and seconds."""

    min_replicas: Number = 0.0
    max_replicas: Number = 1.0
    target: Number = 0.7
    idle_limit: Number = 1800.0
    stable_window: Number = 60.0
    panic_window: Number = 6.0
    panic_threshold: Number = 2.0
    max_up_rate: Number = 1000.0
    max_down_rate: Number = 2.0
    scale_down_window: Number = 300.0

    @classmethod
    def of(cls, rules: Rules, low: float, high: float, idle_limit: float) -> Setting:
        """From the rules of a served entity, its bounds in replicas and its idle time (inf: never to zero)."""
        return cls(
            min_replicas=low,
            max_replicas=high,
            target=rules.target_utilisation,
            idle_limit=idle_limit,
            stable_window=rules.stable_window_seconds,
            panic_window=rules.panic_window_seconds,
            panic_threshold=rules.panic_threshold,
            max_up_rate=rules.max_scale_up_rate,
            max_down_rate=rules.max_scale_down_rate,
            scale_down_window=rules.scale_down_window_seconds,
        )

    @classmethod
    def joined(cls, settings: Sequence[Setting]) -> Setting:
        """Settings of as many endpoints, of scalars, as one of arrays."""
        return cls(
            **{f.name: np.array([float(getattr(s, f.name)) for s in settings]) for f in fields(cls)}
        )


@dataclass(frozen=True)
class Outcome:
    """What came of it; arrays have one element per endpoint, ``replicas`` has the shape (endpoints, steps).

    Attributes:
        step: seconds of a step.
        replicas: ready replicas, mean of each step.
        requests, refused: served or waiting at the end, and refused because the queue was full.
        cold_starts: how often the first replica was started from zero.
        met_cold_start: requests that came while no replica was ready.
        starts: replicas that were started in all.
        waiting_mean, waiting_p50, waiting_p95, waiting_p99: seconds from arrival to slot, over all requests.
        gb_hours: memory of starting and ready replicas over time.
        busy_share: of the ready slots' time, the part in which they were busy.
    """

    step: float
    replicas: Counts
    requests: Floats
    refused: Floats
    cold_starts: Floats
    met_cold_start: Floats
    starts: Floats
    waiting_mean: Floats
    waiting_p50: Floats
    waiting_p95: Floats
    waiting_p99: Floats
    gb_hours: Floats
    busy_share: Floats

    @property
    def days(self) -> float:
        """Simulated days."""
        return self.step * int(self.replicas.shape[1]) / 86400.0


def simulate(
    trace: Trace,
    profile: Profile,
    setting: Setting,
    *,
    ready: Number | None = None,
    decision_seconds: float = 1.0,
) -> Outcome:
    """Run the policy over a trace.

    Args:
        trace: arrivals and execution times.
        profile, setting: of the endpoints; scalars are for all of them.
        ready: replicas at the beginning; default: the minimum.
        decision_seconds: how often the controller decides; with a longer step, once a step. Wake-ups do not wait.
    """
    run = _Run(trace, profile, setting, ready, decision_seconds)
    for row in range(trace.arrivals.shape[1]):
        run.step(row)
    return run.outcome()


class _Run:
    """State of one simulation."""

    def __init__(
        self,
        trace: Trace,
        profile: Profile,
        setting: Setting,
        ready: Number | None,
        decision_seconds: float,
    ) -> None:
        count, steps, step = trace.endpoints, trace.arrivals.shape[1], trace.step
        self._step = step
        self._arrivals = np.ascontiguousarray(trace.arrivals.T)
        self._profile = _spread(profile, count)
        self._setting = _spread(setting, count)
        self._capacity = self._profile.slots * self._profile.group
        self._every = max(1, round(decision_seconds / step))
        up = self._setting.min_replicas if ready is None else np.broadcast_to(ready, count)
        self._fleet = Fleet(step, self._profile.cold_start_seconds, np.asarray(up))
        self._flow = Flow(steps, step, trace.execution, self._profile.queue_limit)
        longest = np.maximum(self._setting.stable_window, self._setting.panic_window)
        self._loads = Means(count, step, float(longest.max()))
        window = self._setting.scale_down_window / (self._every * step)
        self._peaks = Peaks(np.maximum(1, np.round(window)).astype(np.int64))
        self._all: Places = np.arange(count)
        self._wished: Floats = np.zeros(count)
        self._idle: Floats = np.zeros(count)
        self._alarmed: Floats = np.full(count, -math.inf)
        self._replicas = np.zeros((steps, count), dtype=np.float32)
        self._cold_starts: Floats = np.zeros(count)
        self._met: Floats = np.zeros(count)
        self._busy: Floats = np.zeros(count)

    def step(self, row: int) -> None:
        """One step of the trace."""
        arrivals = self._arrivals[row].astype(np.float64)
        flow, fleet, step = self._flow, self._fleet, self._step
        woken = np.flatnonzero((fleet.ready <= 0) & (arrivals > 0) & (flow.waiting <= SOME))
        onset = flow.arrive(arrivals, woken)
        if woken.size:
            self._wake(woken, row, onset)
        before, change = fleet.arrive(row)
        cold = np.flatnonzero((before <= 0) & (arrivals > 0))
        if cold.size:
            until = np.where(fleet.ready > 0, change, step)
            self._met[cold] += flow.arrived_within(until)[cold]
        flow.advance(before * self._capacity, fleet.ready * self._capacity, change)
        self._replicas[row] = fleet.ready + (before - fleet.ready) * (change / step)
        self._busy += flow.busy_seconds
        load = (flow.busy_seconds + flow.waiting_seconds) / self._profile.group
        self._loads.add(load)
        active = (arrivals > 0) | (flow.in_flight > SOME) | (flow.waiting > SOME)
        self._idle = np.where(active, 0.0, self._idle + step)
        if (row + 1) % self._every == 0:
            self._decide(row + 1)

    def _wake(self, places: Places, row: int, onset: Floats) -> None:
        """The first request of each is held: the controller decides at once."""
        self._cold_starts[places] += self._fleet.wanted[places] <= 0
        one = np.ones(len(places)) / self._profile.group[places]
        inputs = self._inputs(places, one, 0.0 * one, 0.0 * one, 0.0 * one, row)
        decision = decide(inputs, np)
        self._wished[places] = np.maximum(self._wished[places], decision.desired)
        self._fleet.want(places, decision.wanted, row, onset)

    def _decide(self, row: int) -> None:
        flow, group = self._flow, self._profile.group
        waiting = np.where(flow.waiting > SOME, flow.waiting, 0.0) / group
        busy = np.where(flow.in_flight > SOME, flow.in_flight, 0.0) / group
        none = self._fleet.ready <= 0
        held, queued = np.where(none, waiting, 0.0), np.where(none, 0.0, waiting)
        inputs = self._inputs(self._all, held, queued, busy, self._idle, row)
        decision = decide(inputs, np)
        self._peaks.add(np.maximum(decision.desired, self._wished))
        self._wished[:] = 0.0
        self._alarmed = np.where(decision.alarm, row * self._step, self._alarmed)
        changed = np.flatnonzero(decision.wanted != self._fleet.wanted)
        if changed.size:
            self._fleet.want(changed, decision.wanted[changed], row, np.zeros(changed.size))

    def _inputs(
        self, places: Places, held: Floats, waiting: Floats, busy: Floats, idle: Floats, row: int
    ) -> Inputs:
        setting = self._setting if len(places) == len(self._all) else _at(self._setting, places)
        return Inputs(
            min_replicas=setting.min_replicas,
            max_replicas=setting.max_replicas,
            slots=self._profile.slots[places],
            target=setting.target,
            stable=np.maximum(self._loads.over(self._setting.stable_window)[places], 0.0),
            panic=np.maximum(self._loads.over(self._setting.panic_window)[places], 0.0),
            waiting=waiting,
            busy=busy,
            held=held,
            ready=self._fleet.ready[places],
            current=self._fleet.wanted[places],
            peak=self._peaks.value()[places],
            idle=idle,
            idle_limit=setting.idle_limit,
            calm=row * self._step - self._alarmed[places],
            stable_window=setting.stable_window,
            panic_threshold=setting.panic_threshold,
            max_up_rate=setting.max_up_rate,
            max_down_rate=setting.max_down_rate,
        )

    def outcome(self) -> Outcome:
        """The figures so far."""
        flow, fleet = self._flow, self._fleet
        started = flow.started
        ready_seconds = self._replicas.sum(axis=0, dtype=np.float64) * self._step
        # A start that was cancelled is counted in full.
        seconds = ready_seconds + fleet.starts * self._profile.cold_start_seconds
        slots = ready_seconds * self._capacity
        return Outcome(
            step=self._step,
            replicas=self._replicas.T,
            requests=flow.arrived.copy(),
            refused=flow.refused,
            cold_starts=self._cold_starts,
            met_cold_start=self._met,
            starts=fleet.starts,
            waiting_mean=flow.waits.seconds / np.maximum(started, 1.0),
            waiting_p50=flow.waits.quantile(0.50, started),
            waiting_p95=flow.waits.quantile(0.95, started),
            waiting_p99=flow.waits.quantile(0.99, started),
            gb_hours=seconds * self._profile.replica_bytes / GB / HOUR,
            # What begins in a step counts in it, also where its slot goes before the end.
            busy_share=np.minimum(1.0, self._busy / np.maximum(slots, SOME)),
        )


def _spread(value: Any, count: int) -> Any:
    """The same dataclass with an array of ``count`` floats in each field."""
    arrays = {
        field.name: np.array(np.broadcast_to(getattr(value, field.name), count), dtype=np.float64)
        for field in fields(value)
    }
    return type(value)(**arrays)


def _at(value: Any, places: Places) -> Any:
    return type(value)(**{f.name: getattr(value, f.name)[places] for f in fields(value)})
