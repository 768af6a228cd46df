"""Cold starts from zero: an endpoint asleep is asked, beside ``mlflow models serve`` that is started.

Two endpoints of one model, each in a data directory of its own: one keeps its environment's zygote while it sleeps,
of the other nothing but controller and gateway is left. They and mlflow take turns, sample by sample.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_serving.delivery import Options

from . import trial
from .accounting import MIB
from .load.orders import percentile
from .peers import RECIPES, ProcessPeer
from .peers.base import PeerFailed
from .peers.ours import REPLICA, OurPeer
from .report import Bar
from .subjects import Subject
from .tables import number, table

RESIDENT, NOTHING, MLFLOW = "zygote resident", "nothing resident", "mlflow models serve"
RESIDENT_P50_S, RESIDENT_P95_S, NOTHING_P50_S = 0.30, 0.60, 2.5
IDLE_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.05
# Stops of what ran before leave work behind (exits, reports) that is not the next start's.
PAUSE_SECONDS = 0.5
ZYGOTE_IDLE = "JUPYTER_SERVING_ZYGOTE_IDLE_SECONDS"


@dataclass
class Series:
    """Samples of one way: seconds from the request (or the start) to the right answer, MiB held before by part."""

    seconds: list[float] = field(default_factory=list)
    held: list[dict[str, float]] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)

    def quantile(self, share: float) -> float:
        """Nearest rank, in seconds."""
        return percentile(self.seconds, share)

    def memory(self) -> dict[str, float]:
        """Median MiB by part, held at zero."""
        parts = sorted({part for one in self.held for part in one})
        return {part: statistics.median(one.get(part, 0.0) for one in self.held) for part in parts}

    def to_json(self) -> dict[str, Any]:
        """Samples and what they come to."""
        return {
            "seconds": [round(s, 4) for s in self.seconds],
            "p50": round(self.quantile(0.5), 4),
            "p95": round(self.quantile(0.95), 4),
            "held_at_zero_mib": {part: round(size, 1) for part, size in self.memory().items()},
            "median_phases": self.phases,
        }


class Sleeper:
    """Context manager: one endpoint with one slot that falls asleep half a second after its last answer."""

    def __init__(self, subject: Subject, folder: Path, resident: bool) -> None:
        options = Options(min_concurrency=0, max_concurrency=1, idle_seconds=IDLE_SECONDS)
        self._peer = OurPeer(subject, folder, options=options)
        self._subject, self._resident = subject, resident

    def __enter__(self) -> Sleeper:
        with _variable(ZYGOTE_IDLE, "" if self._resident else "1"):
            trial.start(self._peer, self._subject, (1,))
        return self

    def __exit__(self, *_: object) -> None:
        self._peer.stop()

    def wake(self, number: int) -> tuple[float, dict[str, float]]:
        """Ask it once it sleeps: seconds to the right answer, and MiB by part that were held meanwhile.

        Raises:
            PeerFailed: it does not fall asleep or wake up, or the answer is wrong.
        """
        self._asleep()
        time.sleep(PAUSE_SECONDS)
        held = {part: size / MIB for part, size in trial.footprint(self._peer).parts.items()}
        samples = self._subject.samples[1]
        sample = samples[number % len(samples)]
        begun = time.monotonic()
        body = trial.ask(self._peer, self._subject, sample)
        seconds = time.monotonic() - begun
        if body is None:
            raise PeerFailed("the request that was to wake the endpoint got no answer")
        trial.verify(self._peer, sample, body)
        return seconds, held

    def phases(self, count: int) -> dict[str, float]:
        """Median seconds of each phase over the last ``count`` wakes."""
        self._asleep()
        wakes = [s for s in self._peer.client.starts(self._subject.name) if s["reason"] == "wake"]
        names = dict.fromkeys(name for wake in wakes[-count:] for name in wake["phases"])
        return {
            name: round(statistics.median(w["phases"].get(name, 0.0) for w in wakes[-count:]), 4)
            for name in names
        }

    def _asleep(self) -> None:
        limit = time.monotonic() + PATIENCE_SECONDS
        while not self._sleeps():
            if time.monotonic() > limit:
                raise PeerFailed(f"the endpoint does not fall asleep within {PATIENCE_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)

    def _sleeps(self) -> bool:
        phase = self._peer.client.get(self._subject.name).phase
        if phase != "SCALED_TO_ZERO" or self._peer.replica_sockets():
            return False
        return self._resident or REPLICA not in self._peer.pids().values()


def measure(
    subject: Subject, folder: Path, samples: int, say: Callable[[str], None]
) -> dict[str, Series]:
    """Take ``samples`` of each way in turn; the first start of each endpoint is not counted.

    Raises:
        PeerFailed: one of them does not answer, or not right.
    """
    found = {name: Series() for name in (RESIDENT, NOTHING, MLFLOW)}
    with (
        Sleeper(subject, folder / "resident", True) as resident,
        Sleeper(subject, folder / "nothing", False) as nothing,
    ):
        sleepers = {RESIDENT: resident, NOTHING: nothing}
        for sleeper in sleepers.values():
            sleeper.wake(0)
        for turn in range(samples):
            for name, sleeper in sleepers.items():
                seconds, held = sleeper.wake(turn)
                found[name].seconds.append(seconds)
                found[name].held.append(held)
            found[MLFLOW].seconds.append(_mlflow(subject, folder / f"mlflow-{turn}"))
            told = ", ".join(f"{n} {s.seconds[-1]:.2f} s" for n, s in found.items())
            say(f"cold start {turn + 1} of {samples}: {told}")
        for name, sleeper in sleepers.items():
            found[name].phases = sleeper.phases(samples)
    return found


def _mlflow(subject: Subject, folder: Path) -> float:
    """Seconds from its start to the first right answer, in this very environment."""
    peer = ProcessPeer(RECIPES["mlflow"], Path(sys.executable), subject, folder)
    try:
        return trial.start(peer, subject, (1,)).seconds
    finally:
        peer.stop()


def bars(found: dict[str, Series]) -> list[Bar]:
    """The issue's bounds."""
    resident, nothing = found[RESIDENT], found[NOTHING]
    name = "cold start from zero"
    return [
        Bar(f"{name}, {RESIDENT}: p50", resident.quantile(0.5), RESIDENT_P50_S, "s"),
        Bar(f"{name}, {RESIDENT}: p95", resident.quantile(0.95), RESIDENT_P95_S, "s"),
        Bar(f"{name}, {NOTHING}: p50", nothing.quantile(0.5), NOTHING_P50_S, "s"),
    ]


def page(found: dict[str, Series]) -> str:
    """A table: one line for each way, with the memory held at zero beside it."""
    head = ["from zero", "p50 s", "p95 s", "worst s", "held at zero MiB", "of that"]
    lines = []
    for name, series in found.items():
        memory = series.memory()
        figures = [series.quantile(share) for share in (0.5, 0.95, 1.0)]
        parts = ", ".join(f"{part} {size:.0f}" for part, size in memory.items())
        held = number(sum(memory.values())) if memory else "0"
        lines.append([name, *(f"{s:.3f}" for s in figures), held, parts or "-"])
    return f"{table(head, lines)}\n\n{_phases(found)}"


def _phases(found: dict[str, Series]) -> str:
    told: Sequence[str] = [
        f"{name}, median phases: "
        + ", ".join(f"{phase} {seconds * 1000:.0f} ms" for phase, seconds in series.phases.items())
        for name, series in found.items()
        if series.phases
    ]
    return "\n".join(told)


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """An environment variable that processes started in the block inherit; "" is unset."""
    before = os.environ.pop(name, None)
    if value:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
