"""Is the simulator true? ``python -m benchmarks.fidelity [--json] [--quick]``.

Three loads are played against a real endpoint whose model sleeps, with rules so short that it scales within a minute.
The arrivals that were sent are then simulated, with the execution time and the cold start that were measured, and both
are compared: replicas over time, and the p95 of the waiting.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_serving.client import Client
from jupyter_serving.observed import ready_seconds

from . import openloop, sleepy
from .load.orders import percentile
from .report import Bar, publish

BOUND_PERCENT = 20.0
TICK_SECONDS, LOOK_SECONDS = 0.1, 0.1
EXECUTION_SECONDS = 0.4
# After the last answer the figures are looked at for so long: replicas go.
AFTER_SECONDS = 12.0
QUIET_SECONDS = 60.0
RULES = {
    "stable_window_seconds": 6.0,
    "panic_window_seconds": 2.0,
    "scale_down_window_seconds": 5.0,
}
IDLE_SECONDS = 8.0


@dataclass(frozen=True)
class Shape:
    """A load: moments of its requests in seconds from its begin; slots (one per replica) that the endpoint may have."""

    name: str
    low: int
    high: int
    moments: Sequence[float]


@dataclass(frozen=True)
class Compared:
    """Measured beside simulated: replicas at the same moments, and p95 of the waiting in seconds."""

    shape: str
    measured: Sequence[float]
    simulated: Sequence[float]
    waited: float
    predicted: float
    execution: float
    cold_start: float
    requests: int
    failed: int

    @property
    def replicas_off(self) -> float:
        """Mean absolute difference of the replicas, in percent of their mean."""
        pairs = zip(self.measured, self.simulated, strict=True)
        off = statistics.fmean(abs(a - b) for a, b in pairs)
        return 100 * off / statistics.fmean(self.measured)

    @property
    def waiting_off(self) -> float:
        """Difference of the p95 of the waiting, in percent of the measured one."""
        return 100 * abs(self.predicted - self.waited) / self.waited

    def bars(self) -> list[Bar]:
        """Both differences and their bound, and that every request was answered."""
        name = f"simulated {self.shape}"
        return [
            Bar(f"{name}: replicas over time off by", self.replicas_off, BOUND_PERCENT, "%"),
            Bar(f"{name}: waiting p95 off by", self.waiting_off, BOUND_PERCENT, "%"),
            Bar(f"{name}: requests without an answer", self.failed, 0, "requests"),
        ]

    def to_json(self) -> dict[str, Any]:
        """All of it; replicas once a second."""
        every = round(1 / LOOK_SECONDS)
        return {
            "shape": self.shape,
            "requests": self.requests,
            "execution_seconds": round(self.execution, 4),
            "cold_start_seconds": round(self.cold_start, 4),
            "waiting_p95_seconds": [round(self.waited, 3), round(self.predicted, 3)],
            "replicas_measured": [round(v, 2) for v in self.measured[::every]],
            "replicas_simulated": [round(v, 2) for v in self.simulated[::every]],
        }


def shapes() -> list[Shape]:
    """A burst from zero that comes twice, a ramp that goes above capacity, and a square wave that does."""
    burst = [1.0 + n * 0.01 for n in range(60)]
    calm = [1.0 + n * 0.5 for n in range(1, 41)]
    ramp = _ramp(seconds=44.0, most=14.0)
    wave = [begin + n / 15.0 for begin in (2.0, 26.0) for n in range(12 * 15)]
    return [
        Shape("burst from zero", 0, 5, [*burst, *calm, *(b + 36.0 for b in burst)]),
        Shape("ramp", 1, 5, ramp),
        Shape("square wave", 1, 5, wave),
    ]


def _ramp(seconds: float, most: float) -> list[float]:
    """Moments at a rate that rises to ``most`` per second and falls again: every whole of the area under it."""
    found: list[float] = []
    half, area, step = seconds / 2, 0.0, 0.001
    for n in range(round(seconds / step)):
        at = n * step
        area += most * (1 - abs(at - half) / half) * step
        if area >= len(found) + 1:
            found.append(at)
    return found


class Watch(threading.Thread):
    """Writes down how many replicas are ready, from its start to ``end()``."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__(daemon=True)
        self._client, self._name = client, name
        self._ending = threading.Event()
        self.seen: list[tuple[float, float]] = []

    def run(self) -> None:
        """Look until it ends."""
        while not self._ending.is_set():
            ready = self._client.get(self._name).live["replicas"]["ready"]
            self.seen.append((time.monotonic(), float(ready)))
            self._ending.wait(LOOK_SECONDS / 2)

    def end(self) -> None:
        """Look no more."""
        self._ending.set()
        self.join()

    def at(self, moment: float) -> float:
        """Replicas that were ready at a moment (monotonic)."""
        before = [ready for when, ready in self.seen if when <= moment]
        return before[-1] if before else self.seen[0][1]


def play(shape: Shape, folder: Path) -> Compared:
    """One load against an endpoint of its own, and the same simulated."""
    fields = {
        "min_provisioned_concurrency": shape.low,
        "max_provisioned_concurrency": shape.high,
        "scale_to_zero_enabled": shape.low == 0,
        "scale_to_zero_seconds": IDLE_SECONDS,
        "autoscaling": RULES,
        "batching": {"mode": "off"},
    }
    with sleepy.endpoint(folder, fields) as peer:
        _settle(peer.client, peer.name, shape.low)
        watch = Watch(sleepy.second_client(peer), peer.name)
        watch.start()
        body = sleepy.body(EXECUTION_SECONDS)
        begun, answers = openloop.play(peer.address, peer.path, peer.headers, body, shape.moments)
        time.sleep(AFTER_SECONDS)
        ended = time.monotonic()
        watch.end()
        starts = peer.client.starts(peer.name)
    looks = [begun + n * LOOK_SECONDS for n in range(int((ended - begun) / LOOK_SECONDS))]
    return compare(shape, answers, [watch.at(moment) for moment in looks], starts)


def compare(
    shape: Shape,
    answers: Sequence[openloop.Answered],
    measured: Sequence[float],
    starts: Sequence[dict[str, Any]],
) -> Compared:
    """Simulate what was sent and put both side by side."""
    from jupyter_serving.autoscale.rules import Rules
    from jupyter_serving.autoscale.simulate import Profile, Setting, simulate
    from jupyter_serving.autoscale.traces import Trace

    good = [a for a in answers if a.status == 200]
    execution = statistics.fmean(a.timing["replica"] for a in good)
    seen = [s["phases"] for s in starts if s["reason"] != "deploy"]
    # The least time from a decision to the process is the controller's own; more of it is waiting for the decision.
    cold_start = statistics.fmean(map(ready_seconds, seen)) + min(p["decision"] for p in seen)
    seconds = len(measured) * LOOK_SECONDS
    trace = Trace.of_times((a.at for a in answers), TICK_SECONDS, execution, seconds)
    idle = IDLE_SECONDS if shape.low == 0 else float("inf")
    told = simulate(
        trace,
        Profile(slots=1.0, cold_start_seconds=cold_start),
        Setting.of(Rules(**RULES), shape.low, shape.high, idle),
        ready=measured[0],
    )
    return Compared(
        shape=shape.name,
        measured=measured,
        simulated=[float(v) for v in told.replicas[0]],
        waited=percentile([a.waited for a in good], 0.95),
        predicted=float(told.waiting_p95[0]),
        execution=execution,
        cold_start=cold_start,
        requests=len(answers),
        failed=len(answers) - len(good),
    )


def _settle(client: Client, name: str, low: int) -> None:
    """Wait until the endpoint has its least replicas and has forgotten its deployment."""
    limit = time.monotonic() + QUIET_SECONDS
    while client.get(name).live["replicas"]["ready"] != low:
        if time.monotonic() > limit:
            raise SystemExit(f"{name} does not come down to {low} replicas")
        time.sleep(LOOK_SECONDS)
    time.sleep(RULES["stable_window_seconds"])


def measure(quick: bool = False) -> list[Compared]:
    """Play all shapes, one after the other; the first one alone for a quick look."""
    found = []
    for shape in shapes()[: 1 if quick else None]:
        with tempfile.TemporaryDirectory(prefix="fidelity-") as folder:
            told = play(shape, Path(folder))
        _say(
            f"{told.shape}: replicas off by {told.replicas_off:.1f} %, waiting p95 {told.waited:.2f} s "
            f"measured, {told.predicted:.2f} s simulated; cold start {told.cold_start:.2f} s"
        )
        found.append(told)
    return found


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description="The simulator beside real load runs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="the first load alone")
    given = parser.parse_args()
    found = measure(given.quick)
    bars = [bar for told in found for bar in told.bars()]
    return publish(bars, given.json, {"shapes": [told.to_json() for told in found]})


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
