"""Wanted replicas per served entity: what the gateway reports goes in, decisions come out.

Effects stay outside: ``wake``, ``observe`` and ``tick`` return whether the wanted number changed, and the caller
enqueues the endpoint. Time is the wall clock in seconds, injected.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..workloads import Capacity
from .decision_v1 import Decision, Inputs, decide

RATE_WINDOW = 10.0


@dataclass(slots=True)
class Entity:
    """Live figures of one served entity.

    ``group``: requests that one slot takes together (1 without batching), as its replicas last had it.
    """

    capacity: Capacity
    idle_limit: float
    wanted: int
    active_at: float
    floor: int
    held: int = 0
    held_since: float | None = None
    in_flight: int = 0
    queued: int = 0
    group: float = 1.0
    reason: str = ""
    wishes: deque[tuple[float, int]] = field(default_factory=deque)
    arrivals: deque[tuple[float, int]] = field(default_factory=deque)

    def rate(self, now: float) -> float:
        """Arrivals per second over the last ``RATE_WINDOW`` seconds."""
        while self.arrivals and self.arrivals[0][0] <= now - RATE_WINDOW:
            self.arrivals.popleft()
        return sum(n for _, n in self.arrivals) / RATE_WINDOW


class Scaling:
    """Decisions for all served entities, by entity key."""

    def __init__(
        self, clock: Callable[[], float], target_utilisation: float, down_window: float
    ) -> None:
        self._clock = clock
        self._target = target_utilisation
        self._window = down_window
        self.entities: dict[str, Entity] = {}

    def track(
        self, key: str, capacity: Capacity, idle_limit: float, ready: int, floor: int
    ) -> Entity:
        """Begin to decide for an entity, or update its bounds.

        Args:
            key: entity key.
            capacity: its bounds.
            idle_limit: idle seconds before zero; inf for never.
            ready: replicas that are up now (after a restart of the controller that capacity is held).
            floor: never fewer (within the bounds): what an update that is under way needs of it; 0 without one.
        """
        known = self.entities.get(key)
        if known is None:
            wanted = min(capacity.max_replicas, max(ready, capacity.min_replicas, floor))
            now = self._clock()
            known = Entity(capacity, idle_limit, wanted, now, floor)
            # An empty history must not shrink what was up before a restart.
            known.wishes.append((now, wanted))
            self.entities[key] = known
        known.capacity, known.idle_limit = capacity, idle_limit
        if known.floor and not floor:
            known.active_at = self._clock()
        known.floor = floor
        if known.wanted < floor:
            self._decide(known)
        return known

    def load(self, key: str) -> float:
        """Slots that the present load of an entity asks for; 0 for one that is not tracked."""
        entity = self.entities.get(key)
        if entity is None:
            return 0.0
        return (entity.in_flight + entity.queued) / entity.group / self._target

    def drop(self, keys: set[str]) -> None:
        """Forget entities."""
        for key in keys:
            self.entities.pop(key, None)

    def wanted(self) -> Mapping[str, int]:
        """Wanted replicas by entity key."""
        return {key: entity.wanted for key, entity in self.entities.items()}

    def wake(self, key: str, held: int, since: float) -> bool:
        """``held`` requests wait since ``since`` and no replica is ready; True if more replicas are wanted now."""
        entity = self.entities.get(key)
        if entity is None:
            return False
        entity.held = held
        if entity.held_since is None:
            entity.held_since = since
        entity.active_at = self._clock()
        return self._decide(entity)

    def observe(self, key: str, figures: Mapping[str, Any]) -> bool:
        """Take one second of the gateway's figures; True if the wanted number changed."""
        entity = self.entities.get(key)
        if entity is None:
            return False
        now = self._clock()
        entity.in_flight = int(figures.get("in_flight", 0))
        entity.queued = int(figures.get("queued", 0))
        if figures.get("slots") and figures.get("capacity"):
            entity.group = max(1.0, figures["capacity"] / figures["slots"])
        if arrivals := int(figures.get("arrivals", 0)):
            entity.arrivals.append((now, arrivals))
        if arrivals or figures.get("finished") or entity.in_flight or entity.queued:
            entity.active_at = now
        if entity.queued == 0:
            entity.held, entity.held_since = 0, None
        return self._decide(entity)

    def tick(self) -> set[str]:
        """Decide for entities of which nothing was heard; return the keys whose wanted number changed."""
        return {
            key for key, entity in self.entities.items() if entity.wanted and self._decide(entity)
        }

    def _decide(self, entity: Entity) -> bool:
        now = self._clock()
        decision = decide(self._inputs(entity, now))
        if decision.wanted < entity.floor:
            decision = Decision(entity.floor, f"{entity.floor} for the update under way")
        changed = decision.wanted != entity.wanted
        if decision.wanted > entity.wanted:
            entity.wishes.append((now, decision.wanted))
        if changed:
            entity.wanted, entity.reason = decision.wanted, decision.reason
        return changed

    def _inputs(self, entity: Entity, now: float) -> Inputs:
        while entity.wishes and entity.wishes[0][0] < now - self._window:
            entity.wishes.popleft()
        # A slot that batches is one busy slot when its group is full: the replica has measured that so many requests
        # take at most twice the time of one.
        load = (entity.in_flight + entity.queued) / entity.group
        slots = entity.capacity.slots_per_replica * self._target
        entity.wishes.append((now, math.ceil(load / slots)))
        return Inputs(
            capacity=entity.capacity,
            busy=load,
            held=math.ceil(entity.held / entity.group),
            current=entity.wanted,
            peak=max(wish for _, wish in entity.wishes),
            idle=now - entity.active_at,
            idle_limit=entity.idle_limit,
            target_utilisation=self._target,
        )
