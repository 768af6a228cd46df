"""Sliding means and maxima of many endpoints at once, over windows that may differ between them."""

from __future__ import annotations

import math

import numpy as np

from .traces import Floats

LEAST = 1.0  # as the controller does: no mean over less than a second


class Means:
    """Means over the last seconds of something that is told as its integral per step.

    Args:
        endpoints: how many.
        step: seconds of a step.
        longest: largest window that will be asked for, in seconds.
    """

    def __init__(self, endpoints: int, step: float, longest: float) -> None:
        self._step = step
        self._rows = math.ceil(longest / step) + 2
        self._totals = np.zeros((self._rows, endpoints))
        self._columns = np.arange(endpoints)
        self._now = 0

    def add(self, integral: Floats) -> None:
        """Append one step."""
        before = self._totals[self._now % self._rows]
        self._now += 1
        self._totals[self._now % self._rows] = before + integral

    def over(self, window: Floats) -> Floats:
        """Mean over the last ``window`` seconds (endpoints,), or since the beginning where that is less."""
        back = np.minimum(window / self._step, max(self._now, 1))
        seconds = np.maximum(back * self._step, LEAST)
        place = self._now - back
        low = np.floor(place)
        part = place - low
        first = low.astype(np.int64)
        one = self._totals[first % self._rows, self._columns]
        other = self._totals[np.minimum(first + 1, self._now) % self._rows, self._columns]
        gone = one + (other - one) * part
        found: Floats = (self._totals[self._now % self._rows] - gone) / seconds
        return found


class Peaks:
    """Largest of the last values, each endpoint with a number of values of its own.

    Blocks of one window's length with the maxima from their end (van Herk, 1992): constant work per value.
    """

    def __init__(self, lengths: np.ndarray) -> None:
        self._groups = [
            _Group(np.flatnonzero(lengths == length), int(length)) for length in np.unique(lengths)
        ]
        self._value = np.zeros(len(lengths))

    def add(self, values: Floats) -> None:
        """Append one value for each endpoint."""
        for group in self._groups:
            self._value[group.columns] = group.add(values[group.columns])

    def value(self) -> Floats:
        """The largest of each window, shape (endpoints,); 0 before the first value."""
        return self._value


class _Group:
    """Endpoints with windows of one length."""

    def __init__(self, columns: np.ndarray, length: int) -> None:
        self.columns = columns
        self._length = max(1, length)
        self._block = np.zeros((self._length, len(columns)))
        self._old = np.zeros((self._length + 1, len(columns)))
        self._new: Floats = np.zeros(len(columns))
        self._filled = 0

    def add(self, values: Floats) -> Floats:
        self._block[self._filled] = values
        self._filled += 1
        self._new = np.maximum(self._new, values)
        found: Floats = np.maximum(self._new, self._old[self._filled])
        if self._filled == self._length:
            self._old[:-1] = np.maximum.accumulate(self._block[::-1], axis=0)[::-1]
            self._new, self._filled = np.zeros(len(self.columns)), 0
        return found
