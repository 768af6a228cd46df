"""What would have saved most of a start: from its measured phases to one sentence; pure.

A remedy is something that this product or the model's author can do now. What it saves is measured in the very start:
a phase that would not have been there, or a package whose import would not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .records import StartRecord

# Less is noise.
LEAST_SECONDS = 0.05
# A remedy that costs no memory while the endpoint sleeps is preferred where it saves this share of the start.
WORTHWHILE = 0.5
# What serving itself imports: nobody can leave it out.
OURS = frozenset({"mlflow", "numpy", "pandas", "serving_runtime", "asyncio", "uvloop", "json"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a remedy is chosen from. Durations in seconds.

    Attributes:
        start: the start.
        idle_limit: idle time before the entity goes to zero; inf where it never does.
        slept: how long it had had no replica; None where that is not known.
        zygotes: whether environments have zygotes (``environment_zygotes``). ``zygote_idle``: ``zygote_idle_seconds``.
    """

    start: StartRecord
    idle_limit: float
    slept: float | None
    zygotes: bool
    zygote_idle: float


@dataclass(frozen=True, slots=True)
class Remedy:
    """``text`` says what to do, without the seconds that it ``saves``; ``awake``: it keeps a replica up for longer."""

    text: str
    saves: float
    awake: bool = False

    def sentence(self, start: StartRecord) -> str:
        """The whole advice about a start."""
        return f"{self.text}: saves about {self.saves:.2g} s of {start.total_seconds or 0.0:.2g} s."


def best(facts: Facts) -> Remedy | None:
    """The remedy that would have saved most; None where nothing would have saved anything worth a line.

    Keeping a replica up saves a whole cold start, always: it is the advice only where nothing that leaves the endpoint
    asleep saves ``WORTHWHILE`` of it.
    """
    found = [r for r in remedies(facts) if r.saves >= LEAST_SECONDS]
    asleep = max((r for r in found if not r.awake), key=lambda r: r.saves, default=None)
    awake = next((r for r in found if r.awake), None)
    if asleep is None or awake is None:
        return asleep or awake
    return asleep if asleep.saves >= WORTHWHILE * awake.saves else awake


def remedies(facts: Facts) -> Iterator[Remedy]:
    """All that would have helped; of those that keep a replica up the cheapest comes first."""
    if facts.start.reason == "deploy" or facts.start.failed:
        return
    yield from _interpreter(facts)
    yield from _import(facts)
    yield from _model(facts)
    yield from _awake(facts)


def _interpreter(facts: Facts) -> Iterator[Remedy]:
    start = facts.start
    if start.zygote == "started":
        yield Remedy(
            f"Keep the environment's zygote, which had to be started: raise zygote_idle_seconds (now "
            f"{facts.zygote_idle:g}), or zygote_memory_bytes where memory was short",
            start.zygote_seconds,
        )
    if start.zygote == "none" and not facts.zygotes:
        seconds = start.phases.get("interpreter", 0.0) + start.phases.get("imports", 0.0)
        yield Remedy("Set environment_zygotes to true: imports are then done before", seconds)


def _import(facts: Facts) -> Iterator[Remedy]:
    """The package whose absence would save most, as far as it is not one that serving needs."""
    whole = facts.start.imports_whole
    named = [name for name, _ in facts.start.imports if name not in OURS]
    name = max(named, key=lambda n: whole.get(n, 0.0), default=None)
    if name is not None:
        yield Remedy(
            f"Do without the package {name} in the model's code, if predictions do not need it",
            min(whole.get(name, 0.0), facts.start.phases.get("imports", 0.0)),
        )


def _model(facts: Facts) -> Iterator[Remedy]:
    start = facts.start
    size = f" ({start.model_bytes / 1e6:.0f} MB)" if start.model_bytes >= 1e6 else ""
    yield Remedy(
        f"Log a smaller model{size}: fewer or shallower parts, lower precision, no compression",
        start.phases.get("model_load", 0.0),
    )
    yield Remedy(
        "Log the model with a smaller input example, which is predicted before it is ready",
        start.first_prediction,
    )


def _awake(facts: Facts) -> Iterator[Remedy]:
    start = facts.start
    total = start.total_seconds or 0.0
    if start.reason != "wake" or math.isinf(facts.idle_limit):
        return
    if facts.slept is not None and 0 <= facts.slept <= facts.idle_limit:
        enough = math.ceil(facts.idle_limit + facts.slept + 1)
        yield Remedy(
            f"Raise scale_to_zero_seconds from {facts.idle_limit:g} to {enough}: the request came "
            f"{facts.slept:.0f} s after the last replica was stopped",
            total,
            awake=True,
        )
    held = f", which holds {start.memory_bytes / 1e6:.0f} MB" if start.memory_bytes else ""
    yield Remedy(
        f"Keep one replica up{held}: deploy with scale_to_zero_enabled false", total, awake=True
    )
