"""Deploys of new versions, and what the requests feel of them that come meanwhile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jupyter_serving.delivery import Options, deliver
from jupyter_serving.registry.log import quiet

from . import trial
from .load.generator import Generator
from .load.orders import Order, Result, percentile
from .peers.ours import OurPeer
from .report import Bar
from .subjects import Subject
from .tables import table
from .trial import Started

READY_BOUND_S = 3.0
P95_BOUND_MS = 10.0
RATE_BOUND_PERCENT = 1.0
RATE = 100.0
CONNECTIONS = 8
READY_SECONDS = 120.0
# The load begins so much before the update (seconds), and goes on for so many times what an update took before.
AHEAD, TIMES = 0.5, 1.5
OPTIONS = Options(min_concurrency=4, max_concurrency=4, scale_to_zero=False)


@dataclass(frozen=True)
class Rollout:
    """One update under load: p95 in ms before and during it, share of the rate missing, faults, its seconds."""

    before: float
    during: float
    missing: float
    faults: int
    seconds: float

    @property
    def added(self) -> float:
        """Milliseconds that p95 was higher during the update."""
        return self.during - self.before


@dataclass(frozen=True)
class Rollouts:
    """``deploys``: seconds of each new version to READY; ``tries``: updates under load."""

    deploys: list[float]
    tries: list[Rollout]

    def bars(self) -> list[Bar]:
        """The issue's bounds, and those of gate G14."""
        rate = f"at {RATE:g} requests/s"
        added = statistics.median(t.added for t in self.tries)
        missing = statistics.median(t.missing for t in self.tries) * 100
        ready = percentile(self.deploys, 0.5)
        return [
            Bar("new version, environment staged, to READY: p50", ready, READY_BOUND_S, "s"),
            Bar("new version to READY: worst", max(self.deploys), READY_BOUND_S, "s"),
            Bar(f"p95 during a rollout {rate}, over before: median", added, P95_BOUND_MS, "ms"),
            Bar(f"rate missing during a rollout {rate}: median", missing, RATE_BOUND_PERCENT, "%"),
            Bar("wrong or missing answers", sum(t.faults for t in self.tries), 0, "answers"),
        ]

    def to_json(self) -> dict[str, Any]:
        """Every sample."""
        return {
            "deploy_seconds": [round(s, 4) for s in self.deploys],
            "rollouts": [asdict(t) for t in self.tries],
        }

    def page(self) -> str:
        """A table: one line for each update under load."""
        head = ["rollout", "p95 before ms", "p95 during ms", "added ms", "rate missing %", "took s"]
        lines = []
        for n, t in enumerate(self.tries, 1):
            figures = (t.before, t.during, t.added, t.missing * 100, t.seconds)
            lines.append([str(n), *(f"{figure:.2f}" for figure in figures)])
        told = ", ".join(f"{s:.2f}" for s in self.deploys)
        return f"new version to READY, each: {told} s\n\n{table(head, lines)}"


def measure(
    subject: Subject, generator: Generator, folder: Path, samples: int, say: Callable[[str], None]
) -> Rollouts:
    """Deploy ``samples`` new versions, then update as often under load.

    Raises:
        PeerFailed: the endpoint does not come up, or answers wrong before the measuring.
    """
    made = versions(folder / "versions", range(1, samples + 1))
    # The same forest twice: versions that differ in nothing but their name can be told apart by no answer.
    twins = versions(folder / "twins", (0, 0))
    peer = OurPeer(subject, folder / "rollouts", options=OPTIONS)
    try:
        trial.start(peer, subject, (1,))
        deploys = [_update(peer, subject.name, model) for model in made]
        say(f"{samples} new versions: worst {max(deploys):.2f} s")
        _update(peer, subject.name, twins[1])
        # Its answers to compare with: those of the config that is up now.
        started = trial.start(_Up(peer), subject, (1,))
        seconds = max(1.0, TIMES * max(deploys)) + AHEAD
        tries = [_rollout(peer, started, generator, seconds, twins[n % 2]) for n in range(samples)]
        say(f"{samples} rollouts under load: {[round(t.added, 1) for t in tries]} ms")
        return Rollouts(deploys, tries)
    finally:
        peer.stop()


def versions(folder: Path, seeds: Iterable[int]) -> list[Path]:
    """A forest of each seed: same environment, other model."""
    from mlflow import sklearn as flavour
    from mlflow.models import infer_signature
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    features, target = load_iris(return_X_y=True, as_frame=True)
    paths = []
    with quiet():
        for number, seed in enumerate(seeds):
            path = folder / str(number)
            model = RandomForestClassifier(10, random_state=seed).fit(features, target)
            flavour.save_model(
                model,
                str(path),
                signature=infer_signature(features, model.predict(features)),
                input_example=features.head(2),
                serialization_format="cloudpickle",
            )
            paths.append(path)
    return paths


class _Up(OurPeer):
    """A peer that is up already."""

    def __init__(self, peer: OurPeer) -> None:
        self.__dict__ |= peer.__dict__

    def start(self) -> None:
        """Nothing to do."""


def _update(peer: OurPeer, name: str, model: Path) -> float:
    """Seconds from the deploy to READY, as a caller of the public client sees it."""
    begun = time.monotonic()
    deliver(peer.client, name, str(model), OPTIONS)
    peer.client.wait(name, READY_SECONDS)
    return time.monotonic() - begun


def _rollout(
    peer: OurPeer, started: Started, generator: Generator, seconds: float, model: Path
) -> Rollout:
    """Load before, then the same load with an update in it."""
    name = started.subject.name
    order = Order(started.targets[1], CONNECTIONS, seconds, rate=RATE)
    before = generator.run(order)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(generator.run, order)
        time.sleep(order.warm + AHEAD)
        took = _update(peer, name, model)
        during: Result = running.result()
    faults = before.faults + during.faults
    return Rollout(
        before.percentile(0.95),
        during.percentile(0.95),
        max(0.0, 1.0 - during.rate / RATE),
        faults,
        took,
    )
