"""Arrivals as the simulator takes them: counted per step, recorded (history, CSV) or synthetic.

A trace never holds single requests, so its size does not depend on the rate. Only who simulates imports this module:
it needs numpy.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidParameter

Counts = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

DAY = 86400.0
DEFAULT_EXECUTION = 0.05
MOST_STEPS = 5_000_000


@dataclass(frozen=True)
class Trace:
    """Arrivals of some endpoints.

    Attributes:
        start: of the first step, in epoch seconds.
        step: length of a step in seconds.
        arrivals: whole numbers of requests, shape (endpoints, steps).
        execution: seconds that a request holds a slot, shape (endpoints,).
        ready: replicas at the beginning where the record tells them, else None.
    """

    start: float
    step: float
    arrivals: Counts
    execution: Floats
    ready: float | None = None

    @property
    def endpoints(self) -> int:
        """How many endpoints."""
        return int(self.arrivals.shape[0])

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.step * int(self.arrivals.shape[1])

    @property
    def requests(self) -> float:
        """Requests of all endpoints."""
        return float(self.arrivals.sum(dtype=np.float64))

    def repeated(self, times: int) -> Trace:
        """Every endpoint ``times`` times, all settings of one endpoint beside each other."""
        return replace(
            self,
            arrivals=np.repeat(self.arrivals, times, axis=0),
            execution=np.repeat(self.execution, times),
        )

    def coarser(self, step: float) -> Trace:
        """The same arrivals in steps of about ``step`` seconds (a multiple of its own; itself where that is finer)."""
        factor = round(step / self.step)
        if factor <= 1:
            return self
        short = -self.arrivals.shape[1] % factor
        padded = np.pad(self.arrivals, ((0, 0), (0, short)))
        summed = padded.reshape(self.endpoints, -1, factor).sum(axis=2, dtype=np.float32)
        return replace(self, step=self.step * factor, arrivals=summed)

    def share(self, part: float) -> Trace:
        """The part of the arrivals that a traffic split sends to one served entity; sums stay whole and exact."""
        if part >= 1.0:
            return self
        total = np.floor(np.cumsum(self.arrivals, axis=1, dtype=np.float64) * part + 1e-9)
        return replace(self, arrivals=np.diff(total, axis=1, prepend=0.0).astype(np.float32))

    # -- recorded ------------------------------------------------------------------------------------

    @classmethod
    def of_times(
        cls, times: Iterable[float], step: float, execution: float, seconds: float | None = None
    ) -> Trace:
        """One endpoint from the moments of its requests.

        Args:
            times: of arrivals, in seconds from the start, in any order.
            step: of the trace, in seconds.
            execution: seconds that a request holds a slot.
            seconds: length; default: up to the last arrival.

        Raises:
            InvalidParameter: no arrival and no length, or more steps than can be simulated.
        """
        moments = np.asarray(list(times), dtype=np.float64)
        if seconds is None and not len(moments):
            raise InvalidParameter("The trace has no arrival.", hint="Give one with requests.")
        length = float(moments.max()) + step if seconds is None else seconds
        steps = _steps(length, step)
        found = np.floor(moments / step).astype(np.int64)
        counts = np.bincount(found[(found >= 0) & (found < steps)], minlength=steps)
        return cls(0.0, step, counts[None, :].astype(np.float32), np.array([execution]))

    @classmethod
    def of_csv(cls, path: Path, step: float, execution: float) -> Trace:
        """One endpoint from a file with a line for each request or count: ``time[,requests]``, times in seconds.

        Raises:
            InvalidParameter: the file cannot be read, or a line is not of that form (its number is told).
        """
        try:
            with path.open(newline="", encoding="utf-8") as stream:
                rows = [_line(path, number, row) for number, row in enumerate(csv.reader(stream))]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidParameter(f"The trace {path} cannot be read: {error}.") from error
        told = [row for row in rows if row is not None]
        if not told:
            raise InvalidParameter(f"The trace {path} holds no arrival.")
        times, counts = np.array(told).T
        first = float(times.min())
        places = np.floor((times - first) / step).astype(np.int64)
        steps = _steps(float(times.max()) - first + step, step)
        summed = np.bincount(places, weights=counts, minlength=steps)[:steps]
        return cls(first, step, summed[None, :].astype(np.float32), np.array([execution]))

    @classmethod
    def of_history(cls, answer: Mapping[str, Any]) -> Trace:
        """One endpoint from its own recorded history, as ``GET .../history`` answers.

        The execution time is busy seconds by finished requests (Little's law). Steps without a record had no request;
        what was before the first record is left out.

        Raises:
            InvalidParameter: nothing is recorded, or no request was.
        """
        columns: Mapping[str, Sequence[float | None]] = answer.get("columns") or {}
        told = _column(columns, "arrivals")
        first = int(np.argmax(~np.isnan(told))) if len(told) else 0
        arrivals = np.nan_to_num(told[first:])
        if not len(arrivals) or not arrivals.sum():
            raise InvalidParameter(
                "The endpoint's history holds no request.",
                hint="Simulate --synthetic diurnal --rate R or --trace FILE.csv until it has had some.",
            )
        busy = float(np.nansum(_column(columns, "busy_seconds")))
        finished = float(np.nansum(_column(columns, "finished")))
        execution = busy / finished if busy > 0 and finished > 0 else DEFAULT_EXECUTION
        step, ready = float(answer["step"]), _column(columns, "ready")[first:]
        known = ready[~np.isnan(ready)]
        return cls(
            float(answer.get("start") or 0.0) + first * step,
            step,
            np.round(arrivals)[None, :].astype(np.float32),
            np.array([execution]),
            float(known[0]) if len(known) else None,
        )


def _column(columns: Mapping[str, Sequence[float | None]], name: str) -> Floats:
    return np.array([math.nan if v is None else v for v in columns.get(name) or ()], dtype=float)


def _line(path: Path, number: int, row: list[str]) -> tuple[float, float] | None:
    if not row or not row[0].strip():
        return None
    try:
        time, count = float(row[0]), float(row[1]) if len(row) > 1 else 1.0
    except ValueError:
        if number == 0:
            return None  # a header
        raise InvalidParameter(
            f"Line {number + 1} of {path} is {','.join(row)!r}.", hint="Use time[,requests]."
        ) from None
    if not (math.isfinite(time) and math.isfinite(count) and count >= 0):
        raise InvalidParameter(f"Line {number + 1} of {path} holds no count of requests.")
    return time, count


def _steps(seconds: float, step: float) -> int:
    steps = math.ceil(round(seconds / step, 6))
    if not 0 < steps <= MOST_STEPS:
        raise InvalidParameter(
            f"A trace of {seconds:g} s in steps of {step:g} s has {steps:,} steps.",
            hint=f"Use between 1 and {MOST_STEPS:,}: a larger --tick, or a shorter trace.",
        )
    return steps
