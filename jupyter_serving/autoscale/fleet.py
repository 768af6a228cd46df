"""Replicas of many endpoints in simulated time: wanted, starting, ready."""

from __future__ import annotations

import math

import numpy as np

from .flow import Places
from .traces import Floats


class Fleet:
    """Replicas that become ready a cold start after they were wanted, and go at once when they are not.

    Args:
        step: seconds of a step.
        cold_start: seconds from the decision to readiness, shape (endpoints,).
        ready: replicas that are up at the beginning, shape (endpoints,).
    """

    def __init__(self, step: float, cold_start: Floats, ready: Floats) -> None:
        count = len(cold_start)
        self._step = step
        self._cold_start = np.maximum(cold_start, 0.0)
        self._rows = math.ceil(float(self._cold_start.max(initial=0.0)) / step) + 3
        self._due = np.zeros((self._rows, count))
        self._offset = np.zeros((self._rows, count))
        self._cancelled = np.zeros(count)
        self.ready: Floats = ready.astype(np.float64)
        self.starting: Floats = np.zeros(count)
        self.wanted: Floats = self.ready.copy()
        self.starts: Floats = np.zeros(count)

    def want(self, places: Places, wanted: Floats, row: int, offset: Floats) -> None:
        """Want so many replicas from ``offset`` seconds into step ``row`` on.

        Args:
            places: endpoints, shape (n,).
            wanted, offset: replicas and seconds for each of them, shape (n,).
        """
        more = wanted - self.ready[places] - self.starting[places]
        self.wanted[places] = wanted
        up = more > 0.0
        if up.any():
            self._start(places[up], more[up], row, offset[up])
        down = more < 0.0
        if down.any():
            self._stop(places[down], -more[down])

    def _start(self, places: Places, count: Floats, row: int, offset: Floats) -> None:
        at = offset + self._cold_start[places]
        steps = np.floor(at / self._step + 1e-9)
        slot = (row + steps.astype(np.int64)) % self._rows
        known = self._due[slot, places]
        # Two starts that end in one step become ready at the mean of their moments.
        moment = self._offset[slot, places] * known + (at - steps * self._step) * count
        self._offset[slot, places] = np.maximum(0.0, moment / (known + count))
        self._due[slot, places] = known + count
        self.starting[places] += count
        self.starts[places] += count

    def _stop(self, places: Places, count: Floats) -> None:
        """What is not ready yet goes first."""
        cancelled = np.minimum(count, self.starting[places])
        self._cancelled[places] += cancelled
        self.starting[places] -= cancelled
        self.ready[places] -= count - cancelled

    def arrive(self, row: int) -> tuple[Floats, Floats]:
        """Make ready what is due in step ``row``; return ready replicas before it, and seconds into the step."""
        slot = row % self._rows
        due = self._due[slot]
        before = self.ready
        if not due.any():
            return before, np.zeros(len(due))
        kept = np.maximum(0.0, due - self._cancelled)
        self._cancelled = self._cancelled - (due - kept)
        self.ready = before + kept
        self.starting = self.starting - kept
        moment = np.where(kept > 0.0, self._offset[slot], 0.0)
        self._due[slot] = 0.0
        self._offset[slot] = 0.0
        return before, moment
