"""What an update does just now, in words with the seconds that it has taken. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .records import ConfigRecord, EndpointRecord, ReplicaPhase, ReplicaRecord


def told(
    endpoint: EndpointRecord,
    active: ConfigRecord | None,
    pending: ConfigRecord | None,
    replicas: Sequence[ReplicaRecord],
    needs: Mapping[str, int],
    fetched: Collection[str],
    staged: Collection[str],
    detail: str,
    now: float,
) -> str:
    """One line for a person; "" where nothing is under way.

    Args:
        endpoint, active, pending, replicas: records.
        needs: replicas that the pending config must have ready, by entity key.
        fetched, staged: entity keys whose model, whose environment is here.
        detail: what the step at work says itself.
        now: epoch seconds.
    """
    if pending is not None and endpoint.pending == pending.version:
        words = _update(endpoint, active, pending, replicas, needs, fetched, staged, detail)
        return f"{words} ({max(0.0, now - endpoint.update_started / 1000):.0f} s)"
    present = set(active.entity_keys()) if active else set()
    old = [r for r in replicas if r.key not in present and r.phase is ReplicaPhase.DRAINING]
    if old and endpoint.active is not None:
        since = min(r.draining_since for r in old) / 1000
        return (
            f"draining {_replicas(len(old))} of the config before ({max(0.0, now - since):.0f} s)"
        )
    return ""


def _update(
    endpoint: EndpointRecord,
    active: ConfigRecord | None,
    pending: ConfigRecord,
    replicas: Sequence[ReplicaRecord],
    needs: Mapping[str, int],
    fetched: Collection[str],
    staged: Collection[str],
    detail: str,
) -> str:
    present = set(active.entity_keys()) if active else set()
    for entity in pending.entities:
        key = pending.key(entity)
        if key not in present and key not in fetched:
            return f"fetching the model of {entity.name}"
        if key not in present and key not in staged:
            more = f": {detail}" if detail else ""
            return f"staging the environment of {entity.name}{more}"
    leaving = present - set(pending.entity_keys())
    old = [r for r in replicas if r.key in leaving]
    if endpoint.swap_since and old:
        return f"requests wait; draining {_replicas(len(old))} of the config before"
    waiting = "requests wait; " if endpoint.swap_since else ""
    for entity in pending.entities:
        key = pending.key(entity)
        ready = sum(r.key == key and r.phase is ReplicaPhase.READY for r in replicas)
        if ready < needs.get(key, 0):
            return f"{waiting}starting replica {ready + 1} of {needs[key]} of {entity.name}"
    gated = pending.update is not None and pending.update.gate is not None
    return "trying the gate" if gated and pending.verdict is None else "switching"


def _replicas(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"
