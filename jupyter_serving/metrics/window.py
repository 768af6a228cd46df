"""What is measured in memory: a mergeable latency histogram and a sliding rate.

Both are pure: no clock is read here, times come in as arguments. The histogram's buckets grow by a constant factor
(after DDSketch, VLDB 2019), so a quantile has a bounded *relative* error whatever the scale, and two histograms
merge by adding counts. That is what travels from the gateway to the controller.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

GROWTH = 1.1
SMALLEST = 1e-5
LARGEST = 3600.0
_LOG_GROWTH = math.log(GROWTH)
LAST_BUCKET = math.ceil(math.log(LARGEST / SMALLEST) / _LOG_GROWTH)
RELATIVE_ERROR = math.sqrt(GROWTH) - 1


def bucket_of(seconds: float) -> int:
    """Index of the bucket that holds ``seconds``: bucket i covers ``SMALLEST * GROWTH ** (i - 1 .. i)``.

    Everything at or below 10 µs is in bucket 0, everything above an hour in the last one.
    """
    if seconds <= SMALLEST:
        return 0
    return min(LAST_BUCKET, math.ceil(math.log(seconds / SMALLEST) / _LOG_GROWTH))


def value_of(bucket: int) -> float:
    """Seconds that stand for a bucket: its geometric middle, within ``RELATIVE_ERROR`` of all it holds."""
    return SMALLEST if bucket <= 0 else SMALLEST * float(GROWTH ** (bucket - 0.5))


def upper_bound(bucket: int) -> float:
    """Largest value of a bucket in seconds (Prometheus' ``le``)."""
    return SMALLEST * float(GROWTH**bucket)


class Histogram:
    """Counts of durations by logarithmic bucket."""

    __slots__ = ("counts",)

    def __init__(self, pairs: Iterable[Iterable[int]] = ()) -> None:
        """``pairs`` is the wire form: ``[[bucket, count], ...]``; buckets may repeat."""
        self.counts: dict[int, int] = {}
        for bucket, count in pairs:
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def add(self, seconds: float) -> None:
        """Count one duration."""
        bucket = bucket_of(seconds)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Add all counts of ``other``."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def pairs(self) -> list[list[int]]:
        """Wire form, by ascending bucket: ``[[bucket, count], ...]``."""
        return [[bucket, self.counts[bucket]] for bucket in sorted(self.counts)]

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.counts.values())

    def total(self) -> float:
        """Sum of all durations in seconds, within the relative error of a bucket."""
        return sum(value_of(bucket) * count for bucket, count in self.counts.items())

    def quantile(self, q: float) -> float | None:
        """The ``q``-quantile in seconds (0 <= q <= 1), None when nothing was counted.

        It is the duration with rank ``ceil(q * count)`` of the sorted ones, within ``RELATIVE_ERROR``.
        """
        rank = max(1, math.ceil(q * self.count))
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return value_of(bucket)
        return None


class RateWindow:
    """Events per second over a sliding window, kept in ``steps`` sub-counts.

    The rate is exact up to one step (``seconds / steps``) at the window's far edge.
    """

    __slots__ = ("_first", "_slices", "_step", "seconds")

    def __init__(self, seconds: float = 10.0, steps: int = 20) -> None:
        self.seconds = seconds
        self._step = seconds / steps
        self._slices: deque[list[float]] = deque()
        self._first: float | None = None

    def add(self, now: float, count: int = 1) -> None:
        """Count ``count`` events at ``now`` (seconds of a monotonic clock; never goes back)."""
        if self._first is None:
            self._first = now
        if self._slices and now - self._slices[-1][0] < self._step:
            self._slices[-1][1] += count
            return
        self._forget(now)
        self._slices.append([now, count])

    def rate(self, now: float) -> float:
        """Events per second over the window, or since the first event where that is shorter."""
        self._forget(now)
        if self._first is None or not self._slices:
            return 0.0
        span = min(self.seconds, max(now - self._first, self._step))
        return sum(count for _, count in self._slices) / span

    def _forget(self, now: float) -> None:
        while self._slices and now - self._slices[0][0] >= self.seconds:
            self._slices.popleft()
        if not self._slices:
            self._first = now if self._first is not None else None
