"""What the gateway counts per served entity between two reports to the controller.

Every request that reached a served entity ends in exactly one count: arrivals = finished + refused + running + waiting.
"""

from __future__ import annotations

from typing import Any

from ..metrics.window import Histogram, RateWindow
from .queue import Lane


class Meter:
    """Counts of one served entity; times are unix seconds where named ``at``, else monotonic or durations."""

    __slots__ = (
        "_arrivals",
        "_errors",
        "_finished",
        "_last_arrival",
        "_latency",
        "_news",
        "_refused",
        "in_flight",
        "rate",
    )

    def __init__(self) -> None:
        self.in_flight = 0
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

    def started(self) -> None:
        """A request got a slot."""
        self.in_flight += 1
        self._news = True

    def stopped(self) -> None:
        """A request that had not begun lost its slot; it waits again or is refused."""
        self.in_flight -= 1
        self._news = True

    def finished(self, status: int, seconds: float, now: float) -> None:
        """A request is over and its slot free; ``status`` 500 and above counts as an error, others as latency."""
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

    def report(self, lane: Lane[Any] | None) -> dict[str, Any] | None:
        """Deltas since the last report, and the gauges; None when there is nothing to tell.

        ``lane`` is None where the served entity left the routing.
        """
        queued = len(lane.waiting) if lane else 0
        if not self._news and not self.in_flight and not queued:
            return None
        told = {
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
        }
        self._forget()
        return told

    def _forget(self) -> None:
        self._arrivals = self._finished = self._errors = 0
        self._refused: dict[str, int] = {}
        self._latency = Histogram()
        self._news = False
