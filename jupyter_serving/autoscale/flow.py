"""Requests as a fluid: a first-in-first-out queue in front of slots, for many endpoints at once.

With the time ``x`` that every request holds a slot and ``c`` slots, request n starts when it has arrived and request
n - c has left: s(n) = max(a(n), s(n - c) + x) (Kiefer and Wolfowitz, 1955, for constant service). In cumulative counts,
A(t) arrivals and S(t) starts, that is S(t) = min(A(t), S(t - x) + c), followed back to the beginning of a step. The
queue is A - S, what is in flight S(t) - S(t - x), and the wait of a request the horizontal distance of both curves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .traces import Floats
from .waits import Waits

Places = npt.NDArray[np.int64]
PARTS = 16
SOME = 1e-6


class Flow:
    """Cumulative arrivals and starts of ``endpoints`` queues.

    Args:
        steps: how many steps will be made.
        step: seconds of a step.
        execution: seconds that a request holds a slot, shape (endpoints,).
        limit: requests that may wait; what comes beyond is refused, shape (endpoints,).
    """

    def __init__(self, steps: int, step: float, execution: Floats, limit: Floats) -> None:
        count = len(execution)
        self._step = step
        self._execution = np.maximum(execution, 1e-4)
        self._limit = limit
        self._all: Places = np.arange(count)
        self._arrived = np.zeros((steps + 1, count))
        self._started = np.zeros((steps + 1, count))
        self._row = 0
        self._woken_in = np.full(count, -1)
        self._woken_at = np.zeros(count)
        self._pointer: Places = np.zeros(count, dtype=np.int64)
        self._onset = np.zeros(count)
        self._head = np.zeros(count)
        self.waits = Waits(count)
        self.refused: Floats = np.zeros(count)
        self.in_flight: Floats = np.zeros(count)
        self.waiting: Floats = np.zeros(count)
        self.busy_seconds: Floats = np.zeros(count)
        self.waiting_seconds: Floats = np.zeros(count)

    @property
    def arrived(self) -> Floats:
        """Requests so far, without the refused ones."""
        return np.asarray(self._arrived[self._row])

    @property
    def started(self) -> Floats:
        """Requests that got a slot so far."""
        return np.asarray(self._started[self._row])

    def arrived_within(self, offset: Floats) -> Floats:
        """Requests of the step that is under way up to ``offset`` seconds into it."""
        return np.asarray(self._line(self._all, offset) - self._arrived[self._row])

    def arrive(self, arrivals: Floats, woken: Places) -> Floats:
        """Begin a step with these arrivals; return when the first of each of the ``woken`` comes, seconds into it.

        Arrivals are spread evenly over the step. Where they wake an endpoint the first one matters: it comes as a
        whole at half of the mean distance, and the others are spread over the rest.
        """
        row = self._row
        self._arrived[row + 1] = self._arrived[row] + arrivals
        self._onset[:] = 0.0
        self._head[:] = 0.0
        onset: Floats = self._step / (2.0 * np.maximum(arrivals[woken], 1.0))
        self._onset[woken] = onset
        self._head[woken] = np.minimum(arrivals[woken], 1.0)
        self._woken_in[woken], self._woken_at[woken] = row, onset
        self._slope = (arrivals - self._head) / (self._step - self._onset)
        return onset

    def advance(self, before: Floats, after: Floats, change: Floats) -> None:
        """End the step.

        Args:
            before, after: slots until and from ``change`` seconds into the step, shape (endpoints,).
        """
        row, length = self._row, self._step
        begun = self._started[row].copy()
        self.waiting_seconds[:] = 0.0
        split = np.flatnonzero(change > 0.0)
        if split.size:
            zero = np.zeros(split.size)
            begun[split] = self._serve(split, zero, change[split], begun[split], before[split])
        ended = self._serve(self._all, change, np.full(len(change), length), begun, after)
        self._started[row + 1] = ended
        self.refused += np.maximum(0.0, self._arrived[row + 1] - ended - self._limit)
        np.minimum(self._arrived[row + 1], ended + self._limit, out=self._arrived[row + 1])
        self._row = row + 1
        self._measure(ended - self._started[row])

    def _measure(self, starts: Floats) -> None:
        left = self._started_at(self._all, self._row, -self._execution)
        in_flight = self._started[self._row] - left
        short = self._execution < self._step
        # Of requests shorter than a step, what began in it; of longer ones, the mean of its two ends.
        self.busy_seconds = np.where(
            short, starts * self._execution, (self.in_flight + in_flight) * (self._step / 2.0)
        )
        self.in_flight = in_flight
        self.waiting = self._arrived[self._row] - self._started[self._row]

    # -- one step, or the part of it with one number of slots --------------------------------------------

    def _serve(
        self, places: Places, begin: Floats, end: Floats, begun: Floats, slots: Floats
    ) -> Floats:
        """Starts up to ``end`` seconds into the step, from ``begun`` at ``begin`` on; counts waits on the way."""
        execution = self._execution[places]
        whole = np.floor((end - begin) / execution + 1e-9)
        arrived = self._line(places, end)
        ended = np.minimum(arrived, self._line(places, end - whole * execution) + whole * slots)
        earlier = self._earlier(places, end - (whole + 1.0) * execution, begin, begun)
        ended = np.maximum(begun, np.minimum(ended, earlier + (whole + 1.0) * slots))
        ended = np.where(end > begin, ended, begun)
        queue = self._line(places, begin) - begun
        some = np.flatnonzero((queue > SOME) | (arrived - ended > SOME))
        if some.size:
            self._wait(places[some], begin[some], end[some], begun[some], ended[some], slots[some])
        return ended

    def _wait(
        self,
        places: Places,
        begin: Floats,
        end: Floats,
        begun: Floats,
        ended: Floats,
        slots: Floats,
    ) -> None:
        execution, length = self._execution[places], np.maximum(end - begin, SOME)
        first, last = self._line(places, begin), self._line(places, end)
        queue, left = first - begun, last - ended
        self._pointer[places] = np.where(queue > SOME, self._pointer[places], self._row)
        running = begun - self._earlier(places, begin - execution, begin, begun)
        free = np.maximum(0.0, slots - running)
        pace = slots / execution
        rate = (last - first) / length
        behind = np.maximum(0.0, queue - free)
        clear = np.minimum(length, behind / np.maximum(pace - rate, SOME))
        delayed = np.minimum(ended - begun, np.where(left > SOME, np.inf, queue + rate * clear))
        self.waiting_seconds[places] += np.where(
            left > SOME, (behind + left) * 0.5 * length, behind * 0.5 * clear
        )
        some = delayed > SOME
        if not some.any():
            return
        part = (np.arange(PARTS) + 0.5) / PARTS * delayed[some, None]
        beyond = np.maximum(0.0, part - free[some, None]) / np.maximum(pace[some, None], SOME)
        starts = np.minimum(begin[some, None] + beyond, end[some, None])
        arrivals = self._moment(places[some], begun[some, None] + part)
        waits = np.maximum(0.0, self._row * self._step + starts - arrivals)
        self.waits.add(places[some], delayed[some], waits)

    # -- the curves -----------------------------------------------------------------------------------

    def _line(self, places: Places, offset: Floats) -> Floats:
        """Arrivals up to ``offset`` seconds into the step under way."""
        onset = self._onset[places]
        come = self._slope[places] * np.maximum(0.0, offset - onset)
        come += np.where(offset >= onset, self._head[places], 0.0)
        found: Floats = self._arrived[self._row, places] + come
        return found

    def _started_at(self, places: Places, row: int, offset: Floats) -> Floats:
        """Starts up to ``offset`` (<= 0) seconds after the beginning of a step."""
        place = np.maximum(0.0, row + offset / self._step)
        low = np.floor(place).astype(np.int64)
        one = self._started[low, places]
        other = self._started[np.minimum(low + 1, row), places]
        found: Floats = one + (other - one) * (place - low)
        return found

    def _earlier(self, places: Places, offset: Floats, begin: Floats, begun: Floats) -> Floats:
        """Starts up to ``offset`` seconds into the step, at most ``begin``, where they are ``begun``."""
        found = self._started_at(places, self._row, np.minimum(offset, 0.0))
        within = np.maximum(offset, 0.0) / np.maximum(begin, SOME)
        found += (begun - self._started[self._row, places]) * within
        return found

    def _moment(self, places: Places, count: Floats) -> Floats:
        """When request number ``count`` (places, parts) arrived, in seconds from the first step."""
        column = np.broadcast_to(places[:, None], count.shape)
        row = np.broadcast_to(self._pointer[places][:, None], count.shape)
        while (late := (self._arrived[row + 1, column] < count) & (row < self._row)).any():
            row = row + late
        self._pointer[places] = row[:, -1]
        base = self._arrived[row, column]
        # Only the last wake-up of an endpoint is remembered, which is the one that its queue comes from.
        woken = self._woken_in[column] == row
        total = self._arrived[row + 1, column] - base
        head = np.where(woken, np.minimum(total, 1.0), 0.0)
        onset = np.where(woken, self._woken_at[column], 0.0)
        share = np.maximum(0.0, count - base - head) / np.maximum(total - head, SOME)
        found: Floats = row * self._step + onset + (self._step - onset) * np.minimum(share, 1.0)
        return found
