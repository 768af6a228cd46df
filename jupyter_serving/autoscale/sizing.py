"""How many slots an endpoint needs, from what was measured. Pure, standard library only.

By Little's law, L = rate x time, the measured requests per second times their execution time is the mean number of busy
slots. With Poisson arrivals the share of requests that has to wait for one of ``n`` slots is Erlang's delay formula
C(n, L) (A. K. Erlang, 1917; Gross and Harris, Fundamentals of Queueing Theory, 2.3), taken here for each minute of the
record and weighted with its requests, so that a day with a peak is not a mean. It assumes exponential execution times;
with constant ones waits are about half as long, and hardly less likely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from . import words

MINUTE = 60.0
GOAL = 0.99
MOST_SLOTS = 4096


def erlang_c(slots: int, load: float) -> float:
    """Share of requests that wait for a slot: M/M/c with offered load ``load`` in busy slots; 1 from ``slots`` on."""
    if load <= 0:
        return 0.0
    if load >= slots:
        return 1.0
    blocked = 1.0  # Erlang B by its recursion, which neither overflows nor loses digits
    for n in range(1, slots + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked / (1.0 - load / slots * (1.0 - blocked))


Loads = Sequence[tuple[float, float]]
"""Pairs of requests and the busy slots that they asked for at the same time."""


def loads(
    step: float, arrivals: Sequence[float | None], execution: float, group: float = 1.0
) -> Loads:
    """Requests and offered load of each minute (or step, where that is longer), equal loads together.

    Args:
        step: of the record in seconds.
        arrivals: requests of each step; None is none.
        execution: seconds that a request holds a slot.
        group: requests that one slot takes together.
    """
    size = max(1, round(MINUTE / step))
    found: dict[float, float] = {}
    for first in range(0, len(arrivals), size):
        part = arrivals[first : first + size]
        requests = sum(value or 0.0 for value in part)
        if requests:
            load = requests * execution / (len(part) * step) / group
            found[_rounded(load)] = found.get(_rounded(load), 0.0) + requests
    return [(requests, load) for load, requests in sorted(found.items())]


def _rounded(load: float) -> float:
    """Two digits, upwards: that keeps the number of different loads small."""
    scale = 10.0 ** (math.floor(math.log10(load)) - 1)
    return math.ceil(load / scale - 1e-9) * scale


def risk(measured: Loads, slots: int) -> float:
    """Share of all requests that would have had to wait for one of ``slots`` slots."""
    total = sum(requests for requests, _ in measured)
    return sum(n * erlang_c(slots, load) for n, load in measured) / total if total else 0.0


def needed(measured: Loads, goal: float = GOAL) -> int:
    """Fewest slots with which a share of ``goal`` of all requests would not have waited."""
    low, high = 0, 1
    while high < MOST_SLOTS and risk(measured, high) > 1.0 - goal:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if risk(measured, middle) > 1.0 - goal:
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True)
class Sizing:
    """Slots that are there, that are busy and that are needed.

    Attributes:
        requests_per_second, execution_seconds: measured, over the whole record.
        busy: their product, the mean number of busy slots (Little's law).
        provisioned: slots that are there.
        needed: slots with which 99 % of the requests would not have waited.
        advised: the same in whole replicas.
        risk_now, risk: share of requests that has to wait, with the provisioned and the advised slots.
        saved_bytes: memory that the advised slots save; negative where they need more.
        text: all of it in a sentence.
    """

    requests_per_second: float
    execution_seconds: float
    busy: float
    provisioned: int
    needed: int
    advised: int
    risk_now: float
    risk: float
    saved_bytes: float
    text: str = ""


def right_size(
    measured: Loads,
    seconds: float,
    execution: float,
    provisioned: int,
    slots_per_replica: int,
    replica_bytes: float,
) -> Sizing:
    """Compare what is provisioned with what the measured load needs.

    Args:
        measured: from ``loads``.
        seconds: length of the record.
        execution: seconds that a request holds a slot.
        provisioned: slots that are there.
        slots_per_replica, replica_bytes: of one replica.
    """
    rate = sum(requests for requests, _ in measured) / seconds
    least = needed(measured)
    advised = -(-least // slots_per_replica) * slots_per_replica
    saved = (provisioned - advised) / slots_per_replica * replica_bytes
    values = (rate, execution, rate * execution, provisioned, least, advised)
    bare = Sizing(*values, risk(measured, provisioned), risk(measured, advised), saved)
    return Sizing(**{**asdict(bare), "text": _told(bare)})


def _told(s: Sizing) -> str:
    there = (
        f"{s.provisioned} provisioned, {s.busy:.2g} busy in the mean "
        f"({s.requests_per_second:.3g} requests/s x {words.time(s.execution_seconds)}), p99 needs {s.needed}"
    )
    if s.advised < s.provisioned:
        memory = words.memory(s.saved_bytes)
        return f"{there}; {s.advised} saves {memory}, queueing risk {words.percent(s.risk)}."
    if s.advised > s.provisioned:
        now, then = words.percent(s.risk_now), words.percent(s.risk)
        more = words.memory(-s.saved_bytes)
        return f"{there}; {s.advised} costs {more}, queueing risk {then} instead of {now}."
    return f"{there}: it fits, queueing risk {words.percent(s.risk)}."
