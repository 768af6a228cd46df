"""What the gateway must know of an endpoint: derived from the records, never edited by hand. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..settings import Settings
from .records import (
    ConfigRecord,
    EndpointRecord,
    EntityRecord,
    ReplicaPhase,
    ReplicaRecord,
    TokenRecord,
    Wanted,
)


def routing(
    endpoint: EndpointRecord,
    config: ConfigRecord | None,
    replicas: Sequence[ReplicaRecord],
    tokens: Sequence[TokenRecord],
    settings: Settings,
    address: Callable[[ReplicaRecord], str],
    unavailable: Callable[[str], str | None],
    metadata: Callable[[EntityRecord], dict[str, Any] | None],
) -> dict[str, Any]:
    """Return the gateway's entry for an endpoint.

    Args:
        endpoint: its record.
        config: the active config, else the pending one (requests are held until it is ready).
        replicas: all replicas of the endpoint.
        tokens: its query tokens.
        settings: limits that hold for every endpoint.
        address: where a replica answers.
        unavailable: why an entity (by key) cannot be started, or None.
        metadata: what the Open Inference Protocol tells of an entity's model, None where that is not known.
    """
    state, message = _state(endpoint)
    return {
        "name": endpoint.name,
        "id": endpoint.id,
        "config_version": config.version if config else 0,
        "state": state,
        "message": message,
        "routes": [{"entity": e, "percent": p} for e, p in config.routes] if config else [],
        "queue_limit": settings.queue_limit,
        "deadline": settings.request_deadline_seconds,
        "max_body_bytes": settings.max_body_bytes,
        "entities": [
            _entity(endpoint, config, e, replicas, address, unavailable) | {"v2": metadata(e)}
            for e in config.entities
        ]
        if config
        else [],
        "draining": [r.id for r in replicas if r.phase is ReplicaPhase.DRAINING],
        "capture": _capture(config),
        "tokens": sorted(t.sha256 for t in tokens),
    }


def _entity(
    endpoint: EndpointRecord,
    config: ConfigRecord,
    entity: EntityRecord,
    replicas: Sequence[ReplicaRecord],
    address: Callable[[ReplicaRecord], str],
    unavailable: Callable[[str], str | None],
) -> dict[str, Any]:
    key = config.key(entity)
    # A pending config gets no traffic before it is promoted, even from its first ready replica.
    ready = [
        r
        for r in replicas
        if r.key == key and r.phase is ReplicaPhase.READY and config.version == endpoint.active
    ]
    return {
        "name": entity.name,
        "key": key,
        "version": str(entity.spec.entity_version or ""),
        # A replica that is up serves on, whatever happens to the others.
        "unavailable": None if ready else unavailable(key),
        "replicas": [
            {
                "id": r.id,
                "address": address(r),
                "slots": r.slots,
                "capacity": r.capacity or r.slots,
                "draining": False,
            }
            for r in ready
        ],
    }


def _capture(config: ConfigRecord | None) -> dict[str, Any] | None:
    if config is None or config.capture is None:
        return None
    ring = config.capture
    return {
        "sample": ring.sample,
        "max_requests": ring.max_requests,
        "max_bytes": ring.max_bytes,
    }


def _state(endpoint: EndpointRecord) -> tuple[str, str]:
    name = endpoint.name
    if endpoint.wanted is not Wanted.RUNNING:
        text = f"The endpoint {name} is stopped. Start it with `jupyter serving start {name}`."
        return "STOPPED", text
    if endpoint.active is not None:
        return "OPEN", ""
    if endpoint.pending is not None:
        return "CREATING", f"The endpoint {name} is being created."
    return "FAILED", f"The endpoint {name} has no config that works: {endpoint.message}"
