"""One timer for the deadlines of all requests: a request that ends in time costs two dictionary operations.

Deadlines are kept in slots of ``GRAIN_SECONDS``; the timer is set for the first one that holds something, so with
requests that end in time it fires about once per deadline, and never on an idle gateway.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from typing import Protocol

GRAIN_SECONDS = 0.05
# A clock that was asked to move by a difference may fall short of it by the last bits.
_ROUNDING = 1e-6


class Due(Protocol):
    """Whatever has a deadline; each may have one at a time."""

    def on_due(self) -> None:
        """Its deadline has passed; at most one grain ago, where the loop is not busy."""


class Deadlines:
    """All deadlines of this process, in seconds of ``clock``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._slots: dict[int, dict[Due, None]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timed: int | None = None

    def add(self, when: float, due: Due) -> int:
        """Call ``due.on_due`` at ``when``; returns the slot, by which it can be removed."""
        slot = math.ceil(when / GRAIN_SECONDS)
        held = self._slots.get(slot)
        if held is not None:
            held[due] = None
            return slot
        self._slots[slot] = {due: None}
        heapq.heappush(self._order, slot)
        if self._timed is None or slot < self._timed:
            self._arm()
        return slot

    def remove(self, slot: int, due: Due) -> None:
        """Forget a deadline; one that has passed already is no error."""
        held = self._slots.get(slot)
        if held is not None:
            held.pop(due, None)
            if not held:
                # An emptied dictionary keeps its table, and there are thousands of slots.
                held.clear()

    def _arm(self) -> None:
        """Set the timer for the earliest slot that holds something."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timed = None
        while self._order and not self._slots[self._order[0]]:
            del self._slots[heapq.heappop(self._order)]
        if self._order:
            self._timed = self._order[0]
            left = self._timed * GRAIN_SECONDS - self._clock()
            self._timer = self._loop.call_later(max(0.0, left), self._fire)

    def _fire(self) -> None:
        self._timer = self._timed = None
        now = self._clock() + _ROUNDING
        late: list[Due] = []
        while self._order and self._order[0] * GRAIN_SECONDS <= now:
            late.extend(self._slots.pop(heapq.heappop(self._order)))
        self._arm()
        for due in late:
            due.on_due()
