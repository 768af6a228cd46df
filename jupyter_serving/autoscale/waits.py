"""How long requests waited, for many endpoints at once: counts by logarithmic bucket.

Buckets grow by 5 %, so that a quantile is within 2.5 % of the truth whatever the scale (after DDSketch, VLDB 2019).
"""

from __future__ import annotations

import math

import numpy as np

from .traces import Floats

SMALLEST, LARGEST, GROWTH = 1e-4, 86400.0, 1.05
BUCKETS = math.ceil(math.log(LARGEST / SMALLEST) / math.log(GROWTH)) + 1


class Waits:
    """Requests by their wait; those that did not wait are not told, only the total of all."""

    def __init__(self, endpoints: int) -> None:
        self._counts = np.zeros((endpoints, BUCKETS))
        self.seconds: Floats = np.zeros(endpoints)

    def add(self, places: np.ndarray, requests: Floats, waits: Floats) -> None:
        """Count requests.

        Args:
            places: endpoints, shape (n,).
            requests: how many in each of k equal parts together, shape (n,).
            waits: of the parts in seconds, shape (n, k).
        """
        parts = waits.shape[1]
        each = np.repeat(requests / parts, parts)
        flat, rows = waits.ravel(), np.repeat(places, parts)
        np.add.at(self.seconds, rows, each * flat)
        real = flat > SMALLEST
        buckets = np.ceil(np.log(flat[real] / SMALLEST) / math.log(GROWTH)).astype(np.int64)
        np.add.at(self._counts, (rows[real], np.minimum(buckets, BUCKETS - 1)), each[real])

    def delayed(self) -> Floats:
        """Requests that waited at all, shape (endpoints,)."""
        found: Floats = self._counts.sum(axis=1)
        return found

    def quantile(self, share: float, requests: Floats) -> Floats:
        """Wait in seconds that ``share`` of all ``requests`` (endpoints,) do not exceed; 0 where there is none."""
        rank = share * requests - (requests - self.delayed())
        reached = np.cumsum(self._counts, axis=1) >= rank[:, None] - 1e-9
        bucket = np.argmax(reached, axis=1)
        value = SMALLEST * GROWTH ** (bucket - 0.5)
        return np.where((rank <= 1e-9) | (requests <= 0), 0.0, value)
