"""One timer for all deadlines of a replica's calls."""

from __future__ import annotations

import asyncio
from typing import Callable, Optional

# Between two looks at all calls, so that many deadlines close together cost little.
_LEAST = 0.01


class Deadlines:
    """Calls ``expire(now)`` when a deadline may have come; it ends what is overdue and returns the next deadline.

    A call that ends early leaves no trace: at the next look its deadline is no longer among the living.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, expire: Callable[[float], Optional[float]]
    ) -> None:
        self._loop = loop
        self._expire = expire
        self._next = float("inf")
        self._timer: Optional[asyncio.TimerHandle] = None

    def watch(self, deadline: float) -> None:
        """There is a call with this deadline (loop time)."""
        if deadline < self._next:
            self._set(deadline)

    def _set(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = deadline
        self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer, self._next = None, float("inf")
        now = self._loop.time()
        soonest = self._expire(now)
        if soonest is not None:
            self.watch(max(soonest, now + _LEAST))
