"""Sliding windows of one entity, on floats: the time-weighted mean load, and the largest estimate.

Nothing runs here between two calls: an idle entity costs memory only. Times are seconds of any clock that does not go
back; all three read times that are given to them.
"""

from __future__ import annotations

import math
from collections import deque

SLICES = 60
LEAST = 1.0


class Mean:
    """Time-weighted mean of a load over the last ``window`` seconds.

    Spans that nothing was told of count as no load. Until a whole window has passed since ``began`` the mean is that of
    the time since, and of ``LEAST`` seconds at least. What is told is kept in about ``SLICES`` slices of a window; the
    mean is exact up to one slice at the window's far edge.
    """

    __slots__ = ("_slices", "began", "window")

    def __init__(self, window: float, began: float) -> None:
        self.window = window
        self.began = began
        # [start, end, load x seconds]
        self._slices: deque[list[float]] = deque()

    def add(self, now: float, load: float, seconds: float) -> None:
        """The load was ``load`` on average over the ``seconds`` up to ``now``.

        A report that overlaps the one before (it came late) counts in full, in the time that is left to it.
        """
        self._forget(now)
        start = max(now - seconds, self.began)
        area = load * max(0.0, now - start)
        if self._slices:
            last = self._slices[-1]
            start = min(now, max(start, last[1]))
            if now - last[0] <= self.window / SLICES:
                last[1], last[2] = now, last[2] + area
                return
        self._slices.append([start, now, area])

    def resize(self, window: float, now: float) -> None:
        """Look at so many seconds from now on; of a longer window, what was not kept counts as not having been."""
        if window > self.window:
            self.began = max(self.began, now - self.window)
        self.window = window

    def value(self, now: float, present: float = 0.0) -> float:
        """The mean at ``now``; 0.0 where nothing has been told. Since the last report the load was ``present``."""
        self._forget(now)
        edge = now - self.window
        if not self._slices:
            return 0.0
        area = present * max(0.0, now - self._slices[-1][1])
        for start, end, held in self._slices:
            inside = end - max(start, edge)
            area += held if start >= edge else held * inside / (end - start)
        return area / min(self.window, max(now - self.began, LEAST))

    def over(self) -> float:
        """When the last that was told leaves the window, so that the mean is 0 from then on; -inf: it is."""
        return self._slices[-1][1] + self.window if self._slices else -math.inf

    def _forget(self, now: float) -> None:
        edge = now - self.window
        while self._slices and self._slices[0][1] <= edge:
            self._slices.popleft()


class Peak:
    """Largest value within the last ``window`` seconds (a monotonic queue: each value is looked at twice at most)."""

    __slots__ = ("_values", "window")

    def __init__(self, window: float) -> None:
        self.window = window
        self._values: deque[tuple[float, float]] = deque()

    def add(self, now: float, value: float) -> None:
        """Take in a value of ``now``."""
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((now, value))

    def value(self, now: float) -> float:
        """The largest one that is at most ``window`` seconds old; 0.0 where there is none."""
        while self._values and self._values[0][0] < now - self.window:
            self._values.popleft()
        return self._values[0][1] if self._values else 0.0

    def falls(self) -> float:
        """When the largest value leaves the window; inf where there is none."""
        return self._values[0][0] + self.window if self._values else math.inf
