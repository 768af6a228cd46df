"""A de-duplicating work queue: a name waits at most once, and never two workers hold the same name.

The shape is dask-gateway's: adding a name that waits does nothing, adding one that is being worked on makes it wait
until the worker is done, and a failing name is put off longer each time. Time comes from the injected clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class WorkQueue:
    """Names to be worked on. ``add`` from anywhere in the loop; workers ``take`` and ``done``."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, base: float = 0.1, cap: float = 60.0
    ) -> None:
        self._clock = clock
        self._base = base
        self._cap = cap
        self._due: dict[str, float] = {}
        self._active: set[str] = set()
        self._failures: dict[str, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def add(self, name: str, after: float = 0.0) -> None:
        """Let ``name`` be taken in ``after`` seconds; an earlier date that it already has stays."""
        due = self._clock() + after
        if due < self._due.get(name, float("inf")):
            self._due[name] = due
            self._changed.set()

    async def take(self) -> str:
        """Wait for a name that is due and not being worked on, and hold it."""
        while True:
            name, wait = self._next()
            if name is not None:
                del self._due[name]
                self._active.add(name)
                return name
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def done(self, name: str, failed: bool = False) -> None:
        """Let go of ``name``; a failed one comes back after ``base * 2 ** n`` seconds, at most ``cap``."""
        self._active.discard(name)
        if failed:
            count = self._failures[name] = self._failures.get(name, 0) + 1
            self.add(name, min(self._cap, self._base * 2.0 ** (count - 1)))
        else:
            self._failures.pop(name, None)
        self._changed.set()

    def _next(self) -> tuple[str | None, float | None]:
        """The due name that waits longest, or None and the seconds until the next one is due."""
        now = self._clock()
        free = [(due, name) for name, due in self._due.items() if name not in self._active]
        if not free:
            return None, None
        due, name = min(free)
        return (name, None) if due <= now else (None, due - now)
