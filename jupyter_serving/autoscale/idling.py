"""How long an endpoint should stay up when idle, from the real gaps between its arrivals. Pure.

With the idle time T a gap g keeps memory for min(g, T) and makes a cold start where g > T. The best T costs least where
a second that a request waits weighs ``WORTH`` GB-hours (the trade-off of Serverless in the Wild, ATC 2020, with its
price told).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import words

HOUR, DAY, GB = 3600.0, 86400.0, 1e9
WORTH = 0.05
IDLE_TIMES = (30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0)


@dataclass(frozen=True)
class Choice:
    """One idle time (seconds, inf: never to zero) and what it would have cost by day."""

    idle_seconds: float
    cold_starts_a_day: float
    gb_hours_a_day: float

    def to_wire(self) -> dict[str, float | None]:
        """As JSON; never to zero is null."""
        told: dict[str, float | None] = asdict(self)
        return told | ({"idle_seconds": None} if math.isinf(self.idle_seconds) else {})


@dataclass(frozen=True)
class Idle:
    """The best idle time, the present one, and the curve that both are taken from."""

    best: Choice
    now: Choice
    curve: tuple[Choice, ...]
    text: str

    def to_wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "best": self.best.to_wire(),
            "now": self.now.to_wire(),
            "curve": [told.to_wire() for told in self.curve],
            "text": self.text,
        }


def gaps(step: float, arrivals: Sequence[float | None]) -> tuple[list[float], float]:
    """Seconds from one step with requests to the next, and from the last one to the end of the record."""
    places = [place for place, count in enumerate(arrivals) if count]
    between = [(b - a) * step for a, b in itertools.pairwise(places)]
    return between, (len(arrivals) - places[-1]) * step if places else 0.0


def choice(
    between: Iterable[float], rest: float, seconds: float, idle: float, cold: float, size: float
) -> Choice:
    """What the idle time ``idle`` would have cost.

    Args:
        between: gaps between arrivals in seconds.
        rest: seconds from the last arrival to the end of the record.
        seconds: length of the record.
        idle: the idle time.
        cold: seconds of a cold start.
        size: bytes of what is up while the endpoint is idle.
    """
    known = list(between)
    starts = 1 + sum(gap > idle for gap in known)
    held = sum(min(gap, idle) for gap in known) + min(rest, idle)
    days = seconds / DAY
    up = held + starts * cold
    return Choice(idle, starts / days, up * size / GB / HOUR / days)


def best_idle(
    step: float,
    arrivals: Sequence[float | None],
    idle_now: float,
    cold_start_seconds: float,
    replica_bytes: float,
    worth: float = WORTH,
) -> Idle | None:
    """The idle time that the gaps speak for; None where fewer than two requests were apart.

    Args:
        step, arrivals: the record; None is no request.
        idle_now: the present idle time in seconds, inf for never.
        cold_start_seconds: what a request waits that meets a cold start.
        replica_bytes: memory of one replica.
        worth: GB-hours that one second of a request's waiting weighs.
    """
    between, rest = gaps(step, arrivals)
    seconds = len(arrivals) * step
    if not between:
        return None

    def at(idle: float) -> Choice:
        return choice(between, rest, seconds, idle, cold_start_seconds, replica_bytes)

    def price(c: Choice) -> float:
        return c.gb_hours_a_day + worth * cold_start_seconds * c.cold_starts_a_day

    curve = tuple(at(idle) for idle in (*(t for t in IDLE_TIMES if t < seconds), math.inf))
    best, now = min(curve, key=price), at(idle_now)
    if price(now) <= price(best) * 1.05:
        best = now  # not worth a change
    return Idle(best, now, curve, _idle_told(best, now, cold_start_seconds))


def _idle_told(best: Choice, now: Choice, cold: float) -> str:
    if best == now:
        return (
            f"Idle time {_idle(now)} fits the gaps between requests: {now.cold_starts_a_day:.3g} cold starts a day "
            f"of {words.time(cold)}, {now.gb_hours_a_day:.3g} GB-hours a day."
        )
    return (
        f"Idle time {_idle(best)} instead of {_idle(now)}: {best.cold_starts_a_day:.3g} instead of "
        f"{now.cold_starts_a_day:.3g} cold starts a day (of {words.time(cold)} each), "
        f"{best.gb_hours_a_day:.3g} instead of {now.gb_hours_a_day:.3g} GB-hours a day."
    )


def _idle(told: Choice) -> str:
    return "never" if math.isinf(told.idle_seconds) else words.time(told.idle_seconds)
