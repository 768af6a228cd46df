"""Starts that failed, by entity key: when the next one may be tried, and what waiting callers are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 60.0
TOLD_AFTER = 3


@dataclass(frozen=True, slots=True)
class Setback:
    """``count`` failures in a row; ``until`` is when the next try is due, in epoch seconds."""

    count: int
    until: float
    why: str


class Setbacks:
    """What is known of entities whose last start failed; pauses double with every failure."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: dict[str, Setback] = {}

    def failed(self, key: str, why: str) -> None:
        """A start of the entity, or what comes before it, failed."""
        count = self._known[key].count + 1 if key in self._known else 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (count - 1))
        self._known[key] = Setback(count, self._clock() + pause, why)

    def forget(self, keys: Iterable[str]) -> None:
        """The entities started, or nothing is wanted of them: the next start is a first one again."""
        for key in keys:
            self._known.pop(key, None)

    def held_off(self, key: str) -> bool:
        """True while the next start is not due."""
        known = self._known.get(key)
        return known is not None and known.until > self._clock()

    def due(self, endpoint: str) -> list[float]:
        """When starts of an endpoint's entities are due that are held off, in epoch seconds."""
        now = self._clock()
        own = (s for key, s in self._known.items() if key.startswith(f"{endpoint}:"))
        return [s.until for s in own if s.until > now]

    def why(self, key: str) -> str | None:
        """Why the last start failed; None where it did not."""
        known = self._known.get(key)
        return None if known is None else known.why

    def lasting(self, key: str) -> str | None:
        """The same once so many starts in a row have failed that nobody should wait for the next one."""
        known = self._known.get(key)
        return None if known is None or known.count < TOLD_AFTER else known.why
