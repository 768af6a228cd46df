"""When do deaths of workers make a crash loop, and how long to wait before the next one is started."""

from __future__ import annotations

from typing import List

WINDOW = 10.0
LIMIT = 3
LONGEST_DELAY = 10.0


class Crashes:
    """Deaths of workers since the last success. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._deaths: List[float] = []

    def died(self, now: float) -> None:
        """A worker ended without being told to."""
        self._deaths.append(now)

    def succeeded(self) -> None:
        """A worker answered a request."""
        self._deaths.clear()

    def __bool__(self) -> bool:
        return bool(self._deaths)

    def looping(self, now: float) -> bool:
        """True while ``LIMIT`` deaths lie within ``WINDOW`` of each other and the last one within ``WINDOW`` of now."""
        last = self._deaths[-LIMIT:]
        return len(last) == LIMIT and last[-1] - last[0] <= WINDOW and now - last[-1] < WINDOW

    def delay(self) -> float:
        """Seconds until the next worker may start: none at first, then 0.1 s doubling up to ``LONGEST_DELAY``."""
        count = len(self._deaths)
        return 0.0 if count < LIMIT else min(LONGEST_DELAY, 0.1 * 2.0 ** min(count - LIMIT, 20))
