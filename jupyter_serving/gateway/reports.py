"""What the controller is told, and when: wake-ups at once, counts once a second while there is something to count.

An idle gateway has no timer at all: the first request after a pause starts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from .gaps import Gaps
from .meter import Meter
from .queue import Lane, Queues

TICK_SECONDS = 1.0


class Notices(Protocol):
    """The way to the controller; everything but ``stats`` may be called at any time and is dropped or kept there."""

    @property
    def connected(self) -> bool:
        """True while a controller listens."""

    def wake(self, key: str, held: int) -> None:
        """Requests are held and no replica is ready."""

    def drained(self, replica: str) -> None:
        """A replica that gets no new requests holds none."""

    def replica_failed(self, replica: str, reason: str) -> None:
        """A connection to it was refused or lost."""

    def first_response(self, replica: str, key: str, seconds: float) -> None:
        """A replica began its first answer, ``seconds`` after the request arrived."""

    def notice(self, replica: str, key: str, text: str, capacity: int | None) -> None:
        """A replica said that something changed for the worse; ``capacity`` is what it can hold now, if it said."""

    def stats(
        self,
        entities: dict[str, Any],
        refused: dict[str, dict[str, int]],
        gaps: dict[str, float],
    ) -> None:
        """Counts by key since the last call; ``refused``: by endpoint and reason, what reached no served entity;
        ``gaps``: by endpoint, the longest time without an answer while a request was there, in seconds.
        """


class Reports:
    """Meters by key, and the tick that reports them.

    Args:
        loop: where the tick runs.
        notices: the way to the controller.
        queues: gauges and held requests.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        notices: Notices,
        queues: Queues[Any],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._notices = notices
        self._queues = queues
        self._clock = clock
        self._meters: dict[str, Meter] = {}
        self.gaps = Gaps()
        self._woken: dict[str, float] = {}
        self._turned_away: dict[str, dict[str, int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        # Since when nothing has been told: the deltas of the next report are of the time from then.
        self._since: float | None = None

    def meter(self, key: str) -> Meter:
        """The meter of a served entity; using it makes a report due."""
        if self._timer is None:
            self._start()
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter()
        return meter

    def turned_away(self, endpoint: str, reason: str) -> None:
        """A request of a known endpoint was refused before it belonged to a served entity.

        Reasons: ``stopped``, ``failed``, ``unavailable``, ``unknown_entity``, ``token``.
        """
        counts = self._turned_away.setdefault(endpoint, {})
        counts[reason] = counts.get(reason, 0) + 1
        if self._timer is None:
            self._start()

    def held(self, lane: Lane[Any]) -> None:
        """A request was put in the queue: wake the controller where no replica is ready (first one: at once)."""
        if lane.waiting and not lane.ready:
            now = self._clock()
            first = len(lane.waiting) == 1
            if first or now - self._woken.get(lane.key, float("-inf")) >= TICK_SECONDS:
                self._woken[lane.key] = now
                self._notices.wake(lane.key, len(lane.waiting))

    def connected(self) -> None:
        """A controller connected and has told its routes: tell it what is held, and the counts so far."""
        for lane in self._queues.lanes.values():
            if lane.waiting and not lane.ready:
                self._woken[lane.key] = self._clock()
                self._notices.wake(lane.key, len(lane.waiting))
        if self._timer is None:
            self._start()

    def flush(self) -> None:
        """Report now."""
        if not self._notices.connected:
            return
        told = {}
        now = self._clock()
        seconds = now - self._since if self._since is not None else TICK_SECONDS
        self._since = None
        for key, meter in list(self._meters.items()):
            lane = self._queues.lanes.get(key)
            report = meter.report(lane, now, seconds)
            if report is not None:
                told[key] = report
            elif lane is None:
                del self._meters[key]
                self._woken.pop(key, None)
        if told or self._turned_away:
            self._notices.stats(told, self._turned_away, self.gaps.take(now))
            self._turned_away = {}

    def stop(self) -> None:
        """Report what is left and stop the tick."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self.flush()
        busy = False
        for lane in self._queues.lanes.values():
            busy = busy or bool(lane.waiting)
            if lane.waiting:
                self.held(lane)
        if busy or any(meter.in_flight for meter in self._meters.values()):
            self._start()

    def _start(self) -> None:
        if self._since is None:
            self._since = self._clock()
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)
