"""Advice on one served entity from its history: how many slots (``sizing``), how long up when idle (``idling``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from . import idling, sizing

Columns = Mapping[str, Sequence[float | None]]


def advise(
    step: float,
    columns: Columns,
    *,
    slots_per_replica: int,
    replica_bytes: float,
    idle_seconds: float,
    cold_start_seconds: float,
    group: float = 1.0,
) -> dict[str, Any] | None:
    """Advice as the API answers it, from the columns of a history; None where it holds no finished request.

    What was before the first record is left out.

    Args:
        step: of the history in seconds.
        columns: ``arrivals``, ``finished``, ``busy_seconds``, ``ready`` at least.
        slots_per_replica, replica_bytes: of one replica.
        idle_seconds: the present idle time, inf for never.
        cold_start_seconds: as measured last.
        group: requests that one slot takes together.
    """
    columns = _since_first(columns)
    arrivals = columns.get("arrivals") or ()
    finished = sum(value or 0.0 for value in columns.get("finished") or ())
    busy = sum(value or 0.0 for value in columns.get("busy_seconds") or ())
    measured = sizing.loads(step, arrivals, busy / finished, group) if finished and busy > 0 else ()
    if not measured:
        return None
    ready = max((value or 0.0 for value in columns.get("ready") or ()), default=0.0)
    seconds = len(arrivals) * step
    size = sizing.right_size(
        measured,
        seconds,
        busy / finished,
        max(1, math.ceil(ready)) * slots_per_replica,
        slots_per_replica,
        replica_bytes,
    )
    told: dict[str, Any] = {"seconds": seconds, "sizing": asdict(size)}
    idle = idling.best_idle(step, arrivals, idle_seconds, cold_start_seconds, replica_bytes)
    if idle is not None:
        told["idle"] = idle.to_wire()
    return told


def share(columns: Columns, part: float) -> Columns:
    """Columns as one served entity had them that gets ``part`` of the traffic; all of them are scaled."""
    if part >= 1.0:
        return columns
    return {
        name: [None if value is None else value * part for value in values]
        for name, values in columns.items()
    }


def _since_first(columns: Columns) -> Columns:
    arrivals = columns.get("arrivals") or ()
    first = next((n for n, value in enumerate(arrivals) if value is not None), 0)
    return {name: values[first:] for name, values in columns.items()} if first else columns
