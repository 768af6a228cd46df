"""What the store keeps: desired state of endpoints, their configs, and the replicas that were started.

Records are replaced, never changed in place. What can be derived (endpoint phase, deployment state) is not kept.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from ..api import Capture, ConfigState, ConfigUpdate, Registry, ServedEntityInput, Tag, UpdatePolicy


class Wanted(StrEnum):
    """Desired state of an endpoint."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    DELETED = "DELETED"


class ReplicaPhase(StrEnum):
    """Life of a replica; the legal moves are in ``phases.REPLICA_MOVES``."""

    STARTING = "STARTING"
    READY = "READY"
    DRAINING = "DRAINING"
    STOPPING = "STOPPING"


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """Base of all records."""


class EntityRecord(Record, kw_only=True, frozen=True):
    """A served entity of one config, with what preparing it has produced so far.

    ``since``: config version that first had it exactly like this, 0 for the config's own. Its replicas carry on from
    one config version to the next while that stays the same.
    """

    name: str
    spec: ServedEntityInput
    source: dict[str, Any]  # registry.resolve.Resolved, as JSON
    registry: Registry
    created: int
    creator: str
    digest: str = ""
    environment: dict[str, Any] | None = None
    failure: str = ""
    since: int = 0


class ConfigRecord(Record, kw_only=True, frozen=True):
    """One config version of an endpoint; ``routes`` are (entity name, whole percent).

    ``outcome``: how its update ended, with ``message`` and when (``ended``, epoch milliseconds); None before.
    ``content_of``: version that it was made from by a rollback or a start. ``verdict``: what its gate found
    (``passed``, ``text``), None before it was tried.
    """

    endpoint: str
    version: int
    created: int
    entities: tuple[EntityRecord, ...]
    routes: tuple[tuple[str, int], ...]
    capture: Capture | None = None
    creator: str = ""
    update: UpdatePolicy | None = None
    reload_every_seconds: float | None = None
    outcome: ConfigState | None = None
    message: str = ""
    ended: int = 0
    content_of: int | None = None
    verdict: dict[str, Any] | None = None

    def origin(self, entity: EntityRecord) -> int:
        """Version that first had one of its entities exactly like this: there its preparation is recorded."""
        return entity.since or self.version

    def key(self, entity: EntityRecord) -> str:
        """Key of one of its entities: the same in every version that carries the entity on."""
        return entity_key(self.endpoint, self.origin(entity), entity.name)

    def entity_keys(self) -> list[str]:
        """Keys of all its entities."""
        return [self.key(entity) for entity in self.entities]

    def entity(self, name: str) -> EntityRecord:
        """Return the entity called ``name``; KeyError if there is none."""
        for entity in self.entities:
            if entity.name == name:
                return entity
        raise KeyError(name)

    def with_entity(self, entity: EntityRecord) -> ConfigRecord:
        """Return the config with the entity of the same name replaced."""
        entities = tuple(entity if e.name == entity.name else e for e in self.entities)
        return msgspec.structs.replace(self, entities=entities)


class EndpointRecord(Record, kw_only=True, frozen=True):
    """Desired state of one endpoint. ``active``, ``pending``, ``failed`` (or canceled) are config versions.

    Times in epoch milliseconds, 0 for never: ``swap_since``: the old config is drained before the new one starts, and
    requests wait; ``reload_asked``: replicas made before are to be replaced; ``reload_tried``: one came to nothing.
    ``last_cold_start``: seconds from a held request to its first byte, of the last start from zero.
    """

    id: str
    name: str
    creator: str
    created: int
    updated: int
    description: str = ""
    tags: tuple[Tag, ...] = ()
    route_optimized: bool = False
    wanted: Wanted = Wanted.RUNNING
    active: int | None = None
    pending: int | None = None
    failed: int | None = None
    last_version: int = 0
    update: ConfigUpdate = ConfigUpdate.NOT_UPDATING
    update_started: int = 0
    message: str = ""
    swap_since: int = 0
    reload_asked: int = 0
    reload_tried: int = 0
    last_cold_start: float | None = None


class ReplicaRecord(Record, kw_only=True, frozen=True):
    """One replica: what it serves, where it is in its life, and how its backend finds it again.

    ``version``: the config version that first had its served entity as it is (``EntityRecord.since``).
    ``capacity``: requests that it takes at a time, 0 for as many as it has slots.
    """

    id: str
    endpoint: str
    version: int
    entity: str
    phase: ReplicaPhase
    backend: str
    slots: int
    reason: str
    created: int
    capacity: int = 0
    handle: dict[str, Any] = {}
    draining_since: int = 0
    held_at: float | None = None

    @property
    def key(self) -> str:
        """Key of the served entity in the gateway's table."""
        return entity_key(self.endpoint, self.version, self.entity)


class StartRecord(Record, kw_only=True, frozen=True):
    """Waterfall of one start, see ``observed.Start``; ``wake`` starts are cold starts.

    ``zygote_seconds``: the part of its phases that a resident zygote would have spared; ``first_prediction``: the part
    that the first prediction, of the model's example, took.
    """

    replica: str
    endpoint: str
    entity: str
    reason: str
    started_at: int
    total_seconds: float | None = None
    phases: dict[str, float] = {}
    config_version: int = 0
    imports: tuple[tuple[str, float], ...] = ()
    imports_whole: dict[str, float] = {}
    zygote: str = ""
    zygote_seconds: float = 0.0
    first_prediction: float = 0.0
    memory_bytes: int = 0
    model_bytes: int = 0
    remedy: str = ""
    failed: str = ""
    error: str = ""


class EventRecord(Record, kw_only=True, frozen=True):
    """One transition; ``id`` is given by the store."""

    endpoint: str
    timestamp: int
    type: str
    message: str
    served_entity: str = ""
    details: dict[str, Any] = {}
    id: int = 0


class DecisionRecord(Record, kw_only=True, frozen=True):
    """One decision of the autoscaler: replicas wanted ``before`` and now, and all that it was made from.

    ``at``: milliseconds since the epoch; ``id`` is given by the store.
    """

    endpoint: str
    entity: str
    version: int
    at: int
    before: int
    wanted: int
    inputs: dict[str, Any]
    reason: str
    id: int = 0


class CertificateRecord(Record, kw_only=True, frozen=True):
    """What an update to config ``version`` did to the endpoint's requests; ``body`` is as it is answered."""

    endpoint: str
    version: int
    body: dict[str, Any]


class MeasureRecord(Record, kw_only=True, frozen=True):
    """Most bytes that a replica of a model (by digest) with so many slots was seen to hold."""

    model: str
    slots: int
    memory_bytes: int
    measured: int


class TokenRecord(Record, kw_only=True, frozen=True):
    """A query token of an endpoint: only its SHA-256 is kept."""

    id: str
    endpoint: str
    sha256: str
    comment: str
    created: int


def entity_key(endpoint: str, version: int, entity: str) -> str:
    """Key of a served entity: ``<endpoint id>:<version that first had it like this>:<entity>``."""
    return f"{endpoint}:{version}:{entity}"
