"""What the gateway counts per served entity between two reports to the controller.

Every request that reached a served entity ends in exactly one count: arrivals = finished + refused + running + waiting.
The time integrals of the running and of the waiting ones give, by Little's law, the mean execution time
(busy_seconds / finished) and the mean load (busy_seconds / seconds), whatever the moment of the report.
"""

from __future__ import annotations

from typing import Any

from ..metrics.window import SMALLEST, Histogram, RateWindow
from .queue import Lane


class Meter:
    """Counts of one served entity; times are unix seconds where named ``at``, else monotonic or durations."""

    __slots__ = (
        "_arrivals",
        "_at_once",
        "_busy",
        "_busy_at",
        "_errors",
        "_finished",
        "_last_arrival",
        "_latency",
        "_news",
        "_queued",
        "_queued_at",
        "_refused",
        "_waiting",
        "_waits",
        "in_flight",
        "rate",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self._queued = 0
        self._busy_at = self._queued_at = 0.0
        self.rate = RateWindow(10.0, 20)
        self._last_arrival: float | None = None
        self._forget()

    def arrived(self, at: float) -> None:
        """A request was routed here."""
        self._arrivals += 1
        self._last_arrival = at
        self._news = True

    def left(self) -> None:
        """A waiting request was routed elsewhere: it never arrived here."""
        self._arrivals -= 1
        self._news = True

    def queued(self, now: float) -> None:
        """A request began to wait for a slot."""
        self._waiting += self._queued * (now - self._queued_at)
        self._queued_at = now
        self._queued += 1

    def unqueued(self, now: float) -> None:
        """A request waits no longer: it got a slot, is refused or waits elsewhere."""
        self._waiting += self._queued * (now - self._queued_at)
        self._queued_at = now
        self._queued -= 1

    def started(self, now: float, waited: float) -> None:
        """A request got a slot after ``waited`` seconds in the queue."""
        self._busy += self.in_flight * (now - self._busy_at)
        self._busy_at = now
        self.in_flight += 1
        self._news = True
        if waited > SMALLEST:
            self._waits.add(waited)
        else:
            self._at_once += 1

    def stopped(self, now: float) -> None:
        """A request that had not begun lost its slot; it waits again or is refused."""
        self._busy += self.in_flight * (now - self._busy_at)
        self._busy_at = now
        self.in_flight -= 1
        self._news = True

    def finished(self, status: int, seconds: float, now: float) -> None:
        """A request is over and its slot free; ``status`` 500 and above counts as an error, others as latency."""
        self._busy += self.in_flight * (now - self._busy_at)
        self._busy_at = now
        self.in_flight -= 1
        self._finished += 1
        self._news = True
        self.rate.add(now)
        if status >= 500:
            self._errors += 1
        else:
            self._latency.add(seconds)

    def refused(self, reason: str) -> None:
        """A request ended without a slot.

        Reasons: ``queue_full``, ``deadline``, ``client_gone``, ``rerouted`` (its endpoint closed), ``closing``.
        """
        self._refused[reason] = self._refused.get(reason, 0) + 1
        self._news = True

    def report(self, lane: Lane[Any] | None, now: float, seconds: float) -> dict[str, Any] | None:
        """Deltas of the last ``seconds``, and the gauges; None when there is nothing to tell.

        ``lane`` is None where the served entity left the routing.
        """
        queued = len(lane.waiting) if lane else 0
        if not self._news and not self.in_flight and not queued:
            return None
        self._busy += self.in_flight * (now - self._busy_at)
        self._waiting += self._queued * (now - self._queued_at)
        self._busy_at = self._queued_at = now
        told = {
            "seconds": round(seconds, 6),
            "in_flight": self.in_flight,
            "queued": queued,
            "slots": lane.slots if lane else 0,
            "capacity": lane.capacity if lane else 0,
            "replicas": lane.held() if lane else {},
            "arrivals": self._arrivals,
            "finished": self._finished,
            "errors": self._errors,
            "refused": self._refused,
            "last_arrival": self._last_arrival,
            "latency": self._latency.pairs(),
            "busy_seconds": round(self._busy, 6),
            "waiting_seconds": round(self._waiting, 6),
            "waits": self._waited(),
        }
        self._forget()
        return told

    def _waited(self) -> list[list[int]]:
        """Seconds from the queue to a slot of all that got one, those that had not to wait in bucket 0."""
        if self._at_once:
            self._waits.counts[0] = self._waits.counts.get(0, 0) + self._at_once
        return self._waits.pairs()

    def _forget(self) -> None:
        self._arrivals = self._finished = self._errors = 0
        self._refused: dict[str, int] = {}
        self._latency = Histogram()
        self._waits = Histogram()
        self._at_once = 0
        self._busy = self._waiting = 0.0
        self._news = False
