"""The steps that a plan may hold. Short ones only change the store; long ones run beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from .records import ReplicaPhase


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring the model of an entity into the models directory."""

    version: int
    entity: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Make the environment of an entity."""

    version: int
    entity: str


@dataclass(frozen=True, slots=True)
class Place:
    """Start a replica and wait until it is ready."""

    replica: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop what is left of a replica and forget it."""

    replica: str


@dataclass(frozen=True, slots=True)
class Try:
    """Let the pending config, which is ready, pass its gate."""

    version: int


@dataclass(frozen=True, slots=True)
class Add:
    """Record ``count`` more replicas of an entity, to be placed; ``reason`` where it is not the usual one."""

    version: int
    entity: str
    count: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """Move a replica towards its end, or back to READY from where it was draining."""

    replica: str
    to: ReplicaPhase


@dataclass(frozen=True, slots=True)
class Hold:
    """Let requests wait while the old config makes room for the pending one; ``why`` they do not fit together."""

    version: int
    why: str


@dataclass(frozen=True, slots=True)
class Promote:
    """Give the traffic to the pending config, which is ready."""

    version: int


@dataclass(frozen=True, slots=True)
class Fail:
    """End the update; the active config goes on."""

    version: int
    message: str


@dataclass(frozen=True, slots=True)
class EndReload:
    """Nothing is left to be replaced; or, with ``why``, nothing can be."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the endpoint from the store: nothing of it is left."""


Step = Fetch | Stage | Place | Stop | Try | Add | Move | Hold | Promote | Fail | EndReload | Forget
LongStep = Fetch | Stage | Place | Stop | Try
