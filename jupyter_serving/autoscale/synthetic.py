"""Made-up arrivals: days and bursts, with the spread between endpoints that fleets have.

Rates differ between endpoints by a log-normal factor (most are small, few are large), and so do execution times; counts
of a step are Poisson. The same seed gives the same trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..errors import InvalidParameter
from .traces import DAY, Floats, Trace

RATE_SPREAD, EXECUTION_SPREAD = 1.5, 0.7
SWING = 0.8
BURSTS_A_DAY, BURST_SECONDS = 12.0, 600.0


def synthetic(
    kind: str,
    rate: float,
    *,
    endpoints: int = 1,
    seconds: float = DAY,
    step: float = 5.0,
    execution: float = 0.05,
    seed: int = 0,
) -> Trace:
    """Arrivals of ``endpoints`` endpoints that make ``rate`` requests per second together, in the mean.

    Args:
        kind: ``diurnal`` (a sine over the day, each endpoint with its own noon), ``bursty`` (silence, and bursts of
            exponential length at random moments) or ``mixed`` (every other endpoint of each).
        rate: requests per second of all endpoints together.
        endpoints: how many; with one, rate and execution time are what is said, with more they are spread.
        seconds, step: length of the trace and of its steps.
        execution: seconds that a request holds a slot, in the median.
        seed: of the generator.

    Raises:
        InvalidParameter: an unknown kind, or nothing to make.
    """
    if kind not in (*SHAPES, "mixed"):
        raise InvalidParameter(
            f"There is no synthetic trace {kind!r}.", hint=f"Use {', '.join(SHAPES)} or mixed."
        )
    if not (rate > 0 and endpoints > 0 and seconds >= step > 0 and execution > 0):
        raise InvalidParameter("Rate, endpoints, length, step and execution time are above 0.")
    random = np.random.default_rng(seed)
    weights = _spread(random, endpoints, RATE_SPREAD)
    rates = rate * weights / weights.sum()
    steps = round(seconds / step)
    times: Floats = (np.arange(steps, dtype=np.float64) + 0.5) * step
    arrivals = np.empty((endpoints, steps), dtype=np.float32)
    for place in range(endpoints):
        name = kind if kind != "mixed" else tuple(SHAPES)[place % len(SHAPES)]
        level = SHAPES[name](random, times, step)
        arrivals[place] = random.poisson(level / level.mean() * (rates[place] * step))
    return Trace(0.0, step, arrivals, execution * _spread(random, endpoints, EXECUTION_SPREAD))


def _spread(random: np.random.Generator, count: int, sigma: float) -> Floats:
    return random.lognormal(0.0, sigma, count) if count > 1 else np.ones(1)


def _diurnal(random: np.random.Generator, times: Floats, step: float) -> Floats:
    noon = random.uniform(0.0, DAY)
    return 1.0 + SWING * np.cos(2 * math.pi * (times - noon) / DAY)


def _bursty(random: np.random.Generator, times: Floats, step: float) -> Floats:
    """On and off; never all off."""
    seconds = len(times) * step
    count = max(1, random.poisson(BURSTS_A_DAY * seconds / DAY))
    begins = random.uniform(0.0, seconds, count)
    lengths = np.maximum(step, random.exponential(BURST_SECONDS, count))
    heights = random.lognormal(0.0, 0.5, count)
    level = np.zeros(len(times))
    for begin, length, height in zip(begins, lengths, heights, strict=True):
        first = int(begin / step)
        level[first : first + max(1, math.ceil(length / step))] += height
    return level


SHAPES: dict[str, Callable[[np.random.Generator, Floats, float], Floats]] = {
    "diurnal": _diurnal,
    "bursty": _bursty,
}
