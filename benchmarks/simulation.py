"""Speed of the simulator: a day of a thousand endpoints with the very policy that the controller runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from jupyter_serving.autoscale.simulate import Profile, Setting, simulate
from jupyter_serving.autoscale.synthetic import synthetic

from .report import Bar
from .tables import number, table

DAY, STEP = 86400.0, 5.0
RATE_EACH = 1000.0
SIZES, QUICK_SIZES = (100, 300, 1000), (10, 100)
QUICK_SECONDS = DAY / 12
BOUND_S = 60.0
SETTING = Setting(min_replicas=0.0, max_replicas=100_000.0)


@dataclass(frozen=True)
class Speed:
    """One simulated day: seconds to make the arrivals and to simulate them, and what was simulated."""

    endpoints: int
    making: float
    simulating: float
    requests: float
    cold_starts: float

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.making + self.simulating


def measure(endpoints: int, seconds: float = DAY) -> Speed:
    """Diurnal and bursty endpoints, 1,000 requests per second each in the mean, in steps of 5 s."""
    begun = time.perf_counter()
    trace = synthetic(
        "mixed",
        RATE_EACH * endpoints,
        endpoints=endpoints,
        seconds=seconds,
        step=STEP,
        seed=endpoints,
    )
    made = time.perf_counter()
    outcome = simulate(trace, Profile(), SETTING)
    done = time.perf_counter()
    return Speed(
        endpoints=endpoints,
        making=made - begun,
        simulating=done - made,
        requests=float(np.sum(outcome.requests)),
        cold_starts=float(np.sum(outcome.cold_starts)),
    )


def bars(found: list[Speed]) -> list[Bar]:
    """The issue's bound, at the largest size."""
    last = found[-1]
    name = (
        f"simulated day of {last.endpoints} endpoints, {RATE_EACH * last.endpoints:,.0f} requests/s"
    )
    return [Bar(name, last.total, BOUND_S, "s")]


def page(found: list[Speed]) -> str:
    """A table: one line for each size, with the cost per endpoint."""
    head = ["endpoints", "arrivals s", "simulation s", "ms per endpoint", "requests", "cold starts"]
    lines = []
    for s in found:
        figures = map(number, (s.making, s.simulating, s.total / s.endpoints * 1000))
        lines.append([str(s.endpoints), *figures, f"{s.requests:.3g}", f"{s.cold_starts:,.0f}"])
    return table(head, lines)


def details(found: list[Speed]) -> dict[str, Any]:
    """Seconds and milliseconds per endpoint by size."""
    return {
        str(s.endpoints): {
            "seconds": round(s.total, 3),
            "ms_per_endpoint": round(s.total / s.endpoints * 1000, 3),
            "requests": s.requests,
        }
        for s in found
    }
