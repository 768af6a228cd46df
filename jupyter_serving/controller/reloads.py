"""Reload as maintenance: which replicas are to be replaced by fresh ones of the same config, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .records import ConfigRecord, EndpointRecord, EntityRecord, ReplicaPhase, ReplicaRecord


def period(config: ConfigRecord, entity: EntityRecord) -> float | None:
    """Seconds after which a replica of an entity is replaced: its own, else the config's; None for never."""
    own = entity.spec.reload_every_seconds
    return config.reload_every_seconds if own is None else own


def due(
    endpoint: EndpointRecord,
    config: ConfigRecord,
    replicas: Iterable[ReplicaRecord],
) -> dict[str, float]:
    """When each ready replica of the active config is to be replaced, by replica id, in epoch seconds.

    What was asked for is due since then. A reload that came to nothing is not tried again before the next period.
    """
    dates: dict[str, float] = {}
    periods = {config.key(e): period(config, e) for e in config.entities}
    for replica in replicas:
        if replica.phase is not ReplicaPhase.READY or replica.key not in periods:
            continue
        every = periods[replica.key]
        if replica.created < endpoint.reload_asked:
            dates[replica.id] = endpoint.reload_asked / 1000
        elif every is not None:
            dates[replica.id] = max(replica.created, endpoint.reload_tried) / 1000 + every
    return dates


def stale(
    endpoint: EndpointRecord,
    config: ConfigRecord | None,
    replicas: Iterable[ReplicaRecord],
    now: float,
) -> set[str]:
    """Ids of the replicas to be replaced now; none while an update is in progress, which starts fresh ones itself."""
    if config is None or endpoint.pending is not None:
        return set()
    return {r for r, at in due(endpoint, config, replicas).items() if at <= now}
