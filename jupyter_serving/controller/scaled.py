"""Live figures of one served entity, and the inputs of its next decision."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from ..autoscale.policy import Cause, Decision, Inputs
from ..autoscale.rules import Rules
from ..autoscale.windows import Mean, Peak
from ..workloads import Capacity

RATE_WINDOW = 10.0
# The gateway reports every second while anything runs or waits: what is older than this is no longer so.
STALE_SECONDS = 5.0
LOOK_AGAIN = 1.0


class Entity:
    """What is known of a served entity; times are seconds of the controller's clock.

    Attributes:
        capacity, idle_limit: bounds in slots, and idle seconds before zero (inf: never).
        rules: windows, thresholds and rates.
        floor: replicas that it needs beside the bounds: a config that is not active yet, to be ready for the traffic.
        wanted, ready: replicas wanted from the last decision on, and replicas that are ready.
        active_at: when a request last arrived, ran or waited.
        in_flight, queued: requests that run and wait, as last told.
        held_since: when the oldest held request arrived, while any waits.
        group: requests that one slot takes together (1 without batching), as its replicas last had it.
        replicas: requests in flight by replica, as last told.
        last: time, inputs and outcome of the last decision.
    """

    __slots__ = (
        *("_alarmed", "_arrivals", "_began", "_panic", "_peak", "_stable", "_told"),
        *("active_at", "capacity", "floor", "group", "held_since", "idle_limit", "in_flight"),
        *("last", "queued", "ready", "replicas", "rules", "wanted"),
    )

    def __init__(
        self, capacity: Capacity, rules: Rules, idle_limit: float, ready: int, now: float
    ) -> None:
        """``ready`` replicas were up before anything was known of their load: they are held for a while."""
        self.capacity, self.rules, self.idle_limit = capacity, rules, idle_limit
        self.floor = 0
        self.ready, self.wanted = ready, min(capacity.max_replicas, ready)
        self.active_at = now
        self.in_flight = self.queued = 0
        self.held_since: float | None = None
        self.group = 1.0
        self.replicas: Mapping[str, int] = {}
        self.last: tuple[float, Inputs, Decision] | None = None
        self._stable = Mean(rules.stable_window_seconds, now)
        self._panic = Mean(rules.panic_window_seconds, now)
        self._peak = Peak(rules.scale_down_window_seconds)
        self._arrivals: deque[tuple[float, int]] = deque()
        self._began = now if ready else -math.inf
        self._alarmed = -math.inf
        self._told = -math.inf

    @property
    def least(self) -> int:
        """Replicas that are wanted whatever the load is."""
        return min(max(self.capacity.min_replicas, self.floor), self.capacity.max_replicas)

    def rate(self, now: float) -> float:
        """Arrivals per second over the last ``RATE_WINDOW`` seconds."""
        while self._arrivals and self._arrivals[0][0] <= now - RATE_WINDOW:
            self._arrivals.popleft()
        return sum(n for _, n in self._arrivals) / RATE_WINDOW

    # -- what is told --------------------------------------------------------------------------------

    def set(
        self,
        capacity: Capacity,
        idle_limit: float,
        ready: int,
        floor: int,
        rules: Rules,
        now: float,
    ) -> bool:
        """Take over what the config, its update and its replicas say now; True where any of it is news."""
        before = (self.capacity, self.idle_limit, self.ready, self.floor, self.rules)
        if self.floor and not floor:
            # The traffic comes with the promotion: idle time and scale-down window begin here.
            self.active_at = now
            self._peak.add(now, self.floor)
        if rules != self.rules:
            self._stable.resize(rules.stable_window_seconds, now)
            self._panic.resize(rules.panic_window_seconds, now)
            self._peak.window = rules.scale_down_window_seconds
        self.capacity, self.idle_limit, self.ready = capacity, idle_limit, ready
        self.floor, self.rules = floor, rules
        return before != (capacity, idle_limit, ready, floor, rules)

    def held(self, count: int, since: float, now: float) -> None:
        """``count`` requests wait, the first one since ``since``, and no replica is ready."""
        self.queued = count
        self.held_since = since if self.held_since is None else self.held_since
        self.active_at = self._told = now

    def told(self, figures: Mapping[str, Any], now: float) -> None:
        """Take in one report of the gateway (``gateway.meter``)."""
        self.in_flight = int(figures.get("in_flight", 0))
        self.queued = int(figures.get("queued", 0))
        self.replicas = figures.get("replicas") or {}
        if figures.get("slots") and figures.get("capacity"):
            self.group = max(1.0, figures["capacity"] / figures["slots"])
        if arrivals := int(figures.get("arrivals", 0)):
            self._arrivals.append((now, arrivals))
        if arrivals or figures.get("finished") or self.in_flight or self.queued:
            self.active_at = now
        if self.queued == 0:
            self.held_since = None
        self._told = now
        seconds = float(figures.get("seconds") or 1.0)
        area = figures.get("busy_seconds", self.in_flight * seconds)
        area += figures.get("waiting_seconds", self.queued * seconds)
        load = area / seconds / self.group
        self._stable.add(now, load, seconds)
        self._panic.add(now, load, seconds)

    def asks(self, now: float) -> float:
        """Slots that its load asks for: the larger mean at the target utilisation, or all that runs and waits now."""
        present = (self.in_flight + self.queued) / self.group
        return max(max(self._means(now)) / self.rules.target_utilisation, present)

    def _means(self, now: float) -> tuple[float, float]:
        """Mean load of both windows; what runs and waits has done so since it was told, a second ago at most."""
        present = (self.in_flight + self.queued) / self.group
        return self._stable.value(now, present), self._panic.value(now, present)

    # -- deciding ------------------------------------------------------------------------------------

    def inputs(self, now: float, room: float, pressed: float) -> Inputs:
        """All that the next decision depends on; ``room`` and ``pressed`` are the host's (``policy.Inputs``)."""
        if now - self._told > STALE_SECONDS:
            self.in_flight = self.queued = 0
            self.held_since = None
            self.replicas = {}
        rules, queued = self.rules, self.queued / self.group
        stable, panic = self._means(now)
        return Inputs(
            min_replicas=float(self.least),
            max_replicas=float(self.capacity.max_replicas),
            slots=float(self.capacity.slots_per_replica),
            target=rules.target_utilisation,
            stable=stable,
            panic=panic,
            waiting=queued if self.ready else 0.0,
            busy=self.in_flight / self.group,
            held=0.0 if self.ready else queued,
            ready=float(self.ready),
            current=float(self.wanted),
            peak=self._peak.value(now),
            idle=now - self.active_at,
            idle_limit=self.idle_limit,
            calm=now - self._alarmed,
            age=now - self._began,
            stable_window=rules.stable_window_seconds,
            panic_threshold=rules.panic_threshold,
            max_up_rate=rules.max_scale_up_rate,
            max_down_rate=rules.max_scale_down_rate,
            room=room,
            pressed=pressed,
            panic_window=rules.panic_window_seconds,
            scale_down_window=rules.scale_down_window_seconds,
        )

    def take(self, now: float, inputs: Inputs, decision: Decision) -> None:
        """Go by this decision from now on."""
        self._peak.add(now, decision.desired)
        if decision.alarm:
            self._alarmed = now
        self.wanted = int(decision.wanted)
        self.last = (now, inputs, decision)

    def due(self, now: float) -> float:
        """When another decision can differ from the last one though nothing is told until then; inf: never."""
        if self.last is None:
            return now
        decision, dates = self.last[2], []
        moving = self.in_flight or self.queued or Cause(decision.cause).bound
        if moving or max(self._stable.over(), self._panic.over()) > now:
            dates.append(now + LOOK_AGAIN)
        if self.wanted > self.least:
            if self._peak.value(now) > decision.desired:
                dates.append(self._peak.falls())
            window = self.rules.stable_window_seconds
            dates += [self.active_at + self.idle_limit, self._alarmed + window]
            dates.append(self._began + window)
        later = [date for date in dates if date > now]
        # A date is reached only after it: the oldest value of a window still counts at its end.
        return min(later) + 1e-3 if later else math.inf
