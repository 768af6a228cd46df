"""Memory of one endpoint: with one slot, and what each further slot costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_serving.delivery import Options

from . import trial
from .accounting import MIB
from .load.generator import Generator
from .load.orders import Order
from .peers.ours import OurPeer
from .report import Bar
from .subjects import Subject
from .trial import Footprint

ENDPOINT_BOUND_MIB = 422.0
SLOT_BOUND_MIB = 40.0
# Enough requests under way to have had every slot at work.
CONNECTIONS = 16


@dataclass(frozen=True)
class Slots:
    """Footprints by the number of slots; ``mlflow`` is the tree of ``mlflow models serve`` in MiB (nan: not run)."""

    footprints: dict[int, Footprint]
    mlflow: float

    def one(self) -> float:
        """MiB of gateway, zygote and replica with one slot."""
        return self.footprints[min(self.footprints)].serving / MIB

    def each(self) -> float:
        """MiB of each further slot."""
        low, high = min(self.footprints), max(self.footprints)
        more = self.footprints[high].serving - self.footprints[low].serving
        return more / MIB / (high - low)

    def bars(self) -> list[Bar]:
        """The issue's bounds."""
        bound = min(ENDPOINT_BOUND_MIB, self.mlflow) if self.mlflow > 0 else ENDPOINT_BOUND_MIB
        found = [Bar("one endpoint with one slot (PSS)", self.one(), bound, "MiB")]
        if len(self.footprints) > 1:
            found.append(Bar("each further slot (PSS)", self.each(), SLOT_BOUND_MIB, "MiB"))
        return found


def measure(
    subject: Subject,
    generator: Generator,
    folder: Path,
    counts: Sequence[int],
    seconds: float,
    mlflow: float,
) -> Slots:
    """Deploy the model with each number of slots, put it under load, weigh it."""
    footprints = {}
    for count in counts:
        options = Options(min_concurrency=count, max_concurrency=count, scale_to_zero=False)
        peer = OurPeer(subject, folder / f"slots-{count}", "ours", options)
        try:
            started = trial.start(peer, subject, (1,))
            generator.run(Order(started.targets[1], CONNECTIONS, seconds))
            footprints[count] = trial.footprint(peer)
        finally:
            peer.stop()
    return Slots(footprints, mlflow)
