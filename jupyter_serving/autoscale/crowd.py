"""Many made-up endpoints through a simulated day, and what the simulation itself costs for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .simulate import Profile, Setting, simulate
from .synthetic import synthetic
from .traces import Floats, Trace

BLOCK = 500
"""Endpoints that are simulated at once: more are hardly quicker for each, and take more memory."""
HEADROOM = 1.5


@dataclass(frozen=True)
class Crowd:
    """What came of all endpoints together; times in seconds.

    Attributes:
        endpoints, simulated_seconds, step: what was simulated.
        requests, refused, cold_starts, met_cold_start, gb_hours: sums.
        replicas: in the mean over time, of all endpoints together.
        waiting_p95_median, waiting_p95_worst: over the endpoints.
        seconds: that the simulation took; making up the arrivals took ``trace_seconds`` more.
    """

    endpoints: int
    simulated_seconds: float
    step: float
    requests: float
    refused: float
    cold_starts: float
    met_cold_start: float
    gb_hours: float
    replicas: float
    waiting_p95_median: float
    waiting_p95_worst: float
    seconds: float
    trace_seconds: float

    @property
    def seconds_per_endpoint(self) -> float:
        """Cost of one simulated endpoint, its arrivals included."""
        return (self.seconds + self.trace_seconds) / self.endpoints


def crowd(
    kind: str,
    rate: float,
    endpoints: int,
    *,
    seconds: float = 86400.0,
    step: float = 5.0,
    execution: float = 0.05,
    profile: Profile | None = None,
    setting: Setting | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Crowd:
    """Simulate ``endpoints`` synthetic endpoints with ``rate`` requests per second in all, block by block.

    Every endpoint may have as many replicas as its busiest minute needs, and half as many more.

    Args:
        kind, execution, seed: as ``synthetic.synthetic``.
        profile, setting: of every endpoint; ``setting.max_replicas`` is not used.
        clock: seconds, for the cost.
    """
    given = profile or Profile()
    rules = setting or Setting()
    sizes = [min(BLOCK, endpoints - first) for first in range(0, endpoints, BLOCK)]
    made, run = 0.0, 0.0
    found: list[tuple[Floats, ...]] = []
    length = 0.0
    for place, size in enumerate(sizes):
        began = clock()
        trace = synthetic(
            kind,
            rate * size / endpoints,
            endpoints=size,
            seconds=seconds,
            step=step,
            execution=execution,
            seed=seed + place,
        )
        between = clock()
        told = simulate(trace, given, _roomy(rules, trace, given))
        made, run = made + between - began, run + clock() - between
        length = trace.seconds
        found.append(
            (
                *(told.requests, told.refused, told.cold_starts, told.met_cold_start),
                *(told.gb_hours, told.replicas.mean(axis=1), told.waiting_p95),
            )
        )
    return _summed(found, endpoints, length, step, run, made)


def _summed(
    found: list[tuple[Floats, ...]],
    endpoints: int,
    length: float,
    step: float,
    run: float,
    made: float,
) -> Crowd:
    """All blocks together; ``run`` and ``made``: seconds that the simulation and its arrivals took."""
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    requests, refused, cold, met, memory, replicas = (float(c.sum()) for c in columns[:6])
    return Crowd(
        endpoints=endpoints,
        simulated_seconds=length,
        step=step,
        requests=requests,
        refused=refused,
        cold_starts=cold,
        met_cold_start=met,
        gb_hours=memory,
        replicas=replicas,
        waiting_p95_median=float(np.median(columns[6])),
        waiting_p95_worst=float(columns[6].max()),
        seconds=run,
        trace_seconds=made,
    )


def _roomy(setting: Setting, trace: Trace, profile: Profile) -> Setting:
    minute = trace.coarser(60.0)
    busiest = minute.arrivals.max(axis=1).astype(np.float64) / minute.step * trace.execution
    most = np.ceil(HEADROOM * busiest / (profile.slots * setting.target))
    fields = {**vars(setting), "max_replicas": np.maximum(1.0, most)}
    return Setting(**fields)
