"""Wanted replicas per served entity: what the gateway reports goes in, decisions come out.

Effects stay outside: ``wake``, ``observe`` and ``tick`` return whose wanted number changed, and the caller enqueues the
endpoint; decisions worth keeping are handed to ``record``. An entity costs nothing until a request comes for it or a
window of its rules ends: those dates are kept in a heap. Time is the wall clock in seconds, injected.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..autoscale.policy import Cause, Decision, Inputs, decide
from ..autoscale.rules import Rules
from ..workloads import Capacity
from .scaled import Entity

DEFAULT = Rules()
Limits = Callable[[str], tuple[float, float]]
"""What the host allows an entity, by key: replicas in all (inf: no bound), 1.0 where it is too contended for more."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision worth keeping: other replicas are wanted than before, or another bound holds them back."""

    key: str
    at: float
    inputs: Inputs
    decision: Decision


def unlimited(key: str) -> tuple[float, float]:
    """A host without bounds."""
    return math.inf, 0.0


class Scaling:
    """Decisions for all served entities, by entity key.

    Args:
        clock: wall clock in seconds.
        limits: what the host allows.
        record: takes decisions worth keeping.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limits: Limits = unlimited,
        record: Callable[[Decided], None] = lambda _: None,
    ) -> None:
        self._clock, self._record = clock, record
        self.limits = limits
        self.entities: dict[str, Entity] = {}
        self._of: dict[str, dict[str, Entity]] = {}
        self._heap: list[tuple[float, str]] = []
        # The date in the heap that counts for each entity; others of it there are void.
        self._date: dict[str, float] = {}
        # The bound that was last recorded of each entity, and when without a change.
        self._bound: dict[str, tuple[Cause | None, float]] = {}

    # -- who there is --------------------------------------------------------------------------------

    def track(
        self,
        key: str,
        capacity: Capacity,
        idle_limit: float,
        ready: int,
        floor: int,
        rules: Rules = DEFAULT,
    ) -> Entity:
        """Begin to decide for an entity, or update its bounds; ``wanted`` follows at once.

        Args:
            key: entity key.
            capacity: its bounds.
            idle_limit: idle seconds before zero; inf for never.
            ready: replicas that are up now (after a restart of the controller that capacity is held).
            floor: never fewer (within the bounds): what an update that is under way needs of it; 0 without one.
            rules: windows, thresholds and rates.
        """
        now = self._clock()
        entity = self.entities.get(key)
        if entity is None:
            entity = Entity(capacity, rules, idle_limit, ready, now)
            self.entities[key] = self._of.setdefault(_endpoint(key), {})[key] = entity
        if entity.set(capacity, idle_limit, ready, floor, rules, now) or entity.last is None:
            self._decide(key, entity, now)
        return entity

    def load(self, key: str) -> float:
        """Slots that the present load of an entity asks for; 0 for one that is not tracked."""
        entity = self.entities.get(key)
        return 0.0 if entity is None else entity.asks(self._clock())

    def drop(self, keys: set[str]) -> None:
        """Forget entities."""
        for key in keys & self.entities.keys():
            del self.entities[key]
            own = self._of[_endpoint(key)]
            del own[key]
            if not own:
                del self._of[_endpoint(key)]
            self._date.pop(key, None)
            self._bound.pop(key, None)

    def of(self, endpoint: str) -> Mapping[str, Entity]:
        """Entities of an endpoint's id, by key."""
        return self._of.get(endpoint, {})

    def wanted(self, endpoint: str) -> dict[str, int]:
        """Wanted replicas of an endpoint's entities, by entity key."""
        return {key: entity.wanted for key, entity in self.of(endpoint).items()}

    def in_flight(self, endpoint: str) -> dict[str, int]:
        """Requests in flight by replica of an endpoint, as its gateway last told."""
        told: dict[str, int] = {}
        for entity in self.of(endpoint).values():
            told |= entity.replicas
        return told

    # -- what happens --------------------------------------------------------------------------------

    def wake(self, key: str, held: int, since: float) -> bool:
        """``held`` requests wait since ``since`` and no replica is ready; True if more replicas are wanted now."""
        entity = self.entities.get(key)
        if entity is None:
            return False
        now = self._clock()
        entity.held(held, since, now)
        return self._decide(key, entity, now)

    def observe(self, key: str, figures: Mapping[str, Any]) -> bool:
        """Take one report of the gateway; True if the wanted number changed."""
        entity = self.entities.get(key)
        if entity is None:
            return False
        now = self._clock()
        entity.told(figures, now)
        return self._decide(key, entity, now)

    def tick(self) -> set[str]:
        """Decide where a date has passed; return the keys whose wanted number changed."""
        now = self._clock()
        changed = set()
        while self._heap and self._heap[0][0] <= now:
            date, key = heapq.heappop(self._heap)
            if self._date.get(key) != date:
                continue
            del self._date[key]
            if self._decide(key, self.entities[key], now):
                changed.add(key)
        return changed

    def now(self) -> float:
        """The clock that decisions are dated by."""
        return self._clock()

    def present(self, key: str) -> tuple[Inputs, Decision]:
        """What would be decided just now, without an effect; KeyError for an unknown entity."""
        inputs = self.entities[key].inputs(self._clock(), *self.limits(key))
        return inputs, decide(inputs)

    # -- inside --------------------------------------------------------------------------------------

    def _decide(self, key: str, entity: Entity, now: float) -> bool:
        room, pressed = self.limits(key)
        inputs = entity.inputs(now, room, pressed)
        decision = decide(inputs)
        entity.take(now, inputs, decision)
        self._schedule(key, entity.due(now))
        changed = bool(entity.wanted != inputs.current)
        if self._is_news(key, entity, decision.cause, now, changed):
            self._record(Decided(key, now, inputs, decision))
        return changed

    def _is_news(self, key: str, entity: Entity, cause: Cause, now: float, changed: bool) -> bool:
        """True for a change, and for another bound than before: that at most once in a stable window."""
        bound = cause if cause.bound else None
        known, since = self._bound.get(key, (None, -math.inf))
        if not changed and (bound is known or now - since < entity.rules.stable_window_seconds):
            return False
        self._bound[key] = (bound, since if changed else now)
        return True

    def _schedule(self, key: str, due: float) -> None:
        """See to it that ``tick`` looks at the entity at ``due``: an earlier date in the heap does as well."""
        if due < self._date.get(key, math.inf):
            self._date[key] = due
            heapq.heappush(self._heap, (due, key))


def _endpoint(key: str) -> str:
    return key.partition(":")[0]
